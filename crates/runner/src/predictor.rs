//! A trained model on its own: what `predict` and other programs load, without experiment or data.

use chainrule_core::{Ctx, Inline, Layer, Rows, RowsMut, Shape, parameter_count};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::data::{Labels, Mask, Preprocessing};
use crate::diagnostic::{self, Diagnostics};
use crate::document::{self, Node, Sources};
use crate::experiment::Goal;
use crate::model::{Head, ModelPlan, ModelSource, Network};
use crate::registry::{Number, Outputs, Registry};
use crate::session::with_masking;
use crate::spec::Dtype;
use crate::weights::{self, Tensors, Weights, WeightsError};

/// What a model file says of itself: all that prediction needs beside the parameters, and nothing that differs between
/// equal runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// The version of this description.
    pub format: u32,
    /// The numbers that the network computes in.
    pub dtype: Dtype,
    /// The shape of one sample.
    pub input_shape: Vec<usize>,
    /// `[model] layers`, every default filled in.
    pub layers: Json,
    /// `[[inputs]]`, if there are several or they have names.
    #[serde(default, skip_serializing_if = "Json::is_null")]
    pub inputs: Json,
    /// What the outputs are.
    pub outputs: CardOutputs,
    /// What was fitted on the training samples.
    pub preprocessing: Preprocessing,
}

/// What the outputs of a model are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum CardOutputs {
    /// There is one.
    One(Outputs),
    /// There are several, in this order.
    Several(Vec<CardOutput>),
}

/// One of several outputs of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CardOutput {
    /// The layer that gives it.
    pub layer: String,
    /// What it is.
    pub outputs: Outputs,
}

impl CardOutputs {
    /// Those of an experiment.
    pub(crate) fn new(goals: &[Goal], outputs: &[Outputs]) -> Self {
        if let [only] = outputs {
            return Self::One(*only);
        }
        let output = |(goal, &outputs): (&Goal, &Outputs)| CardOutput { layer: goal.name.clone(), outputs };
        Self::Several(goals.iter().zip(outputs).map(output).collect())
    }

    /// One by one, with the layer; nothing, if there is one.
    fn all(&self) -> Vec<(String, Outputs)> {
        match self {
            Self::One(outputs) => vec![(String::new(), *outputs)],
            Self::Several(outputs) => {
                outputs.iter().map(|output| (output.layer.clone(), output.outputs)).collect()
            }
        }
    }
}

/// Why a model file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The tensors do not fit the model, or the file is not one.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The file holds tensors, but no model.
    #[error("the file does not say which network its tensors belong to; was it written by Chainrule?")]
    NoCard,
    /// The description is not one.
    #[error("the file's description of the network cannot be read: {0}")]
    Card(#[from] serde_json::Error),
    /// The network cannot be built.
    #[error("the file's network cannot be built: {0}")]
    Network(String),
}

impl Card {
    /// The current version.
    pub const FORMAT: u32 = 1;

    /// Reads the description of a model file.
    ///
    /// # Errors
    /// [`ModelError`] if there is none that this version understands.
    pub fn of(bytes: &[u8]) -> Result<Self, ModelError> {
        let text = weights::metadata(bytes)?.ok_or(ModelError::NoCard)?;
        let card: Self = serde_json::from_str(&text)?;
        if card.format != Self::FORMAT {
            return Err(ModelError::Network(format!(
                "it is of version {}, not {}",
                card.format,
                Self::FORMAT
            )));
        }
        card.check_preprocessing().map_err(|what| {
            ModelError::Network(format!("its {what} do not fit its inputs {:?}", card.input_shape))
        })?;
        Ok(card)
    }

