//! placeholder
pub mod conform;
pub mod diagnostic;
pub mod document;
pub mod suggest;
