//! One experiment many times: which values are tried, who trains them, and how they are ranked.
//!
//! A trial is an experiment like any other, with other values of some keys; its run is a run directory like any other. So
//! a sweep needs no file of its own to be gone on with: what is there is finished, resumed, or of another experiment.
//! Only a halving notes what its trials had reached when they were compared, as they may be trained further since.

mod experiments;
mod halving;
mod mistakes;
mod plan;
mod rank;
mod record;
mod work;

pub(crate) use experiments::{Checked, Experiments};
pub(crate) use halving::halve;
pub(crate) use mistakes::mistakes;
pub(crate) use plan::{Trial, trials};
pub(crate) use rank::Ranking;
pub(crate) use work::{Sweeper, fitting, train_all};
