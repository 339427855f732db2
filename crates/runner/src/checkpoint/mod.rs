//! Checkpoints: states of a run on the disk, each whole or not there.
//!
//! `checkpoints/last` is the newest, `checkpoints/step-N` are the ones before it, `checkpoints/best` is the best. A new
//! one is written beside them and synced; then `last` is renamed to `step-N`, and the new one to `last`. Whatever
//! moment a process or a machine ends at, the newest whole one is found: `last` if there is one, else
//! the highest `step-N`, else `best`.

mod counts;
mod fingerprint;
mod folder;
mod format;

pub(crate) use fingerprint::{Fingerprint, changed, data_digest, fingerprint};
pub(crate) use folder::{Candidate, FIRST, FOLDER, Folder, candidates};
pub(crate) use format::{Belongs, Sealed, encode};
pub use format::{FormatError, seal, state};
