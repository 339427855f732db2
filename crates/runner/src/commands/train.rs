//! `runner train`: from an experiment to a run directory.

use std::path::Path;

use chainrule_trainer::{Forget, Order, Outcome, Settings, Snapshot, State, Threads, Trainer};
use serde_json::{Value as Json, json};

use super::{load, print};
use crate::cli::TrainArgs;
use crate::console::Console;
use crate::error::Failure;
use crate::evaluation::{self, Evaluation};
use crate::experiment::Experiment;
use crate::model::Network;
use crate::predictor::{
    Card, CardOutputs, OutputPrediction, Prediction, Predictor, inputs_json, layers_json,
};
use crate::progress::{Style, Watcher, short};
use crate::registry::{Number, Registry};
use crate::run_dir::{Existing, MODEL, RESULT, RunDir};
use crate::session::Session;
use crate::spec::Dtype;
use crate::storage;
use crate::table::Table;
use crate::weights::{self, Weights};

/// Trains an experiment and writes its run directory.
///
/// # Errors
/// Whatever the contract has an exit code for; before training starts, nothing has been written.
pub fn run(arguments: &TrainArgs, registry: &Registry, console: Console) -> Result<(), Failure> {
    let experiment = load(&arguments.experiment, registry)?;
    match experiment.dtype {
        Dtype::F32 => train::<f32>(&experiment, arguments, registry, console),
        Dtype::F64 => train::<f64>(&experiment, arguments, registry, console),
    }
}

fn train<F: Number>(
    experiment: &Experiment,
    arguments: &TrainArgs,
    registry: &Registry,
    console: Console,
) -> Result<(), Failure> {
    let session = Session::<F>::new(experiment, registry, None)?;
    let weights = session.start(experiment)?;
    let existing = if arguments.force { Existing::Replace } else { Existing::Keep };
    let path = RunDir::choose(arguments.out.as_deref(), &experiment.name, existing)?;
    let run = RunDir::create(&path, &experiment.resolved_toml(), existing)?;

    let threads = threads(experiment, arguments, &session)?;
    say_start(experiment, arguments, &session, threads.count(), console);
    let (epochs, samples) = (experiment.train.epochs, session.train.len() as u64);
    let mut watcher = Watcher::new(arguments.progress, console.verbosity(), run.metrics()?, epochs, samples);
    let trainer = Trainer {
        objective: &session.objective,
        train: &session.train,
        validation: session.validation.as_ref(),
        scoring: Some(session.scoring()),
        optimizer: session.optimizer.as_ref(),
        schedule: session.schedule.as_ref(),
        settings: settings(experiment),
        threads: &threads,
        interrupt: None,
    };
    let Weights { theta, buffers } = weights;
    let mut state = State::new(theta, buffers, trainer.optimizer);
    let outcome = trainer.fit(&mut state, &mut watcher, &mut Forget);
    watcher.finish();
    let outcome = outcome?;
    let Snapshot { theta, buffers } = Snapshot::of(state.result());
    let weights = Weights { theta, buffers };

    let evaluations = evaluation::evaluate(&session, weights.values(), &threads)?;
    let predictions = predictions(experiment, registry, &session, &weights)?;
    write_model(run.path(), experiment, &session, &weights)?;
    let result = result_json(experiment, &session, &weights, &outcome, &evaluations, &predictions);
    let text = serde_json::to_string_pretty(&result).expect("a JSON value is always JSON") + "\n";
    storage::write_atomically(&run.file(RESULT), text.as_bytes())?;

    say_end(arguments, &result, &evaluations, run.path(), console);
    if predictions.is_empty() { Ok(()) } else { print(console, &prediction_table(experiment, &predictions)) }
}

fn say_start<F: Number>(
    experiment: &Experiment,
    arguments: &TrainArgs,
    session: &Session<F>,
    threads: usize,
    console: Console,
) {
    if arguments.progress == Style::Json {
        return console.event(&json!({
            "event": "start",
            "name": experiment.name,
            "parameters": session.parameter_count,
            "dtype": F::NAME,
            "samples": session.train.len(),
            "threads": threads,
            "seed": experiment.seed,
        }));
    }
    console.detail(&format!(
        "{} parameters in {}, {} samples, {threads} thread(s), seed {}",
        session.parameter_count,
        F::NAME,
        session.train.len(),
        experiment.seed
    ));
}

/// In words, or as an event that has what the words say.
fn say_end(arguments: &TrainArgs, result: &Json, evaluations: &[Evaluation], run: &Path, console: Console) {
    if arguments.progress == Style::Json {
        let mut event = json!({ "event": "done", "run": run.display().to_string() });
        for key in ["name", "epochs", "steps", "train_seconds", "metrics"] {
            event[key] = result[key].clone();
        }
        return console.event(&event);
    }
    console.note(&format!(
        "{}: {} epochs, {} steps in {} s, {}",
        result["name"].as_str().unwrap_or_default(),
        result["epochs"],
        result["steps"],
        short(result["train_seconds"].as_f64().unwrap_or_default()),
        evaluation::summary(evaluations)
    ));
    console.note(&format!("wrote {}", run.display()));
}

