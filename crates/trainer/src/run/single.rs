//! Steps on one sample each, of nets so small that what surrounds the arithmetic would take longer than it does.

use std::ops::Range;

use chainrule_core::{Float, Total};

use super::Run;
use super::step::rate;
use crate::optimizer::update_groups;
use crate::state::Counts;
use crate::{Every, State, Trainer, finite};

/// Steps between two looks at whether the run is interrupted: some microseconds.
const STEPS_BETWEEN_LOOKS: u64 = 64;

impl<F: Float> Run<'_, F> {
    /// Takes steps on the first samples of `range`, if a step is nothing but a gradient, a look at it, and the optimiser's move;
    /// the sample after the last, and the loss of that. None, if nothing was done: then the next step is [`step`](Self::step)'s.
    ///
    /// A step that is not finite is not taken, nor one of a frozen layer whose gradient is not: the other way tells them apart.
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
            let rate = rate(trainer.schedule, counts, step);
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

/// Whether a step is of one sample, and the optimiser moves each parameter by itself.
pub(super) fn is_of_one<F: Float>(trainer: &Trainer<'_, F>) -> bool {
    let settings = &trainer.settings;
    let one_sample = settings.batch_size.min(trainer.train.len()) == 1;
    one_sample && settings.accumulate == 1 && trainer.optimizer.joint().is_none()
}

