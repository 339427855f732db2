//! rayon, and when it is worth waking.

mod awake;
mod halves;

use awake::awake;
use chainrule_core::{Executor, Float, Inline};
use halves::Halves;

use crate::Error;

/// Multiply-adds a call below which no thread is started: the whole work is done before one would wake.
const WORTH_A_POOL: usize = 1 << 20;

/// The threads of a run. Their number never changes a result: see [`Executor`].
#[derive(Debug)]
pub struct Threads {
    pool: Option<rayon::ThreadPool>,
    /// Whether each has a core of its own, so that none is in another's way while it looks for work.
    have_cores: bool,
}

impl Threads {
    /// The calling thread alone.
    pub fn one() -> Self {
        Self { pool: None, have_cores: true }
    }

    /// `count` threads, or one for every core if `count` is 0; the calling thread alone where the largest single
    /// piece of work, in multiply-adds, is too small to share.
    ///
    /// # Errors
    /// [`Error::Threads`] if the system does not give that many.
    pub fn for_work(count: usize, multiply_adds: usize) -> Result<Self, Error> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let count = if count == 0 { cores } else { count };
        if count == 1 || multiply_adds < WORTH_A_POOL {
            return Ok(Self::one());
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(count).build();
        let pool = pool.map_err(|source| Error::Threads { count, source })?;
        Ok(Self { pool: Some(pool), have_cores: count <= cores })
    }

    /// How many threads there are.
    pub fn count(&self) -> usize {
        self.pool.as_ref().map_or(1, rayon::ThreadPool::current_num_threads)
    }

    /// Runs `work` with an executor over these threads. A whole fit runs inside one call, since entering a pool from
    /// outside allocates.
    pub fn run<F: Float, R: Send>(&self, work: impl FnOnce(&dyn Executor<F>) -> R + Send) -> R {
        match &self.pool {
            Some(pool) if self.have_cores => pool.install(|| awake(|| work(&Halves))),
            Some(pool) => pool.install(|| work(&Halves)),
            None => work(&Inline),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_work_wakes_nobody() {
        assert_eq!(Threads::for_work(8, 100).unwrap().count(), 1);
        assert_eq!(Threads::for_work(3, 1 << 30).unwrap().count(), 3);
    }
}
