use std::error::Error as StdError;

use chainrule_core::activation::{Linear, Tanh};
use chainrule_core::layers::{BatchNorm, Chain, Dense, Dropout};
use chainrule_core::loss::Mse;
use chainrule_core::{Layer, Shape};

use super::*;
use crate::schedule::{Constant, Plateau, ReduceOnPlateau};
use crate::{Adam, Forget, NotFinite, Progress, Record, Sgd, Silent, TargetData};

type BoxError = Box<dyn StdError + Send + Sync>;

/// `y = w x + b` on one sample, from `w = b = 0`.
fn fit(settings: Settings, rate: f64) -> Result<State<f64>, Error> {
    let dense = Dense::new(&Shape::vector(1)?, 1, Box::new(Linear))?;
    let objective = Objective::<f64>::new(Box::new(dense), Box::new(Mse))?;
    let train = Dataset::new(vec![1.0], 1, TargetData::Values { data: vec![1.0], width: 1 })?;
    let optimizer = Sgd::new();
    let trainer = Trainer {
        objective: &objective,
        train: &train,
        validation: None,
        scoring: None,
        optimizer: &optimizer,
        schedule: &Constant(rate),
        settings,
        threads: &Threads::one(),
        interrupt: None,
    };
    let mut state = State::new(vec![0.0, 0.0], vec![], &optimizer);
    trainer.fit(&mut state, &mut Silent, &mut Forget)?;
    Ok(state)
}

#[test]
fn refuses_settings_of_zero() {
    for (what, settings) in [
        ("epochs", Settings::new(0, 1)),
        ("batch_size", Settings::new(1, 0)),
        ("log_every", Settings { log_every: 0, ..Settings::new(1, 1) }),
        ("accumulate", Settings { accumulate: 0, ..Settings::new(1, 1) }),
        ("checkpoint", Settings { checkpoint: Some(Every::Steps(0)), ..Settings::new(1, 1) }),
    ] {
        assert_eq!(fit(settings, 0.1).unwrap_err().to_string(), format!("{what} must be at least 1"));
    }
}

#[test]
fn notices_parameters_that_the_last_step_made_infinite() {
    let Err(Error::Diverged(found)) = fit(Settings::new(1, 1), f64::MAX) else { panic!("it diverges") };
    let expected = NotFinite::Parameter { tensor: "weight".into(), value: f64::INFINITY };
    assert_eq!((found.what, found.step), (expected, 1));
    assert_eq!(fit(Settings::new(1, 1), 0.1).unwrap().theta, [0.2, 0.2]);
}

/// Two layers with noise between them, on 23 samples of three numbers.
struct Case {
    objective: Objective<f64>,
    train: Dataset<f64>,
    validation: Dataset<f64>,
    optimizer: Adam,
}

fn numbers(len: usize, seed: usize) -> Vec<f64> {
    (0..len).map(|i| ((i * 37 + seed * 11) % 29) as f64 / 14.0 - 1.0).collect()
}

impl Case {
    fn new(rate: f64) -> Self {
        let shape = |len| Shape::vector(len).unwrap();
        let layers: Vec<(String, Box<dyn Layer<f64>>)> = vec![
            ("hidden".into(), Box::new(Dense::new(&shape(3), 4, Box::new(Tanh)).unwrap())),
            ("noise".into(), Box::new(Dropout::new(&shape(4), rate).unwrap())),
            ("output".into(), Box::new(Dense::new(&shape(4), 1, Box::new(Linear)).unwrap())),
        ];
        let network = Chain::new(layers).unwrap();
        let data = |rows: usize, seed| {
            let targets = TargetData::Values { data: numbers(rows, seed + 1), width: 1 };
            Dataset::new(numbers(rows * 3, seed), 3, targets).unwrap()
        };
        Self {
            objective: Objective::new(Box::new(network), Box::new(Mse)).unwrap(),
            train: data(23, 1),
            validation: data(9, 5),
            optimizer: Adam::new(),
        }
    }

