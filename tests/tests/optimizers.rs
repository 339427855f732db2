//! Optimisers, clipping, schedules and averages against PyTorch's: `golden/optimizers.json`, which `golden/optimizers.py` makes. What
//! an experiment file asks for is what is compared, so the keys are tested with the formulas.

use chainrule_core::activation::{Linear, Tanh};
use chainrule_core::layers::{Activate, BatchNorm};
use chainrule_core::loss::Mse;
use chainrule_core::{Fans, Initializer, Inline, Objective, Parameter, Role, Shape};
use chainrule_runner::experiment::Experiment;
use chainrule_runner::registry::Registry;
use chainrule_tests::runner::Runner;
use chainrule_tests::{chain, dense, vector};
use chainrule_trainer::optimizer::{Clip, DecayOn, Group, Memory, groups, update};
use chainrule_trainer::schedule::{Constant, Plateau, PlateauState};
use chainrule_trainer::{
    Averaging, Dataset, Forget, Settings, Sgd, Silent, State, TargetData, Threads, Trainer,
};
use serde_json::Value as Json;

fn golden() -> Json {
    serde_json::from_str(include_str!("../golden/optimizers.json")).expect("JSON")
}

/// An experiment with these tables; what it computes does not matter.
fn experiment(runner: &Runner, epochs: &Json, optimizer: &Json, schedule: Option<&Json>) -> Experiment {
    let mut text = format!(
        "data = {{ type = 'inline', x = [[0]], y = [[0]] }}\nmodel = {{ layers = [{{ type = 'dense', units = 1 }}] }}\n\
         loss = {{ type = 'mse' }}\ntrain = {{ epochs = {epochs} }}\n"
    );
    let tables = [("optimizer", Some(optimizer)), ("lr_schedule", schedule)];
    for (name, table) in tables.into_iter().filter_map(|(name, table)| Some((name, table?))) {
        text += &format!("[{name}]\n");
        // Scalars and lists are written as in JSON.
        let keys = table.as_object().expect("a table").iter();
        keys.for_each(|(key, value)| text += &format!("{key} = {value}\n"));
    }
    runner.write("x.toml", &text);
    let loaded = Experiment::load(&runner.path("x.toml"), &[], &Registry::standard());
    loaded.unwrap_or_else(|failure| panic!("{}\n{text}", failure.render(false)))
}

/// `∂L/∂x` of `L = Σ 10 (x_{i+1} - x_i²)² + (1 - x_i)²`.
fn slope(x: &[f64], gradient: &mut [f64]) {
    gradient.fill(0.0);
    for i in 0..x.len() - 1 {
        let off = x[i + 1] - x[i] * x[i];
        gradient[i] -= 40.0 * x[i] * off + 2.0 * (1.0 - x[i]);
        gradient[i + 1] += 20.0 * off;
    }
}

fn assert_close(what: &dyn std::fmt::Display, found: f64, expected: f64) {
    let error = (found - expected).abs() / expected.abs().max(1e-6);
    assert!(error <= 1e-9, "{what}: {found} is not {expected}");
}

fn numbers(value: &Json) -> Vec<f64> {
    serde_json::from_value(value.clone()).expect("numbers")
}

/// All numbers of `x`, as one group.
fn one_group(len: usize) -> Vec<Group> {
    let (shape, fans) = (Shape::vector(len).expect("a shape"), Fans { fan_in: 1, fan_out: 1 });
    groups(&[Parameter::new("x", shape, Role::Weight, Initializer::Zeros, fans)], DecayOn::All, &[])
}

