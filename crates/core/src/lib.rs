//! Layers, activations and losses with hand-derived gradients: numbers in, numbers out.
//!
//! This crate knows mathematics only: no files, clocks, threads, formats or printing. A network is a [`Layer`], its
//! parameters are one flat vector, and every buffer is lent by the caller.
//!
//! Start reading at [`Layer`], then `layers/dense.rs`, which is the notebook's derivation in matrix form.

pub mod activation;
mod affine;
mod context;
mod derivation;
pub mod elementary;
mod error;
pub mod executor;
mod float;
pub mod gradcheck;
mod initializer;
mod layer;
pub mod layers;
pub mod loss;
mod masking;
pub mod matmul;
mod objective;
mod panel;
mod parameter;
pub mod random;
mod row_pass;
mod rows;
mod shape;
pub mod simd;

pub use activation::{Activation, Elementwise};
pub use affine::{Affine, Row};
pub use context::{Buffer, Ctx, Draw, Mode, buffer_count, initial_buffers};
pub use derivation::{Derivation, Formula, Rule, Symbol};
pub use error::Error;
pub use executor::{Executor, Inline};
pub use float::Float;
pub use initializer::Initializer;
pub use layer::{Layer, MAX_INPUTS, Pass, TapeLen};
pub use layers::flat::Above;
pub use loss::{Loss, OutputLoss, Pointwise, TargetData, TargetKind, Targets};
pub use masking::Masking;
pub use objective::{Objective, Total, Workspace};
pub use panel::{Panel, PanelMut};
pub use parameter::{Fans, Parameter, Role, initialize, parameter_count};
pub use row_pass::RowPass;
pub use rows::{Rows, RowsMut};
pub use shape::Shape;
