//! Numbers over time: data sets, the order of samples, optimisers, epochs and evaluation.
//!
//! This crate sees a network only as an [`Objective`](chainrule_core::Objective), a function of one flat vector, and knows
//! no layer type, no file format, no command line and no terminal. Results are the same bits for any number of
//! threads.
//!
//! Start reading at [`Trainer`].

mod dataset;
mod error;
mod evaluate;
pub mod metrics;
mod observer;
pub mod optimizer;
mod order;
mod scaler;
pub mod schedule;
mod split;
mod threads;
mod trainer;

pub use chainrule_core::TargetData;
pub use dataset::{Dataset, check_indices};
pub use error::Error;
pub use evaluate::{Evaluator, Values};
pub use observer::{Observer, Progress, Record, Silent};
pub use optimizer::{Adam, Optimizer, RmsProp, Sgd};
pub use order::Order;
pub use scaler::{Scale, Scaler};
pub use schedule::Schedule;
pub use split::{Fractions, Split, SplitError};
pub use threads::Threads;
pub use trainer::{Outcome, Settings, Trainer, by_output, check_batches};