#[test]
fn optimizers_and_clipping_take_pytorchs_steps() {
    let (golden, runner) = (golden(), Runner::new());
    let start = numbers(&golden["start"]);
    let groups = one_group(start.len());
    let cases = golden["optimizers"].as_array().expect("cases");
    assert_eq!(cases.len(), 51);
    for case in cases {
        let keys = &case["keys"];
        let experiment = experiment(&runner, &golden["epochs"], keys, None);
        let optimizer = experiment.optimizer::<f64>(&Registry::standard()).expect("an optimiser");
        let limit = |key: &str| keys[key].as_f64();
        let clip = Clip { norm: limit("clip_grad_norm"), value: limit("clip_grad_value") };
        let rate = keys["learning_rate"].as_f64().expect("a number");
        let (mut x, mut gradient) = (start.clone(), vec![0.0; start.len()]);
        let mut memory = Memory::new(optimizer.as_ref(), x.len());
        for number in 1..=100 {
            slope(&x, &mut gradient);
            clip.apply(&groups, &mut gradient);
            let moved = (&mut x[..], &gradient[..]);
            update(&Inline, optimizer.as_ref(), &groups, (number, rate), moved, &mut memory);
            let expected = case["after"][number.to_string()].as_array().into_iter().flatten();
            for (found, expected) in x.iter().zip(expected) {
                let what = format!("{keys}, step {number}");
                assert_close(&what, *found, expected.as_f64().expect("a number"));
            }
        }
    }
}

#[test]
fn schedules_have_pytorchs_rates() {
    let (golden, runner) = (golden(), Runner::new());
    let optimizer = serde_json::json!({ "type": "sgd", "learning_rate": golden["learning_rate"] });
    let steps_per_epoch = golden["steps_per_epoch"].as_u64().expect("a number");
    let cases = golden["schedules"].as_array().expect("cases");
    assert_eq!(cases.len(), 21);
    for case in cases {
        let keys = &case["keys"];
        let experiment = experiment(&runner, &golden["epochs"], &optimizer, Some(keys));
        let schedule = experiment.schedule(&Registry::standard(), steps_per_epoch).expect("a schedule");
        for (step, expected) in case["rates"].as_array().expect("rates").iter().enumerate() {
            let (found, expected) = (schedule.rate(step as u64), expected.as_f64().expect("a number"));
            assert_close(&format!("{keys}, step {step}"), found, expected);
        }
    }
}

/// The numbers after so many steps of what an experiment asks for.
fn descended(runner: &Runner, keys: &Json, start: &[f64], steps: u64) -> Vec<f64> {
    let experiment = experiment(runner, &1.into(), keys, None);
    let optimizer = experiment.optimizer::<f64>(&Registry::standard()).expect("an optimiser");
    let rate = keys["learning_rate"].as_f64().expect("a number");
    let (mut x, mut gradient) = (start.to_vec(), vec![0.0; start.len()]);
    let mut memory = Memory::new(optimizer.as_ref(), x.len());
    for number in 1..=steps {
        slope(&x, &mut gradient);
        let moved = (&mut x[..], &gradient[..]);
        update(&Inline, optimizer.as_ref(), &one_group(start.len()), (number, rate), moved, &mut memory);
    }
    x
}

#[test]
fn lion_follows_its_paper_which_pytorch_has_no_version_of() {
    let start = [-1.2, 1.0, 0.8, -0.5, 0.3, 1.4];
    for (beta1, beta2, decay) in [(0.9, 0.99, 0.0), (0.9, 0.99, 0.1), (0.7, 0.95, 1.0)] {
        let keys = serde_json::json!({
            "type": "lion", "learning_rate": 3e-3, "beta1": beta1, "beta2": beta2, "weight_decay": decay,
        });
        let (mut x, mut g, mut m) = (start, [0.0; 6], [0.0; 6]);
        for _ in 0..100 {
            slope(&x, &mut g);
            for i in 0..6 {
                let c: f64 = beta1 * m[i] + (1.0 - beta1) * g[i];
                x[i] -= 3e-3 * (c.signum() + decay * x[i]);
                m[i] = beta2 * m[i] + (1.0 - beta2) * g[i];
            }
        }
        for (found, expected) in descended(&Runner::new(), &keys, &start, 100).into_iter().zip(x) {
            assert_close(&keys, found, expected);
        }
    }
}

/// `∂L/∂x` of the generator's convex function, `Σ a x²/2 + log Σ exp x`.
fn convex_slope(x: &[f64], gradient: &mut [f64]) {
    let sum: f64 = x.iter().map(|x| x.exp()).sum();
    for ((g, x), a) in gradient.iter_mut().zip(x).zip([1.0, 2.0, 5.0, 10.0, 20.0, 50.0]) {
        *g = a * x + x.exp() / sum;
    }
}