    fn trainer<'a>(
        &'a self,
        settings: Settings,
        schedule: &'a dyn Schedule,
        threads: &'a Threads,
    ) -> Trainer<'a, f64> {
        Trainer {
            objective: &self.objective,
            train: &self.train,
            validation: Some(&self.validation),
            scoring: None,
            optimizer: &self.optimizer,
            schedule,
            settings,
            threads,
            interrupt: None,
        }
    }

    fn start(&self) -> State<f64> {
        State::new(self.objective.start_values(7).unwrap(), Vec::new(), &self.optimizer)
    }
}

/// Keeps all states and records.
#[derive(Default)]
struct Kept {
    states: Vec<State<f64>>,
    best: Vec<u64>,
}

impl Checkpoints<f64> for Kept {
    fn save(&mut self, state: &State<f64>) -> Result<(), BoxError> {
        self.states.push(state.clone());
        Ok(())
    }

    fn save_best(&mut self, state: &State<f64>) -> Result<(), BoxError> {
        self.best.push(state.counts.epochs);
        Ok(())
    }
}

#[derive(Default)]
struct Records(Vec<Record>);

impl Observer for Records {
    fn progressed(&mut self, _progress: Progress) {}

    fn logged(&mut self, record: &Record) -> Result<(), BoxError> {
        self.0.push(Record { train_seconds: 0.0, ..record.clone() });
        Ok(())
    }
}

fn without_time(mut state: State<f64>) -> State<f64> {
    state.counts.seconds = 0.0;
    state.counts.seconds_before = 0.0;
    state
}

/// Everything that has a memory: noise, order, moments, averages, patience, a plateau.
fn settings_with_memory() -> Settings {
    Settings {
        order: Order::Shuffled { seed: 3 },
        accumulate: 2,
        log_every: 2,
        monitor: Monitor::loss(Part::Validation),
        early_stopping: Some(EarlyStopping { patience: 4, min_delta: 0.001, restore_best: true }),
        averaging: Some(Averaging::Ema { decay: 0.8 }),
        checkpoint: Some(Every::Steps(1)),
        save_best: true,
        evaluate_train: true,
        ..Settings::new(12, 4)
    }
}

fn plateau() -> ReduceOnPlateau {
    let plateau = Plateau { factor: 0.5, patience: 0, threshold: 1e-2, cooldown: 1, final_factor: 0.1 };
    ReduceOnPlateau { rate: 0.05, plateau }
}

#[test]
fn every_stored_state_leads_to_the_same_end() {
    let case = Case::new(0.4);
    let (schedule, threads) = (plateau(), Threads::one());
    let trainer = case.trainer(settings_with_memory(), &schedule, &threads);
    let (mut state, mut kept, mut records) = (case.start(), Kept::default(), Records::default());
    trainer.fit(&mut state, &mut records, &mut kept).unwrap();
    let end = without_time(state);
    assert!(kept.states.len() > 12, "{} states", kept.states.len());
    assert!(end.counts.plateau.share < 1.0 && end.best.is_some() && !kept.best.is_empty());
    for stored in kept.states {
        let (mut state, mut more) = (stored.clone(), Records::default());
        trainer.fit(&mut state, &mut more, &mut Kept::default()).unwrap();
        assert_eq!(without_time(state), end, "from step {}", stored.counts.steps);
        let expected = records.0.iter().filter(|record| record.epoch > stored.counts.logged);
        assert!(more.0.iter().eq(expected), "from step {}", stored.counts.steps);
    }
}

#[test]
fn an_interruption_stores_the_state_after_its_step() {
    let case = Case::new(0.4);
    let (schedule, threads, interrupt) = (Constant(0.05), Threads::one(), AtomicBool::new(true));
    let settings = Settings { checkpoint: None, ..settings_with_memory() };
    let trainer = Trainer { interrupt: Some(&interrupt), ..case.trainer(settings, &schedule, &threads) };
    let (mut state, mut kept) = (case.start(), Kept::default());
    for steps in 1..=4 {
        let outcome = trainer.fit(&mut state, &mut Silent, &mut kept).unwrap();
        assert_eq!((outcome.end, outcome.steps), (End::Interrupted, steps));
        assert_eq!(kept.states.last(), Some(&state));
    }
    // Three steps an epoch.
    assert_eq!((state.counts.epochs, state.counts.samples), (1, 8));
}

