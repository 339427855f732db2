//! Pieces of work on the threads of a pool, by cutting them in half again and again.

use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering::{Acquire, Release};

use chainrule_core::{Executor, Float};
use rayon::Yield;

/// Runs pieces on the rayon pool that it is called in.
///
/// One thread takes the first half of the pieces and leaves the second to whoever is free, and so on in each half. Of
/// passes over the same vectors, one thread mostly gets the same part, which it finds in its own cache.
#[derive(Debug)]
pub(super) struct Halves;

impl<F: Float> Executor<F> for Halves {
    fn for_each_chunk(&self, data: &mut [F], chunk: usize, work: &(dyn Fn(usize, &mut [F]) + Sync)) {
        chunks(data, chunk, 0, work);
    }

    fn for_each(&self, count: usize, work: &(dyn Fn(usize) + Sync)) {
        calls(0, count, work);
    }
}

fn chunks<F: Float>(data: &mut [F], chunk: usize, first: usize, work: &(dyn Fn(usize, &mut [F]) + Sync)) {
    match data.len().div_ceil(chunk) {
        0 => {}
        1 => work(first, data),
        count => {
            let half = count.div_ceil(2);
            let (left, right) = data.split_at_mut(half * chunk);
            both(|| chunks(left, chunk, first, work), || chunks(right, chunk, first + half, work));
        }
    }
}

fn calls(first: usize, count: usize, work: &(dyn Fn(usize) + Sync)) {
    match count {
        0 => {}
        1 => work(first),
        _ => {
            let half = count.div_ceil(2);
            both(|| calls(first, half, work), || calls(first + half, count - half, work));
        }
    }
}

/// Nobody has begun.
const LEFT_ALONE: u8 = 0;
const BEGUN: u8 = 1;
const DONE: u8 = 2;

/// Runs both, at the same time if another thread is free.
///
/// As [`rayon::join`], but who waits for the other half stays awake: to be woken takes longer than many a step.
fn both(left: impl FnOnce() + Send, right: impl FnOnce() + Send) {
    let stage = AtomicU8::new(LEFT_ALONE);
    let awake = || {
        left();
        let mut idle = 0;
        // What nobody has begun, `join` runs itself, on this thread.
        while stage.load(Acquire) == BEGUN {
            idle = help(idle);
        }
    };
    let noted = || {
        stage.store(BEGUN, Release);
        let _done = SetDone(&stage);
        right();
    };
    rayon::join(awake, noted);
}

/// Sets a stage to done when it goes, also if the work panics: or its other half would wait forever.
struct SetDone<'a>(&'a AtomicU8);

impl Drop for SetDone<'_> {
    fn drop(&mut self) {
        self.0.store(DONE, Release);
    }
}

/// Calls in vain after which a thread lets those of other programs go first, once.
const POLITE: u32 = 16;

/// The longest pause between two looks at what others have left, about half a microsecond: many threads that look all
/// the time would be in the way of the one that works.
const PAUSES: u32 = 32;

/// Does one piece of what others have left, if there is any; how often in a row there was none, `idle` times before.
#[inline]
pub(super) fn help(idle: u32) -> u32 {
    if matches!(rayon::yield_now(), Some(Yield::Executed)) {
        return 0;
    }
    let idle = idle.saturating_add(1);
    for _ in 0..idle.min(PAUSES) {
        std::hint::spin_loop();
    }
    if idle.is_multiple_of(POLITE) {
        std::thread::yield_now();
    }
    idle
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering::Relaxed;

    use super::*;
    use crate::threads::Threads;

    fn threads(count: usize) -> Threads {
        Threads::for_work(count, usize::MAX).unwrap()
    }

    #[test]
    fn every_piece_is_done_once() {
        for count in [2, 3, 8] {
            let threads = threads(count);
            threads.run(|executor: &dyn Executor<f64>| {
                for len in (0..40).chain([1000, 10_001]) {
                    let mut data = vec![0.0; len];
                    executor.for_each_chunk(&mut data, 3, &|index, chunk| {
                        chunk.iter_mut().for_each(|number| *number += (index + 1) as f64);
                    });
                    assert!(data.iter().enumerate().all(|(at, &number)| number == (at / 3 + 1) as f64));

                    let calls: Vec<AtomicUsize> = (0..len).map(|_| AtomicUsize::new(0)).collect();
                    executor.for_each(len, &|index| {
                        calls[index].fetch_add(1, Relaxed);
                    });
                    assert!(calls.into_iter().all(|calls| calls.into_inner() == 1));
                }
            });
        }
    }

    #[test]
    fn pieces_may_have_pieces() {
        let sum = AtomicUsize::new(0);
        threads(2).run(|executor: &dyn Executor<f32>| {
            executor.for_each(20, &|i| {
                executor.for_each(20, &|j| {
                    sum.fetch_add(i * j, Relaxed);
                });
            });
        });
        assert_eq!(sum.into_inner(), 190 * 190);
    }

    /// Or a run that fails would never end.
    #[test]
    fn a_panic_in_a_piece_gets_out() {
        for (count, bad) in [2, 8].into_iter().flat_map(|count| (0..16).map(move |bad| (count, bad))) {
            let threads = threads(count);
            let work =
                || threads.run(|executor: &dyn Executor<f32>| executor.for_each(16, &|i| assert_ne!(i, bad)));
            assert!(catch_unwind(AssertUnwindSafe(work)).is_err());
        }
    }

    #[test]
    fn a_thread_that_slept_is_there_again() {
        threads(2).run(|executor: &dyn Executor<f32>| {
            for _ in 0..3 {
                std::thread::sleep(std::time::Duration::from_millis(5));
                let calls = AtomicUsize::new(0);
                executor.for_each(100, &|_| {
                    calls.fetch_add(1, Relaxed);
                });
                assert_eq!(calls.into_inner(), 100);
            }
        });
    }
}
