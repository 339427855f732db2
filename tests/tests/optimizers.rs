//! Optimisers, clipping and schedules against PyTorch's: `golden/optimizers.json`, which `golden/optimizers.py` makes. What
//! an experiment file asks for is what is compared, so the keys are tested with the formulas.

use chainrule_core::{Fans, Initializer, Inline, Parameter, Role, Shape};
use chainrule_runner::experiment::Experiment;
use chainrule_runner::registry::Registry;
use chainrule_tests::runner::Runner;
use chainrule_trainer::optimizer::{Clip, DecayOn, Memory, groups, update};
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

#[test]
fn optimizers_and_clipping_take_pytorchs_steps() {
    let (golden, runner) = (golden(), Runner::new());
    let start: Vec<f64> = serde_json::from_value(golden["start"].clone()).expect("numbers");
    let shape = Shape::vector(start.len()).expect("a shape");
    let fans = Fans { fan_in: 1, fan_out: 1 };
    let groups = groups(&[Parameter::new("x", shape, Role::Weight, Initializer::Zeros, fans)], DecayOn::All);
    let cases = golden["optimizers"].as_array().expect("cases");
    assert_eq!(cases.len(), 28);
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
            update(&Inline, optimizer.as_ref(), &groups, (number, rate), (&mut x, &gradient), &mut memory);
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