    /// What was fitted belongs to as many inputs as the network has; otherwise says what does not.
    fn check_preprocessing(&self) -> Result<(), &'static str> {
        let count = self.input_shape.iter().try_fold(1, |count: usize, &axis| count.checked_mul(axis));
        if count != Some(self.preprocessing.inputs) {
            return Err("samples");
        }
        self.preprocessing.check()
    }

    /// The description as the file holds it: JSON with sorted keys.
    ///
    /// # Errors
    /// [`ModelError::Card`] if a number is not finite.
    pub fn to_text(&self) -> Result<String, ModelError> {
        // Through a value, whose maps are sorted.
        Ok(serde_json::to_value(self)?.to_string())
    }

    fn network<F: Number>(&self, registry: &Registry) -> Result<Network<F>, ModelError> {
        let failed =
            |found: Diagnostics| ModelError::Network(diagnostic::render(&found, &Sources::new(), false));
        let wrong = |error: chainrule_core::Error| ModelError::Network(error.to_string());
        let shape = Shape::new(self.input_shape.clone()).map_err(wrong)?;
        let layers = document::from_json(&self.layers);
        let layers = layers.as_array().filter(|layers| !layers.is_empty());
        let layers = layers.ok_or_else(|| ModelError::Network("it has no layers".into()))?;
        let inputs = document::from_json(&self.inputs);
        let all = self.outputs.all();
        let named = all.iter().filter(|(layer, _)| !layer.is_empty());
        let listed: Vec<Json> = named.map(|(layer, _)| serde_json::json!({ "layer": layer })).collect();
        let listed = document::from_json(&Json::from(listed));
        let source = ModelSource {
            layers,
            inputs: inputs.as_array().unwrap_or_default(),
            outputs: listed.as_array().unwrap_or_default(),
        };
        let plan = ModelPlan::new(source, registry).map_err(failed)?;
        if plan.row_shape().is_some_and(|row| row.len() != shape.len()) {
            return Err(ModelError::Network("its inputs are not its samples".into()));
        }
        let heads: Vec<Head> = all.iter().map(|(_, outputs)| Head::Probabilities(*outputs)).collect();
        let Network { layer, outputs } = plan.build::<F>(registry, &shape, &heads).map_err(failed)?;
        let masking = self.preprocessing.mask.map(Mask::masking).or(layer.masking());
        Ok(Network { layer: with_masking(layer, masking).map_err(wrong)?, outputs })
    }
}

/// Rows that are predicted at a time: their activations stay in the cache.
const BATCH: usize = 256;

/// One output of a model: what it is and what its numbers are called.
#[derive(Clone, Debug)]
struct Given {
    /// The layer; nothing, if there is one output.
    layer: String,
    outputs: Outputs,
    shape: Shape,
    /// The names of the targets, if they have any.
    targets: Option<Vec<String>>,
    /// The names of the classes, if they have any.
    classes: Option<Vec<String>>,
    /// Whether it is the probability of the second of two labels.
    tells_two_apart: bool,
    /// Whether only the last position of a sample is asked for.
    is_text: bool,
}

/// A network with its parameters and preprocessing.
#[derive(Debug)]
pub struct Predictor<F> {
    network: Box<dyn Layer<F>>,
    weights: Weights<F>,
    preprocessing: Preprocessing,
    outputs: Vec<Given>,
    tape: Vec<F>,
}

impl<F: Number> Predictor<F> {
    /// Loads a model file; its card says whether it computes in `F`.
    ///
    /// # Errors
    /// [`ModelError`] if the file is not a model or its parts do not fit.
    pub fn load(bytes: &[u8], registry: &Registry) -> Result<Self, ModelError> {
        let card = Card::of(bytes)?;
        let network = card.network::<F>(registry)?;
        let parameters = network.layer.parameters();
        let count = parameter_count(&parameters).map_err(|error| ModelError::Network(error.to_string()))?;
        let buffers = network.layer.buffers();
        let measured = buffers.iter().map(|buffer| buffer.shape.len()).fold(0, usize::saturating_add);
        // A file that does not hold the numbers is refused before room is made for them.
        if count.saturating_add(measured).saturating_mul(4) > bytes.len() {
            let of_which = format!("{count} parameters and {measured} running statistics");
            let message = format!("it has {of_which}, more than the file holds");
            return Err(ModelError::Network(message));
        }
        let mut weights = Weights::zeros(count, &buffers);
        let tensors = Tensors { parameters: &parameters, buffers: &buffers };
        weights::decode(bytes, tensors, &mut weights)?;
        Ok(Self::new(network, weights, card.preprocessing, &card.outputs))
    }

    /// A predictor of `network` with these numbers, which gives probabilities where `outputs` are scores.
    pub(crate) fn new(
        network: Network<F>,
        weights: Weights<F>,
        preprocessing: Preprocessing,
        outputs: &CardOutputs,
    ) -> Self {
        let given = |(index, ((layer, outputs), shape)): (usize, ((String, Outputs), Shape))| {
            let labels = preprocessing.of_output(index).labels;
            let two = labels.as_ref().map(Labels::len) == Some(2);
            Given {
                layer,
                outputs,
                targets: preprocessing.of_output(index).targets,
                classes: preprocessing.class_names(index),
                tells_two_apart: two && outputs != Outputs::ClassLogits && shape.len() == 1,
                is_text: preprocessing.vocabulary.is_some(),
                shape,
            }
        };
        let outputs = outputs.all().into_iter().zip(network.outputs).enumerate().map(given).collect();
        Self { network: network.layer, weights, preprocessing, outputs, tape: Vec::new() }
    }