#[test]
fn accumulated_gradients_are_those_of_a_large_batch() {
    let case = Case::new(0.0);
    let (schedule, threads) = (Constant(0.01), Threads::one());
    let ends = [(1, 12), (3, 4), (4, 3)].map(|(accumulate, size)| {
        let settings = Settings { accumulate, ..Settings::new(3, size) };
        let mut state = case.start();
        case.trainer(settings, &schedule, &threads).fit(&mut state, &mut Silent, &mut Forget).unwrap();
        assert_eq!(state.counts.steps, 6);
        state.theta
    });
    for other in &ends[1..] {
        for (a, b) in ends[0].iter().zip(other) {
            assert!((a - b).abs() < 1e-12, "{a} and {b}");
        }
    }
}

#[test]
fn early_stopping_gives_the_best_epoch() {
    let case = Case::new(0.0);
    // So long a step that the loss soon rises.
    let (schedule, threads) = (Constant(0.4), Threads::one());
    let stopping = EarlyStopping { patience: 3, min_delta: 0.0, restore_best: true };
    let settings = Settings {
        monitor: Monitor::loss(Part::Validation),
        early_stopping: Some(stopping),
        ..Settings::new(500, 4)
    };
    let (mut state, mut records) = (case.start(), Records::default());
    let trainer = case.trainer(settings, &schedule, &threads);
    let outcome = trainer.fit(&mut state, &mut records, &mut Forget).unwrap();
    assert_eq!(outcome.end, End::StoppedEarly);
    let loss = |record: &&Record| record.validation_loss.unwrap();
    let best = records.0.iter().min_by(|a, b| loss(a).total_cmp(&loss(b))).unwrap();
    assert_eq!((outcome.epochs, state.counts.judged.best_epoch), (best.epoch + 3, best.epoch));
    // Trained for just as many epochs, it would be there.
    let mut expected = case.start();
    let settings = Settings::new(best.epoch, 4);
    case.trainer(settings, &schedule, &threads).fit(&mut expected, &mut Silent, &mut Forget).unwrap();
    assert_eq!(state.result().theta, expected.theta);
    assert_ne!(state.theta, expected.theta);
}

/// A sample whose targets are so far off that the square overflows.
fn with_bad_sample(mut case: Case, at: usize) -> Case {
    let mut targets = numbers(23, 2);
    targets[at] = 1e200;
    let targets = TargetData::Values { data: targets, width: 1 };
    case.train = Dataset::new(numbers(23 * 3, 1), 3, targets).unwrap();
    case
}

#[test]
fn a_divergence_names_step_and_sample_and_changes_nothing() {
    let case = with_bad_sample(Case::new(0.4), 9);
    let (schedule, threads) = (Constant(0.05), Threads::one());
    let mut state = case.start();
    let trainer = case.trainer(Settings::new(2, 4), &schedule, &threads);
    let Err(Error::Diverged(found)) = trainer.fit(&mut state, &mut Silent, &mut Forget) else {
        panic!("it diverges")
    };
    assert_eq!((found.epoch, found.step, found.batch, &found.samples[..]), (1, 3, 4, &[9][..]));
    assert_eq!(found.what, NotFinite::Loss { loss: f64::INFINITY });
    assert_eq!(state.counts.steps, 2);
    assert!(state.theta.iter().all(|number| number.is_finite()));
}

