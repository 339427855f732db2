//! Threads allocate nothing in a warm epoch. One test alone, as the count is of the whole process.

#![allow(unsafe_code)] // `GlobalAlloc` is an unsafe trait, and only an allocator sees every allocation.

use std::alloc::{GlobalAlloc, Layout, System};
use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};

use chainrule_core::activation::{Gelu, Linear};
use chainrule_core::loss::Mse;
use chainrule_core::{Objective, initialize, parameter_count};
use chainrule_tests::{chain, dense, numbers};
use chainrule_trainer::schedule::Constant;
use chainrule_trainer::{
    Dataset, Forget, Observer, Order, Progress, Record, Settings, Sgd, State, TargetData, Threads, Trainer,
};

/// Allocations of all threads.
static COUNT: AtomicUsize = AtomicUsize::new(0);

struct Counted;

#[global_allocator]
static ALLOCATOR: Counted = Counted;

// SAFETY: every call is handed on unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above; `pointer` came from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// The count after each epoch, in room that is there before the run.
struct Counts(Vec<usize>);

impl Observer for Counts {
    fn progressed(&mut self, _progress: Progress) {}

    fn logged(&mut self, _record: &Record) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.0.push(COUNT.load(Ordering::Relaxed));
        Ok(())
    }
}

/// The fewest allocations that any epoch makes. A thread's first look for work makes a few once, whenever the
/// system lets it run.
fn fewest(threads: usize) -> usize {
    const EPOCHS: u64 = 25;
    const SAMPLES: usize = 600;
    let network = chain(vec![("wide", dense(131, 301, Gelu::exact())), ("output", dense(301, 37, Linear))]);
    let objective = Objective::<f32>::new(network, Box::new(Mse)).unwrap();
    let targets = TargetData::Values { data: numbers(SAMPLES * 37, 1), width: 37 };
    let train = Dataset::new(numbers(SAMPLES * 131, 2), 131, targets).unwrap();
    let parameters = objective.parameters();
    let mut theta = vec![0.0; parameter_count(&parameters).unwrap()];
    initialize(&parameters, &mut theta, 3);
    let threads = Threads::for_work(threads, usize::MAX).unwrap();
    let trainer = Trainer {
        objective: &objective,
        train: &train,
        validation: None,
        scoring: None,
        optimizer: &Sgd::new().with_momentum(0.9),
        schedule: &Constant(0.01),
        settings: Settings {
            order: Order::Shuffled { seed: 4 },
            evaluate_train: true,
            ..Settings::new(EPOCHS, 200)
        },
        threads: &threads,
        interrupt: None,
    };
    let mut state = State::new(theta, Vec::new(), trainer.optimizer);
    let mut counts = Counts(Vec::with_capacity(EPOCHS as usize));
    trainer.fit(&mut state, &mut counts, &mut Forget).unwrap();
    assert_eq!(counts.0.len(), EPOCHS as usize);
    counts.0.windows(2).map(|pair| pair[1] - pair[0]).min().expect("several epochs")
}

#[test]
fn an_epoch_allocates_nothing_on_any_number_of_threads() {
    for threads in [1, 2, 4] {
        assert_eq!(fewest(threads), 0, "{threads} threads");
    }
}