    /// What was fitted on the training samples.
    pub fn preprocessing(&self) -> &Preprocessing {
        &self.preprocessing
    }

    /// Numbers of output a sample.
    pub fn width(&self) -> usize {
        self.network.output_shape().len()
    }

    /// The bytes of memory that [`Predictor::predict`] takes for so many rows. A model's file may be short and what it
    /// asks for large, so whoever predicts with a model that is not his own asks first.
    pub fn memory(&self, rows: usize) -> u128 {
        let (tape, wide) = (self.network.tape(), |numbers: usize| numbers as u128);
        let batch = wide(tape.per_row) * wide(BATCH.min(rows)) + wide(tape.per_batch);
        let batches = (wide(self.width()) + wide(self.preprocessing.inputs)) * wide(rows);
        // Inputs and outputs once as the network has them and once as f64, in batches of several outputs side by side.
        batch * F::BYTES as u128 + batches * (F::BYTES as u128 + 8)
    }

    /// Predicts rows of raw inputs, one after the other in `rows`; the rows of outputs likewise, those of several outputs
    /// side by side.
    ///
    /// # Errors
    /// [`IndexRange`](chainrule_trainer::Error::IndexRange) if a row holds what is no index where the network takes one.
    pub fn predict(&mut self, rows: Vec<f64>) -> Result<Vec<f64>, chainrule_trainer::Error> {
        let inputs: Vec<F> = self.preprocessing.inputs(rows);
        let count = inputs.len() / self.preprocessing.inputs;
        let mut outputs = vec![F::zero(); count * self.width()];
        self.outputs(&inputs, &mut outputs)?;
        Ok(outputs.into_iter().map(F::as_f64).collect())
    }

    /// The same of inputs as the network takes them, scaled already and in its own precision, into memory that is lent.
    ///
    /// # Errors
    /// As [`Predictor::predict`].
    ///
    /// # Panics
    /// If `inputs` or `outputs` are not whole rows, or not as many.
    pub fn outputs(&mut self, inputs: &[F], outputs: &mut [F]) -> Result<(), chainrule_trainer::Error> {
        let (width, out_width) = (self.preprocessing.inputs, self.width());
        let x = Rows::new(inputs, width);
        assert_eq!(outputs.len(), x.len() * out_width, "a row of outputs for every row of inputs");
        chainrule_trainer::check_indices(self.network.as_ref(), x)?;
        let tape = self.network.tape();
        let needed = tape.for_rows(BATCH.min(x.len()));
        if self.tape.len() < needed {
            self.tape.resize(needed, F::zero());
        }
        for (x, y) in inputs.chunks(BATCH * width).zip(outputs.chunks_mut(BATCH * out_width)) {
            let x = Rows::new(x, width);
            let tape = &mut self.tape[..tape.for_rows(x.len())];
            let ctx = &mut Ctx::evaluate(&Inline, &self.weights.buffers);
            let rows = RowsMut::new(&mut *y, out_width);
            self.network.forward(&self.weights.theta, &[x], rows, tape, ctx);
            if self.outputs.len() > 1 {
                y.copy_from_slice(&self.side_by_side(y));
            }
        }
        Ok(())
    }

    /// The blocks of a batch, row by row.
    fn side_by_side(&self, batch: &[F]) -> Vec<F> {
        let rows = batch.len() / self.width();
        let mut blocks = Vec::with_capacity(self.outputs.len());
        let mut rest = batch;
        for output in &self.outputs {
            let (block, after) = rest.split_at(rows * output.shape.len());
            blocks.push(block.chunks_exact(output.shape.len()));
            rest = after;
        }
        let mut together = Vec::with_capacity(batch.len());
        for _ in 0..rows {
            blocks.iter_mut().filter_map(Iterator::next).for_each(|row| together.extend_from_slice(row));
        }
        together
    }