#[test]
fn lbfgs_takes_pytorchs_steps_to_the_minimum() {
    let (golden, runner) = (golden(), Runner::new());
    let (start, groups) = (numbers(&golden["start"]), one_group(6));
    let cases = golden["lbfgs"].as_array().expect("cases");
    assert_eq!(cases.len(), 6);
    for case in cases {
        let keys = &case["keys"];
        let experiment = experiment(&runner, &golden["epochs"], keys, None);
        let optimizer = experiment.optimizer::<f64>(&Registry::standard()).expect("an optimiser");
        let rate = keys["learning_rate"].as_f64().expect("a number");
        let (mut x, mut gradient) = (start.clone(), vec![0.0; 6]);
        let mut memory = Memory::new(optimizer.as_ref(), 6);
        for number in 1..=100 {
            let slope = if case["convex"] == true { convex_slope } else { slope };
            slope(&x, &mut gradient);
            let moved = (&mut x[..], &gradient[..]);
            update(&Inline, optimizer.as_ref(), &groups, (number, rate), moved, &mut memory);
            let expected = case["after"][number.to_string()].as_array().into_iter().flatten();
            for (found, expected) in x.iter().zip(expected) {
                let expected = expected.as_f64().expect("a number");
                assert!((found - expected).abs() <= 1e-6, "{case}, step {number}: {found} is not {expected}");
            }
        }
    }
}

#[test]
fn a_plateau_lowers_the_rate_when_pytorch_does() {
    let golden = golden();
    let cases = golden["plateaus"].as_array().expect("cases");
    assert_eq!(cases.len(), 5);
    for case in cases {
        let keys = &case["plateau"];
        let number = |key: &str| keys[key].as_f64().expect("a number");
        let plateau = Plateau {
            factor: number("factor"),
            patience: number("patience") as u64,
            threshold: number("threshold"),
            cooldown: number("cooldown") as u64,
            final_factor: number("final_factor"),
        };
        let mut state = PlateauState::default();
        let (values, rates) = (numbers(&case["values"]), numbers(&case["rates"]));
        for (epoch, (value, rate)) in values.into_iter().zip(rates).enumerate() {
            plateau.observe(&mut state, Some(value), case["larger"] == true);
            assert_close(&format!("{keys}, epoch {epoch}"), state.share, rate);
        }
    }
}

/// The state after the generator's training, with an average.
fn averaged(golden: &Json, averaging: Option<Averaging>) -> State<f64> {
    let network = chain::<f64>(vec![
        ("hidden", dense(3, 4, Linear)),
        ("norm", Box::new(BatchNorm::new(&vector(4), 0.1, 1e-5))),
        ("bent", Box::new(Activate::new(&vector(4), Box::new(Tanh)))),
        ("output", dense(4, 1, Linear)),
    ]);
    let objective = Objective::new(network, Box::new(Mse)).expect("one output");
    let targets = TargetData::Values { data: numbers(&golden["y"]), width: 1 };
    let train = Dataset::new(numbers(&golden["x"]), 3, targets).expect("whole samples");
    let optimizer = Sgd::new().with_momentum(0.9);
    let trainer = Trainer {
        objective: &objective,
        train: &train,
        validation: None,
        scoring: None,
        optimizer: &optimizer,
        schedule: &Constant(0.1),
        settings: Settings { averaging, ..Settings::new(6, 4) },
        threads: &Threads::one(),
        interrupt: None,
    };
    let start = &golden["start"];
    let mut state = State::new(numbers(&start["theta"]), numbers(&start["buffers"]), &optimizer);
    trainer.fit(&mut state, &mut Silent, &mut Forget).expect("a loss that stays finite");
    state
}

#[test]
fn averages_are_those_of_pytorchs_averaged_model() {
    let golden = &golden()["averages"];
    let ema = Averaging::Ema { decay: 0.8 };
    let swa = Averaging::Swa { from_epoch: 3 };
    for (name, averaging) in [("last", None), ("ema", Some(ema)), ("swa", Some(swa))] {
        let (state, expected) = (averaged(golden, averaging), &golden[name]);
        let parts = [("theta", state.current().theta), ("buffers", state.current().buffers)];
        for (part, found) in parts {
            let expected = numbers(&expected[part]);
            assert_eq!(found.len(), expected.len());
            for (&found, expected) in found.iter().zip(expected) {
                assert_close(&format!("{name}, {part}"), found, expected);
            }
        }
    }
}
