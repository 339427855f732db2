//! The notebook's network, woman or man by weight and height: `cargo run -p chainrule-example-rust-api`.

#![allow(clippy::print_stdout)] // A program that shows what it does.

use std::error::Error;

use chainrule_core::activation::Sigmoid;
use chainrule_core::layers::{Chain, Dense};
use chainrule_core::loss::Mse;
use chainrule_core::{Ctx, Inline, Layer, Objective, Rows, Shape, Workspace, initialize, parameter_count};
use chainrule_trainer::schedule::Constant;
use chainrule_trainer::{
    Dataset, Forget, Observer, Progress, Record, Scale, Scaler, Settings, Sgd, State, TargetData, Threads,
    Trainer,
};

/// Weight in kg, height in cm of Olya, Vanya, Misha and Anna.
const PEOPLE: [f64; 8] = [54.0, 168.0, 65.0, 185.0, 62.0, 179.0, 47.0, 152.0];

/// 1 for a woman, 0 for a man.
const WOMAN: [f64; 4] = [1.0, 0.0, 0.0, 1.0];

/// Prints the loss over the training set.
struct Printer;

impl Observer for Printer {
    fn progressed(&mut self, _progress: Progress) {}

    fn logged(&mut self, record: &Record) -> Result<(), Box<dyn Error + Send + Sync>> {
        if let Some(loss) = record.train_loss {
            println!("epoch {:4}  loss {loss:.4}", record.epoch);
        }
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    // Two inputs, two hidden neurons, one output.
    let hidden: Box<dyn Layer<f64>> = Box::new(Dense::new(&Shape::vector(2)?, 2, Box::new(Sigmoid))?);
    let output: Box<dyn Layer<f64>> = Box::new(Dense::new(hidden.output_shape(), 1, Box::new(Sigmoid))?);
    let network = Chain::new(vec![("hidden".into(), hidden), ("output".into(), output)])?;
    let objective = Objective::new(Box::new(network), Box::new(Mse))?;

    // Inputs less their means.
    let scaler = Scaler::fit(Scale::Center, &PEOPLE, 2);
    let mut inputs = PEOPLE.to_vec();
    scaler.apply(&mut inputs);
    let train = Dataset::new(inputs, 2, TargetData::Values { data: WOMAN.to_vec(), width: 1 })?;

    // All weights and biases are one vector, which training changes in place.
    let parameters = objective.parameters();
    let mut theta = vec![0.0; parameter_count(&parameters)?];
    initialize(&parameters, &mut theta, 1);
    let optimizer = Sgd::new();
    let trainer = Trainer {
        objective: &objective,
        train: &train,
        validation: None,
        scoring: None,
        optimizer: &optimizer,
        schedule: &Constant(0.1),
        settings: Settings { log_every: 100, evaluate_train: true, ..Settings::new(1000, 1) },
        threads: &Threads::one(),
        interrupt: None,
    };
    let mut state = State::new(theta, Vec::new(), &optimizer);
    trainer.fit(&mut state, &mut Printer, &mut Forget)?;
    let theta = state.theta;

    // Two people that the network has not seen.
    let strangers = [50.0, 168.0, 77.0, 173.0];
    let mut scaled = strangers;
    scaler.apply(&mut scaled);
    let mut workspace = Workspace::new(objective.network(), 2)?;
    let predictions =
        objective.outputs(&theta, &[Rows::new(&scaled, 2)], &mut workspace, &mut Ctx::evaluate(&Inline, &[]));
    for (stranger, prediction) in strangers.chunks(2).zip(predictions.data()) {
        let word = if *prediction > 0.5 { "woman" } else { "man" };
        println!("{} kg, {} cm: {prediction:.4}, a {word}", stranger[0], stranger[1]);
    }
    Ok(())
}