    /// What the outputs of one sample are called and, if they are probabilities of classes, which class they say. Of a text
    /// they are those of the token that follows the sample: the outputs of the last position.
    pub fn prediction(&self, outputs: &[f64]) -> Prediction {
        let mut rest = outputs;
        let predict = |output: &Given| {
            let (own, after) = rest.split_at(output.shape.len());
            rest = after;
            output.prediction(own)
        };
        Prediction { outputs: self.outputs.iter().map(predict).collect() }
    }

    /// What the columns of a table of predictions are called.
    pub fn columns(&self) -> Vec<String> {
        let columns = |output: &Given| {
            let (class, prefix) = match output.classifies() {
                true => (Some("class".to_owned()), "p_"),
                false => (None, ""),
            };
            let names = output.names().into_iter().map(|name| format!("{prefix}{name}"));
            let all: Vec<String> = class.into_iter().chain(names).collect();
            match output.layer.as_str() {
                "" => all,
                layer => all.into_iter().map(|name| format!("{layer}.{name}")).collect(),
            }
        };
        self.outputs.iter().flat_map(columns).collect()
    }
}

impl Given {
    fn prediction(&self, outputs: &[f64]) -> OutputPrediction {
        let names = self.names();
        let outputs = &outputs[outputs.len() - self.named()..];
        let outputs = match self.tells_two_apart {
            true => vec![1.0 - outputs[0], outputs[0]],
            false => outputs.to_vec(),
        };
        let class = self.classifies().then(|| {
            // Of two classes that are as probable the first; a single output says yes from 1/2 on, as the metrics do.
            let higher = |index: usize, best: usize| {
                outputs[index] > outputs[best] || self.tells_two_apart && outputs[index] == outputs[best]
            };
            let best = |best: usize, index: usize| if higher(index, best) { index } else { best };
            names[(0..outputs.len()).fold(0, best)].clone()
        });
        OutputPrediction {
            layer: self.layer.clone(),
            class,
            outputs: names.into_iter().zip(outputs).collect(),
        }
    }

    /// The names of the outputs: of the targets, or the labels of the classes, or numbers.
    fn names(&self) -> Vec<String> {
        let labels = self.classes.clone().filter(|_| self.classifies());
        if self.tells_two_apart {
            return labels.unwrap_or_default();
        }
        match labels.or(self.targets.clone()).filter(|names| names.len() == self.named()) {
            Some(names) => names,
            None if self.classifies() => (0..self.named()).map(|class| class.to_string()).collect(),
            None => (0..self.named()).map(|index| format!("y{index}")).collect(),
        }
    }

    /// How many of the outputs are given, each under its name.
    fn named(&self) -> usize {
        if self.is_text { self.shape.last() } else { self.shape.len() }
    }

    /// Whether predictions are probabilities of classes.
    fn classifies(&self) -> bool {
        self.outputs == Outputs::ClassLogits || self.tells_two_apart
    }
}

/// What a network says of one sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// Output by output.
    pub outputs: Vec<OutputPrediction>,
}

/// What one output says of a sample.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputPrediction {
    /// The layer that gives it; nothing, if it is the only one.
    pub layer: String,
    /// The most probable class, if it tells classes apart.
    pub class: Option<String>,
    /// Its numbers or probabilities under their names.
    pub outputs: Vec<(String, f64)>,
}

impl Prediction {
    /// As `result.json` and JSON lines have it; of several outputs, under the name of the layer of each.
    pub fn to_json(&self) -> Json {
        match &self.outputs[..] {
            [only] if only.layer.is_empty() => only.to_json(),
            several => {
                Json::Object(several.iter().map(|output| (output.layer.clone(), output.to_json())).collect())
            }
        }
    }
}

impl OutputPrediction {
    fn to_json(&self) -> Json {
        let outputs = self.outputs.iter().map(|(name, value)| (name.clone(), Json::from(*value))).collect();
        match &self.class {
            Some(class) => serde_json::json!({ "class": class, "probabilities": Json::Object(outputs) }),
            None => Json::Object(outputs),
        }
    }
}

/// The whole tree of layers as a model file keeps it.
pub(crate) fn layers_json(resolved: &Node) -> Json {
    resolved.at(&["model", "layers"]).map_or(Json::Null, document::to_json)
}

/// `[[inputs]]` as a model file keeps it.
pub(crate) fn inputs_json(resolved: &Node) -> Json {
    resolved.at(&["inputs"]).map_or(Json::Null, document::to_json)
}