#[test]
fn a_divergence_names_the_first_layer_that_overflows() {
    let case = Case::new(0.0);
    let (schedule, threads) = (Constant(0.05), Threads::one());
    let mut state = case.start();
    // Layer "output" adds up four of them.
    state.theta[16..20].fill(f64::MAX);
    state.theta[12..16].fill(9.0);
    let trainer = case.trainer(Settings::new(1, 4), &schedule, &threads);
    let Err(error) = trainer.fit(&mut state, &mut Silent, &mut Forget) else { panic!("it diverges") };
    let message = error.to_string();
    assert!(
        message.contains("in epoch 1, step 1: the output of layer \"output\" is not finite"),
        "{message}"
    );
}

#[test]
fn steps_that_are_not_finite_can_be_left_out() {
    let case = with_bad_sample(Case::new(0.4), 9);
    let (schedule, threads) = (Constant(0.05), Threads::one());
    let mut state = case.start();
    let settings = Settings { on_not_finite: OnNotFinite::SkipStep, ..Settings::new(3, 4) };
    let trainer = case.trainer(settings, &schedule, &threads);
    trainer.fit(&mut state, &mut Silent, &mut Forget).unwrap();
    assert_eq!((state.counts.steps, state.counts.skipped, state.counts.batches), (15, 3, 18));
    assert!(state.theta.iter().all(|number| number.is_finite()));
}

#[test]
fn a_state_of_another_network_is_refused() {
    let case = Case::new(0.0);
    let (schedule, threads) = (Constant(0.05), Threads::one());
    let trainer = case.trainer(Settings::new(1, 4), &schedule, &threads);
    let mut state = State::new(vec![0.0; 3], Vec::new(), &case.optimizer);
    assert!(matches!(trainer.fit(&mut state, &mut Silent, &mut Forget), Err(Error::State)));
    let mut state = State::new(case.start().theta, Vec::new(), &Sgd::new());
    assert!(matches!(trainer.fit(&mut state, &mut Silent, &mut Forget), Err(Error::State)));
}

#[test]
fn a_pause_changes_nothing() {
    let case = Case::new(0.4);
    let (schedule, threads) = (plateau(), Threads::one());
    let mut whole = case.start();
    // No checkpoint is due on the way, so that what is stored is stored for the pause.
    let settings = Settings { checkpoint: None, save_best: false, ..settings_with_memory() };
    case.trainer(settings.clone(), &schedule, &threads).fit(&mut whole, &mut Silent, &mut Forget).unwrap();
    let mut state = case.start();
    for (pause, saves) in [(2, 1), (2, 0), (5, 1)] {
        let settings = Settings { pause_after: Some(pause), ..settings.clone() };
        let mut kept = Kept::default();
        let trainer = case.trainer(settings, &schedule, &threads);
        let outcome = trainer.fit(&mut state, &mut Silent, &mut kept).unwrap();
        assert_eq!((outcome.end, outcome.epochs, kept.states.len()), (End::Paused, pause, saves));
        assert!(kept.states.iter().all(|kept| *kept == state));
    }
    case.trainer(settings, &schedule, &threads).fit(&mut state, &mut Silent, &mut Forget).unwrap();
    assert_eq!(without_time(state), without_time(whole));
}

#[test]
fn what_the_settings_no_longer_ask_for_does_not_act_any_more() {
    let case = Case::new(0.4);
    let (schedule, threads) = (plateau(), Threads::one());
    let settings = Settings { pause_after: Some(6), ..settings_with_memory() };
    let mut state = case.start();
    case.trainer(settings, &schedule, &threads).fit(&mut state, &mut Silent, &mut Forget).unwrap();
    assert!(state.average.is_some() && state.best.is_some() && state.counts.plateau.share < 1.0);
    let (constant, plain) = (Constant(0.01), Settings::new(8, 4));
    let trainer = case.trainer(plain, &constant, &threads);
    let mut records = Records::default();
    trainer.fit(&mut state, &mut records, &mut Forget).unwrap();
    assert_eq!(state.result().theta, state.theta);
    assert!(records.0.iter().all(|record| record.learning_rate == 0.01), "{:?}", records.0);
}

