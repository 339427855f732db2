//! One experiment many times: which values are tried, who trains them, and how they are ranked.
//!
//! A trial is an experiment like any other, with some `--set` arguments; its run is a run directory like any other. So a
//! sweep needs no file of its own to be gone on with: what is there is finished, resumed, or of another experiment.

mod plan;
mod rank;
mod work;

pub(crate) use plan::{Trial, trials};
pub(crate) use rank::{Ranking, Score};
pub(crate) use work::{Sweeper, halve, train_all};
