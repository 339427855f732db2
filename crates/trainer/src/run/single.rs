//! Steps on one sample each, of nets so small that what surrounds the arithmetic would take longer than it does.

use std::ops::Range;

use chainrule_core::{Float, Total};

use super::Run;
use crate::optimizer::{Group, update_groups};
use crate::state::Counts;
use crate::{Every, State, Trainer, finite};

/// Steps between two looks at whether the run is interrupted: some microseconds.
const MOST: u64 = 64;

impl<F: Float> Run<'_, F> {
    /// Takes steps on the first samples of `range`, if a step is nothing but a gradient, a look at it, and the optimiser's move;
    /// the sample after the last, and the loss of that. None, if nothing was done: then the next step is [`step`](Self::step)'s.
    ///
    /// A step that is not finite is not taken.
    #[inline(always)]
    pub(super) fn single_steps(
        &mut self,
        state: &mut State<F>,
        range: Range<usize>,
        shuffled: bool,
    ) -> Option<(usize, f64)> {
        if !self.is_plain {
            return None;
        }
        let trainer = self.trainer;
        let mut pass = trainer.objective.row_pass(&mut self.workspace)?;
        let (executor, groups, gradient) = (self.executor, &self.groups[..], &mut self.gradient[..]);
        let State { theta, memory, counts, .. } = state;
        let theta = &mut theta[..];
        let most = usize::try_from(most_steps(trainer, counts, self.next_report)).unwrap_or(usize::MAX);
        let (start, end) = (range.start, range.end.min(range.start.saturating_add(most)));
        let (mut step, mut running, mut last) = (counts.steps, counts.running, Total::NONE);
        for at in start..end {
            let sample = if shuffled { self.order[at] as usize } else { at };
            let (x, targets) = trainer.train.sample(sample);
            let total = pass.gradient(theta, x, targets, gradient);
            if !finite::all_with(executor, total.sum, gradient) {
                break;
            }
            let rate = trainer.schedule.rate(step) * counts.plateau.share;
            step += 1;
            update_groups(executor, trainer.optimizer, groups, (step, rate), (theta, gradient), memory);
            running += total;
            last = total;
        }
        let taken = step - counts.steps;
        counts.steps = step;
        counts.batches += taken;
        counts.running = running;
        (taken > 0).then_some((start + taken as usize, last.mean()))
    }
}

/// Whether a step is nothing but the gradient of one sample by all `parameters`, a look at it, and the optimiser's move of
/// each by itself.
pub(super) fn is_plain<F: Float>(trainer: &Trainer<'_, F>, groups: &[Group], parameters: usize) -> bool {
    let settings = &trainer.settings;
    let is_of_one = settings.batch_size.min(trainer.train.len()) == 1 && settings.accumulate == 1;
    let trained: usize = groups.iter().map(|group| group.range.len()).sum();
    is_of_one && trained == parameters && trainer.optimizer.joint().is_none()
}

