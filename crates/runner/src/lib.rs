//! Trains neural networks from TOML experiment files: arguments, files, terminal.
//!
//! The crate that knows users. It reads an experiment file into a tree with places ([`document`]), checks it against
//! one schema ([`schema`], [`conform`]), builds the network through a [`registry`], trains it with `chainrule-trainer` and
//! writes a run directory ([`run_dir`]).
//!
//! Start reading at [`commands::train`].

pub mod app;
pub mod catalog;
pub mod checkpoint;
pub mod cli;
pub mod commands;
pub mod conform;
pub mod console;
pub mod data;
pub mod diagnostic;
pub mod document;
pub mod error;
mod evaluation;
pub mod experiment;
pub mod explain;
pub mod gradcheck;
mod memory;
pub mod model;
pub mod predictor;
pub mod progress;
pub mod registry;
mod results;
mod resume;
pub mod run_dir;
pub mod schema;
pub mod session;
mod shell;
pub mod signals;
pub mod spec;
pub mod storage;
pub mod suggest;
mod sweep;
mod table;
pub mod terminal;
mod training;
pub mod weights;