#[test]
fn steps_that_are_left_out_store_no_state_again() {
    let case = with_bad_sample(Case::new(0.4), 0);
    let (schedule, threads) = (Constant(0.05), Threads::one());
    let settings = Settings {
        on_not_finite: OnNotFinite::SkipStep,
        checkpoint: Some(Every::Steps(5)),
        ..Settings::new(2, 4)
    };
    let (mut state, mut kept) = (case.start(), Kept::default());
    case.trainer(settings, &schedule, &threads).fit(&mut state, &mut Silent, &mut kept).unwrap();
    // The first step of either epoch is left out: none at step 0, and one at step 5, not two.
    assert_eq!(kept.states.iter().map(|state| state.counts.steps).collect::<Vec<_>>(), [5, 10]);
}

/// A network whose statistics a step changes before its gradient is known.
fn with_statistics(bad: f64) -> (Objective<f64>, Dataset<f64>) {
    let shape = |len| Shape::vector(len).unwrap();
    let layers: Vec<(String, Box<dyn Layer<f64>>)> = vec![
        ("norm".into(), Box::new(BatchNorm::new(&shape(2), 0.1, 1e-5))),
        ("output".into(), Box::new(Dense::new(&shape(2), 1, Box::new(Linear)).unwrap())),
    ];
    let mut inputs = numbers(24, 1);
    inputs[10] = bad;
    let targets = TargetData::Values { data: numbers(12, 2), width: 1 };
    let network = Box::new(Chain::new(layers).unwrap());
    (Objective::new(network, Box::new(Mse)).unwrap(), Dataset::new(inputs, 2, targets).unwrap())
}

#[test]
fn a_step_that_is_not_taken_leaves_the_statistics_as_they_were() {
    // Its square overflows in the variance, so that one sample spoils the statistics of its batch.
    let (objective, train) = with_statistics(1e200);
    let optimizer = Sgd::new();
    for on_not_finite in [OnNotFinite::Stop, OnNotFinite::SkipStep] {
        let trainer = Trainer {
            objective: &objective,
            train: &train,
            validation: None,
            scoring: None,
            optimizer: &optimizer,
            schedule: &Constant(0.1),
            settings: Settings { on_not_finite, ..Settings::new(1, 4) },
            threads: &Threads::one(),
            interrupt: None,
        };
        let start = objective.start_values(1).unwrap();
        let mut state = State::new(start, objective.start_buffers(), &optimizer);
        let outcome = trainer.fit(&mut state, &mut Silent, &mut Forget);
        assert!(state.buffers.iter().all(|number| number.is_finite()), "{:?}", state.buffers);
        match outcome {
            Ok(_) => assert_eq!(state.counts.skipped, 1),
            Err(Error::Diverged(found)) => assert_eq!((found.step, found.batch), (2, 4)),
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn what_is_left_of_an_epoch_must_make_batches() {
    let (objective, train) = with_statistics(0.5);
    let optimizer = Sgd::new();
    let trainer = Trainer {
        objective: &objective,
        train: &train,
        validation: None,
        scoring: None,
        optimizer: &optimizer,
        schedule: &Constant(0.1),
        settings: Settings::new(1, 4),
        threads: &Threads::one(),
        interrupt: None,
    };
    let mut state = State::new(objective.start_values(1).unwrap(), objective.start_buffers(), &optimizer);
    state.counts.samples = 11;
    let outcome = trainer.fit(&mut state, &mut Silent, &mut Forget);
    assert!(matches!(outcome, Err(Error::SmallBatch { smallest: 1, .. })), "{outcome:?}");
    state.counts.samples = 13;
    assert!(matches!(trainer.fit(&mut state, &mut Silent, &mut Forget), Err(Error::State)));
}

#[test]
fn early_stopping_looks_at_the_last_parameters() {
    // The loss is that before the step, which makes the parameters infinite.
    let stopping = EarlyStopping { patience: 1, min_delta: f64::MAX, restore_best: false };
    let settings = Settings { early_stopping: Some(stopping), ..Settings::new(9, 1) };
    let outcome = fit(settings, f64::MAX);
    assert!(matches!(outcome, Err(Error::Diverged(_))), "{outcome:?}");
}