/// Steps until something else is to be done.
fn most_steps<F: Float>(trainer: &Trainer<'_, F>, counts: &Counts, next_report: u64) -> u64 {
    let most = MOST.min(next_report.saturating_sub(counts.batches));
    match trainer.settings.checkpoint {
        Some(Every::Steps(every)) => most.min(every - counts.steps % every),
        _ => most,
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as StdError;
    use std::sync::atomic::AtomicBool;

    use chainrule_core::activation::{Linear, Sigmoid};
    use chainrule_core::layers::{Chain, Dense};
    use chainrule_core::loss::Mse;
    use chainrule_core::{Layer, Objective, Shape, TargetData};

    use crate::optimizer::Clip;
    use crate::schedule::Constant;
    use crate::trainer::OnNotFinite;
    use crate::{
        Adam, Checkpoints, Dataset, Every, Forget, Optimizer, Order, Settings, Sgd, Silent, State, Threads,
        Trainer,
    };

    type BoxError = Box<dyn StdError + Send + Sync>;

    const SAMPLES: usize = 150;

    fn objective(hidden: usize) -> Objective<f64> {
        let shape = |len| Shape::vector(len).unwrap();
        let layers: Vec<(String, Box<dyn Layer<f64>>)> = vec![
            ("first".into(), Box::new(Dense::new(&shape(3), hidden, Box::new(Sigmoid)).unwrap())),
            ("second".into(), Box::new(Dense::new(&shape(hidden), 2, Box::new(Sigmoid)).unwrap())),
            ("last".into(), Box::new(Dense::new(&shape(2), 1, Box::new(Linear)).unwrap())),
        ];
        Objective::new(Box::new(Chain::new(layers).unwrap()), Box::new(Mse)).unwrap()
    }

    /// The square of one target is infinite.
    fn data() -> Dataset<f64> {
        let numbers = |len: usize| (0..len).map(|i| ((i * 37) % 29) as f64 / 14.0 - 1.0);
        let mut targets: Vec<f64> = numbers(SAMPLES).collect();
        targets[70] = 1e200;
        Dataset::new(numbers(3 * SAMPLES).collect(), 3, TargetData::Values { data: targets, width: 1 })
            .unwrap()
    }

    /// Keeps all that is stored, without times.
    #[derive(Default)]
    struct Kept(Vec<State<f64>>);

    impl Checkpoints<f64> for Kept {
        fn save(&mut self, state: &State<f64>) -> Result<(), BoxError> {
            let mut state = state.clone();
            (state.counts.seconds, state.counts.seconds_before) = (0.0, 0.0);
            self.0.push(state);
            Ok(())
        }

        fn save_best(&mut self, _state: &State<f64>) -> Result<(), BoxError> {
            Ok(())
        }
    }

    fn settings(order: Order) -> Settings {
        Settings {
            order,
            on_not_finite: OnNotFinite::SkipStep,
            checkpoint: Some(Every::Steps(7)),
            ..Settings::new(3, 1)
        }
    }

    fn stored(objective: &Objective<f64>, optimizer: &dyn Optimizer<f64>, settings: Settings) -> Kept {
        let (train, threads) = (data(), Threads::one());
        let trainer = Trainer {
            objective,
            train: &train,
            validation: None,
            scoring: None,
            optimizer,
            schedule: &Constant(0.05),
            settings,
            threads: &threads,
            interrupt: None,
        };
        let mut kept = Kept::default();
        let mut state = State::new(objective.start_values(7).unwrap(), Vec::new(), optimizer);
        trainer.fit(&mut state, &mut Silent, &mut kept).unwrap();
        kept
    }

    #[test]
    fn has_the_bits_and_checkpoints_of_other_steps() {
        let momentum = Sgd::new().with_momentum(0.5);
        let optimizers: [&dyn Optimizer<f64>; 3] = [&Sgd::new(), &momentum, &Adam::new()];
        for optimizer in optimizers {
            for order in [Order::Fixed, Order::Shuffled { seed: 4 }] {
                for hidden in [4, 9] {
                    let objective = objective(hidden);
                    let plain = stored(&objective, optimizer, settings(order));
                    // Limits nothing, but is something to do.
                    let clip = Clip { value: Some(1e300), norm: None };
                    let other = stored(&objective, optimizer, Settings { clip, ..settings(order) });
                    let last = plain.0.last().unwrap().counts;
                    assert_eq!((last.steps, last.skipped, last.epochs), (447, 3, 3));
                    assert_eq!(plain.0.len(), 447 / 7 + 1);
                    assert!(plain.0 == other.0, "{optimizer:?} {order:?} {hidden}");
                }
            }
        }
    }

    #[test]
    fn an_interrupted_run_goes_on_to_the_same_end() {
        let (objective, train, threads) = (objective(4), data(), Threads::one());
        let interrupt = AtomicBool::new(true);
        let trainer = Trainer {
            objective: &objective,
            train: &train,
            validation: None,
            scoring: None,
            optimizer: &Sgd::new(),
            schedule: &Constant(0.05),
            settings: Settings { checkpoint: None, ..settings(Order::Fixed) },
            threads: &threads,
            interrupt: Some(&interrupt),
        };
        let start = || State::new(objective.start_values(7).unwrap(), Vec::new(), &Sgd::new());
        let mut whole = start();
        Trainer { interrupt: None, settings: trainer.settings.clone(), ..trainer }
            .fit(&mut whole, &mut Silent, &mut Forget)
            .unwrap();
        let mut state = start();
        let mut runs = 0;
        while state.counts.epochs < 3 {
            trainer.fit(&mut state, &mut Silent, &mut Forget).unwrap();
            runs += 1;
            assert!(runs < 100);
        }
        assert!(runs > 3, "{runs}");
        assert_eq!(state.theta, whole.theta);
        assert_eq!(state.counts.steps, whole.counts.steps);
    }
}
