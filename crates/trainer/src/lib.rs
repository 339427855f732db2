//! Numbers over time: data sets, the order of samples, optimisers, epochs and evaluation.
//!
//! This crate sees a network only as an [`Objective`](chainrule_core::Objective), a function of one flat vector, and knows
//! no layer type, no file format, no command line and no terminal. Results are the same bits for any number of
//! threads.
//!
//! Start reading at [`Trainer`].

mod accumulated;
mod averaging;
mod checkpoint;
mod dataset;
mod divergence;
mod error;
mod evaluate;
mod finite;
pub mod huge_pages;
pub mod metrics;
mod monitor;
mod observer;
pub mod optimizer;
mod order;
mod run;
mod scaler;
pub mod schedule;
mod split;
mod state;
mod threads;
mod trainer;

pub use averaging::Averaging;
pub use chainrule_core::TargetData;
pub use checkpoint::{Checkpoints, Every, Forget};
pub use dataset::{Dataset, check_indices};
pub use divergence::{Divergence, NotFinite};
pub use error::Error;
pub use evaluate::{Evaluator, Values};
pub use monitor::{EarlyStopping, Judged, Monitor, Part};
pub use observer::{Observer, Progress, Record, Silent};
pub use optimizer::{
    Adadelta, Adagrad, Adam, Adamax, AmsGrad, Lbfgs, Lion, Nadam, Optimizer, RmsProp, Rprop, Sgd,
};
pub use order::Order;
pub use scaler::{Scale, Scaler};
pub use schedule::Schedule;
pub use split::{Fractions, Split, SplitError};
pub use state::{Counts, Snapshot, State};
pub use threads::Threads;
pub use trainer::{
    End, OnNotFinite, Outcome, Settings, Trainer, by_output, check_batches, check_free, check_whole,
};
