//! What a run leaves when it has ended: the model, what it reached, and the predictions that were asked for.

use std::path::Path;

use chainrule_trainer::{Counts, End, Outcome};
use serde_json::{Value as Json, json};

use crate::diagnostic::visible;
use crate::error::Failure;
use crate::evaluation::{self, Evaluation};
use crate::experiment::Experiment;
use crate::model::Network;
use crate::predictor::{
    Card, CardOutputs, OutputPrediction, Prediction, Predictor, inputs_json, layers_json,
};
use crate::registry::{Number, Registry};
use crate::run_dir::{MODEL, RESULT};
use crate::session::Session;
use crate::spec::OnNonFinite;
use crate::storage::{self, FileSystem};
use crate::table::Table;
use crate::weights::{self, Weights};

/// The predictions of `[predict]`.
pub(crate) fn predictions<F: Number>(
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

/// Writes `model.safetensors`.
pub(crate) fn write_model<F: Number>(
    system: &dyn FileSystem,
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
    storage::write_atomically(system, &path, &bytes)
}

/// Writes `result.json`.
pub(crate) fn write_result(system: &dyn FileSystem, folder: &Path, result: &Json) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(result).expect("a JSON value is always JSON") + "\n";
    storage::write_atomically(system, &folder.join(RESULT), text.as_bytes())
}

/// The content of `result.json`.
pub(crate) fn result_json<F: Number>(
    experiment: &Experiment,
    session: &Session<F>,
    weights: &Weights<F>,
    (outcome, counts): (&Outcome, &Counts),
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
    let mut result = json!({
        "name": experiment.name,
        "metrics": evaluation::to_json(evaluations, session),
        "predictions": predictions,
        "epochs": outcome.epochs,
        "steps": outcome.steps,
        "train_seconds": outcome.train_seconds,
        "parameters": session.parameter_count,
        "parameters_blake3": blake3::hash(&weights.to_bytes()).to_hex().as_str(),
    });
    if experiment.early_stopping.is_some() {
        result["stopped_early"] = (outcome.end == End::StoppedEarly).into();
        result["best_epoch"] = counts.judged.best_epoch.into();
    }
    if experiment.train.on_nonfinite == OnNonFinite::SkipStep {
        result["skipped_steps"] = counts.skipped.into();
    }
    result
}

fn sample_name(experiment: &Experiment, index: usize) -> String {
    let names = experiment.predict.as_ref().and_then(|predict| predict.names.as_ref());
    names.and_then(|names| names.get(index)).cloned().unwrap_or_else(|| index.to_string())
}

/// A row a sample: its name, its inputs, what the network says.
pub(crate) fn prediction_table(experiment: &Experiment, predictions: &[Prediction]) -> String {
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
        prediction.outputs.iter().map(|(name, value)| format!("{} {value:.3}", visible(name))).collect();
    let layer = if prediction.layer.is_empty() { String::new() } else { format!("{} = ", prediction.layer) };
    let class = prediction.class.iter().map(|class| format!("{}: ", visible(class))).collect::<String>();
    format!("{layer}{class}{}", numbers.join(", "))
}