fn settings(experiment: &Experiment) -> Settings {
    let train = &experiment.train;
    Settings {
        order: if train.shuffle { Order::Shuffled { seed: experiment.seed } } else { Order::Fixed },
        seed: experiment.seed,
        clip: experiment.optimizer.clip(),
        decay_on: experiment.optimizer.weight_decay_on.into(),
        log_every: train.log_every,
        evaluate_train: train.evaluate_train,
        ..Settings::new(train.epochs, train.batch_size)
    }
}

fn threads<F: Number>(
    experiment: &Experiment,
    arguments: &TrainArgs,
    session: &Session<F>,
) -> Result<Threads, Failure> {
    let count = arguments.threads.map_or(experiment.runtime.threads, usize::from);
    // The final evaluation runs over the whole set, whatever is logged.
    let work = Trainer::largest_work(&session.objective, experiment.train.batch_size, session.most_samples());
    Ok(Threads::for_work(count, work)?)
}

fn predictions<F: Number>(
    experiment: &Experiment,
    registry: &Registry,
    session: &Session<F>,
    weights: &Weights<F>,
) -> Result<Vec<Prediction>, Failure> {
    let Some(predict) = &experiment.predict else { return Ok(Vec::new()) };
    let (shape, outputs) = (&session.input_shape, &session.outputs);
    let layer = crate::session::inference(experiment, registry, shape, outputs, session.masking)?;
    let network =
        Network { layer, outputs: session.scored.iter().map(|output| output.shape.clone()).collect() };
    let preprocessing = session.preprocessing.clone();
    let outputs = CardOutputs::new(&experiment.goals, outputs);
    let mut predictor = Predictor::new(network, weights.clone(), preprocessing, &outputs);
    let outputs = predictor.predict(predict.x.concat())?;
    Ok(outputs.chunks_exact(predictor.width()).map(|outputs| predictor.prediction(outputs)).collect())
}

fn write_model<F: Number>(
    folder: &Path,
    experiment: &Experiment,
    session: &Session<F>,
    weights: &Weights<F>,
) -> Result<(), Failure> {
    let card = Card {
        format: Card::FORMAT,
        dtype: experiment.dtype,
        input_shape: session.input_shape.axes().to_vec(),
        layers: layers_json(&experiment.resolved),
        inputs: inputs_json(&experiment.resolved),
        outputs: CardOutputs::new(&experiment.goals, &session.outputs),
        preprocessing: session.preprocessing.clone(),
    };
    let path = folder.join(MODEL);
    let failed =
        |error: &dyn std::fmt::Display| Failure::Run { path: path.clone(), message: error.to_string() };
    let text = card.to_text().map_err(|error| failed(&error))?;
    let bytes = weights::encode(session.tensors(), weights, Some(text)).map_err(|error| failed(&error))?;
    storage::write_atomically(&path, &bytes)
}

fn result_json<F: Number>(
    experiment: &Experiment,
    session: &Session<F>,
    weights: &Weights<F>,
    outcome: &Outcome,
    evaluations: &[Evaluation],
    predictions: &[Prediction],
) -> Json {
    let rows = experiment.predict.iter().flat_map(|predict| &predict.x).enumerate();
    let predictions: Vec<Json> = rows
        .zip(predictions)
        .map(|((index, x), prediction)| {
            json!({ "name": sample_name(experiment, index), "x": x, "prediction": prediction.to_json() })
        })
        .collect();
    json!({
        "name": experiment.name,
        "metrics": evaluation::to_json(evaluations, session),
        "predictions": predictions,
        "epochs": outcome.epochs,
        "steps": outcome.steps,
        "train_seconds": outcome.train_seconds,
        "parameters": session.parameter_count,
        "parameters_blake3": blake3::hash(&weights.to_bytes()).to_hex().as_str(),
    })
}

fn sample_name(experiment: &Experiment, index: usize) -> String {
    let names = experiment.predict.as_ref().and_then(|predict| predict.names.as_ref());
    names.and_then(|names| names.get(index)).cloned().unwrap_or_else(|| index.to_string())
}

/// A row a sample: its name, its inputs, what the network says.
fn prediction_table(experiment: &Experiment, predictions: &[Prediction]) -> String {
    let mut table = Table::new(&["sample", "x", "prediction"]);
    let rows = experiment.predict.iter().flat_map(|predict| &predict.x).enumerate();
    for ((index, x), prediction) in rows.zip(predictions) {
        let x: Vec<String> = x.iter().take(8).map(f64::to_string).collect();
        let more =
            if experiment.predict.iter().any(|predict| predict.x[index].len() > 8) { ", ..." } else { "" };
        let outputs: Vec<String> = prediction.outputs.iter().map(in_words).collect();
        let x = format!("{}{more}", x.join(", "));
        table.row([&sample_name(experiment, index), &x, &outputs.join("; ")]);
    }
    table.render()
}

/// What one output says of a sample: the class, if there is one, and every number under its name.
fn in_words(prediction: &OutputPrediction) -> String {
    let numbers: Vec<String> =
        prediction.outputs.iter().map(|(name, value)| format!("{name} {value:.3}")).collect();
    let layer = if prediction.layer.is_empty() { String::new() } else { format!("{} = ", prediction.layer) };
    let class = prediction.class.iter().map(|class| format!("{class}: ")).collect::<String>();
    format!("{layer}{class}{}", numbers.join(", "))
}