/// Steps until something else is to be done.
fn most_steps<F: Float>(trainer: &Trainer<'_, F>, counts: &Counts, next_report: u64) -> u64 {
    let most = STEPS_BETWEEN_LOOKS.min(next_report.saturating_sub(counts.batches));
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
    use chainrule_core::layers::{Chain, Dense, Tuned};
    use chainrule_core::loss::{CrossEntropy, Mse};
    use chainrule_core::{Layer, Objective, Shape, TargetData};

    use crate::optimizer::{Clip, DecayOn, Moments};
    use crate::schedule::{Constant, Cosine, Warmup};
    use crate::trainer::OnNotFinite;
    use crate::{
        Adam, Checkpoints, Dataset, Every, Forget, Nadam, Optimizer, Order, Schedule, Settings, Sgd, Silent,
        State, Threads, Trainer,
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

    fn trainer<'a>(
        objective: &'a Objective<f64>,
        train: &'a Dataset<f64>,
        optimizer: &'a dyn Optimizer<f64>,
        schedule: &'a dyn Schedule,
        settings: Settings,
        threads: &'a Threads,
    ) -> Trainer<'a, f64> {
        let (validation, scoring, interrupt) = (None, None, None);
        Trainer { objective, train, validation, scoring, optimizer, schedule, settings, threads, interrupt }
    }

    /// All that is stored, and how it ends.
    fn stored(
        objective: &Objective<f64>,
        train: &Dataset<f64>,
        optimizer: &dyn Optimizer<f64>,
        settings: Settings,
    ) -> (Vec<State<f64>>, String) {
        let schedule = Warmup::new(Box::new(Cosine::new(0.05, 0.01, 200)), 9, 0.0);
        let threads = Threads::one();
        let trainer = trainer(objective, train, optimizer, &schedule, settings, &threads);
        let mut kept = Kept::default();
        let mut state = State::new(objective.start_values(7).unwrap(), Vec::new(), optimizer);
        let end = trainer.fit(&mut state, &mut Silent, &mut kept);
        (kept.0, end.map_or_else(|error| error.to_string(), |outcome| format!("{:?}", outcome.end)))
    }

    /// The same in steps that also limit the gradient, though not to anything; what is stored in either.
    fn assert_equals_other_steps(
        objective: &Objective<f64>,
        train: &Dataset<f64>,
        optimizer: &dyn Optimizer<f64>,
        settings: Settings,
    ) -> (Vec<State<f64>>, String) {
        let plain = stored(objective, train, optimizer, settings.clone());
        let clip = Clip { value: Some(1e300), norm: None };
        let other = stored(objective, train, optimizer, Settings { clip, ..settings.clone() });
        assert!(plain == other, "{optimizer:?} {settings:?}");
        plain
    }

    #[test]
    fn has_the_bits_and_checkpoints_of_other_steps() {
        let decay = Sgd::new().with_weight_decay(0.01);
        let nadam = Nadam::new(Moments::default(), 4e-3);
        let momentum = Sgd::new().with_momentum(0.5);
        let optimizers: [&dyn Optimizer<f64>; 5] = [&Sgd::new(), &decay, &momentum, &Adam::new(), &nadam];
        for optimizer in optimizers {
            for order in [Order::Fixed, Order::Shuffled { seed: 4 }] {
                for hidden in [4, 9] {
                    let settings = Settings { decay_on: DecayOn::Weights, ..settings(order) };
                    let (states, _) =
                        assert_equals_other_steps(&objective(hidden), &data(), optimizer, settings);
                    let last = states.last().unwrap().counts;
                    assert_eq!((last.steps, last.skipped, last.epochs), (447, 3, 3));
                    assert_eq!(states.len(), 447 / 7 + 1);
                }
            }
        }
    }

    #[test]
    fn a_run_ends_at_the_same_step_for_the_same_reason() {
        let settings = Settings { on_not_finite: OnNotFinite::Stop, ..settings(Order::Fixed) };
        let (states, end) = assert_equals_other_steps(&objective(4), &data(), &Sgd::new(), settings);
        assert_eq!(states.last().unwrap().counts.steps, 70);
        assert!(end.contains("in epoch 1, step 71"), "{end}");
    }

    #[test]
    fn learns_classes() {
        let dense = Dense::new(&Shape::vector(3).unwrap(), 3, Box::new(Linear)).unwrap();
        let objective = Objective::new(Box::new(dense), Box::new(CrossEntropy::new(3))).unwrap();
        let targets = TargetData::Classes { data: (0..20).map(|i| i * 7 % 3).collect(), per_sample: 1 };
        let inputs = (0..60).map(|i| f64::from(i * 37 % 29) / 14.0 - 1.0).collect();
        let train = Dataset::new(inputs, 3, targets).unwrap();
        let (states, _) = assert_equals_other_steps(
            &objective,
            &train,
            &Adam::new(),
            settings(Order::Shuffled { seed: 1 }),
        );
        assert_eq!(states.last().unwrap().counts.steps, 60);
    }

    #[test]
    fn a_data_set_of_one_sample_is_one_whatever_the_batch() {
        let train = data().select(&[3]).unwrap();
        let settings = Settings { batch_size: 8, ..settings(Order::Fixed) };
        let (states, _) = assert_equals_other_steps(&objective(4), &train, &Sgd::new(), settings.clone());
        assert_eq!(states.last().unwrap().counts.steps, 3);
        // Of several batches that make one step, no batch is a step.
        let accumulated = Settings { batch_size: 1, accumulate: 4, ..settings };
        let (states, _) = stored(&objective(4), &data(), &Sgd::new(), accumulated);
        let last = states.last().unwrap().counts;
        // Each epoch leaves one step of 38 out.
        assert_eq!((last.steps, last.batches), (3 * 37, 3 * 150));
    }

    /// What is not trained need not have a gradient.
    #[test]
    fn a_frozen_layer_may_have_a_gradient_that_is_not_finite() {
        let dense = |inputs, units| -> Box<dyn Layer<f64>> {
            Box::new(Dense::new(&Shape::vector(inputs).unwrap(), units, Box::new(Linear)).unwrap())
        };
        let layers = vec![
            (
                "frozen".to_owned(),
                Box::new(Tuned::new(dense(1, 1), false, 1.0).unwrap()) as Box<dyn Layer<f64>>,
            ),
            ("last".to_owned(), dense(1, 1)),
        ];
        let objective = Objective::new(Box::new(Chain::new(layers).unwrap()), Box::new(Mse)).unwrap();
        let targets = TargetData::Values { data: vec![1e150], width: 1 };
        let train = Dataset::new(vec![1e200], 1, targets).unwrap();
        let optimizer = Sgd::new();
        let (schedule, threads) = (Constant(1e-160), Threads::one());
        let trainer = trainer(&objective, &train, &optimizer, &schedule, Settings::new(1, 1), &threads);
        // The output is 0, so the loss is 1e300; by the frozen weight it has a derivative of -2e350.
        let mut state = State::new(vec![0.0, 0.0, 1.0, 0.0], Vec::new(), &optimizer);
        trainer.fit(&mut state, &mut Silent, &mut Forget).unwrap();
        assert_eq!(state.counts.steps, 1);
    }

    #[test]
    fn an_interrupted_run_goes_on_to_the_same_end() {
        let (objective, train, threads) = (objective(4), data(), Threads::one());
        let interrupt = AtomicBool::new(true);
        let (optimizer, schedule) = (Sgd::new(), Constant(0.05));
        let settings = Settings { checkpoint: None, ..settings(Order::Fixed) };
        let trainer = Trainer {
            interrupt: Some(&interrupt),
            ..trainer(&objective, &train, &optimizer, &schedule, settings, &threads)
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
