//! A trained model on its own: what `predict` and other programs load, without experiment or data.

use chainrule_core::{Ctx, Inline, Layer, Rows, RowsMut, Shape, parameter_count};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::data::Preprocessing;
use crate::diagnostic::{self, Diagnostics};
use crate::document::{self, Node, Sources};
use crate::model::{Head, ModelPlan};
use crate::registry::{Number, Outputs, Registry};
use crate::session::with_probabilities;
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
    /// What the outputs are.
    pub outputs: Outputs,
    /// What was fitted on the training samples.
    pub preprocessing: Preprocessing,
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

    fn network<F: Number>(&self, registry: &Registry) -> Result<Box<dyn Layer<F>>, ModelError> {
        let failed =
            |found: Diagnostics| ModelError::Network(diagnostic::render(&found, &Sources::new(), false));
        let shape =
            Shape::new(self.input_shape.clone()).map_err(|error| ModelError::Network(error.to_string()))?;
        let layers = document::from_json(&self.layers);
        let layers = layers.as_array().filter(|layers| !layers.is_empty());
        let layers = layers.ok_or_else(|| ModelError::Network("it has no layers".into()))?;
        let plan = ModelPlan::new(layers, registry).map_err(failed)?;
        let network = plan.build(registry, &shape, Head::Keep).map_err(failed)?;
        Ok(with_probabilities(network, self.outputs))
    }
}

/// A network with its parameters and preprocessing.
#[derive(Debug)]
pub struct Predictor<F> {
    network: Box<dyn Layer<F>>,
    weights: Weights<F>,
    preprocessing: Preprocessing,
    outputs: Outputs,
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
        let base = card.without_probabilities().network::<F>(registry)?;
        let parameters = base.parameters();
        let count = parameter_count(&parameters).map_err(|error| ModelError::Network(error.to_string()))?;
        // A file that does not hold the parameters is refused before room is made for them.
        if count.saturating_mul(4) > bytes.len() {
            let message = format!("it has {count} parameters, more than the file holds");
            return Err(ModelError::Network(message));
        }
        let buffers = base.buffers();
        let mut weights = Weights::zeros(count, &buffers);
        let tensors = Tensors { parameters: &parameters, buffers: &buffers };
        weights::decode(bytes, tensors, &mut weights)?;
        Ok(Self::new(network, weights, card.preprocessing, card.outputs))
    }

    /// A predictor of `network` with these numbers, which gives probabilities where `outputs` are scores.
    pub(crate) fn new(
        network: Box<dyn Layer<F>>,
        weights: Weights<F>,
        preprocessing: Preprocessing,
        outputs: Outputs,
    ) -> Self {
        Self { network, weights, preprocessing, outputs, tape: Vec::new() }
    }

    /// What was fitted on the training samples.
    pub fn preprocessing(&self) -> &Preprocessing {
        &self.preprocessing
    }

    /// Numbers of output a sample.
    pub fn width(&self) -> usize {
        self.network.output_shape().len()
    }

    /// Predicts rows of raw inputs, one after the other in `rows`; the rows of outputs likewise.
    pub fn predict(&mut self, rows: Vec<f64>) -> Vec<f64> {
        const BATCH: usize = 256;
        let width = self.preprocessing.inputs;
        let inputs: Vec<F> = self.preprocessing.inputs(rows);
        let count = inputs.len() / width;
        let mut outputs = vec![F::zero(); count * self.width()];
        self.tape.resize(self.network.tape().for_rows(BATCH.min(count)), F::zero());
        let out_width = self.width();
        for (x, y) in inputs.chunks(BATCH * width).zip(outputs.chunks_mut(BATCH * out_width)) {
            let (x, y) = (Rows::new(x, width), RowsMut::new(y, out_width));
            let tape = &mut self.tape[..self.network.tape().for_rows(x.len())];
            let ctx = &mut Ctx::evaluate(&Inline, &self.weights.buffers);
            self.network.forward(&self.weights.theta, &[x], y, tape, ctx);
        }
        outputs.into_iter().map(F::as_f64).collect()
    }

    /// What the outputs of one sample are called and, if they are probabilities of classes, which class they say. Of a text
    /// they are those of the token that follows the sample: the outputs of the last position.
    pub fn prediction(&self, outputs: &[f64]) -> Prediction {
        let names = self.output_names();
        let outputs = &outputs[outputs.len() - self.named()..];
        let outputs = match self.tells_two_apart() {
            true => vec![1.0 - outputs[0], outputs[0]],
            false => outputs.to_vec(),
        };
        let class = self.classifies().then(|| {
            // Of two classes that are as probable the first; a single output says yes from 1/2 on, as the metrics do.
            let higher = |index: usize, best: usize| {
                outputs[index] > outputs[best] || self.tells_two_apart() && outputs[index] == outputs[best]
            };
            let best = |best: usize, index: usize| if higher(index, best) { index } else { best };
            names[(0..outputs.len()).fold(0, best)].clone()
        });
        Prediction { class, outputs: names.into_iter().zip(outputs).collect() }
    }

    /// The names of the outputs: of the targets, or the labels of the classes, or numbers.
    pub fn output_names(&self) -> Vec<String> {
        let targets = &self.preprocessing.targets;
        let labels = self.preprocessing.class_names().filter(|_| self.classifies());
        if self.tells_two_apart() {
            return labels.unwrap_or_default();
        }
        match labels.or(targets.clone()).filter(|names| names.len() == self.named()) {
            Some(names) => names,
            None if self.classifies() => (0..self.named()).map(|class| class.to_string()).collect(),
            None => (0..self.named()).map(|index| format!("y{index}")).collect(),
        }
    }

    /// How many of the outputs are given, each under its name.
    fn named(&self) -> usize {
        match self.preprocessing.vocabulary {
            Some(_) => self.network.output_shape().last(),
            None => self.width(),
        }
    }

    /// Whether predictions are probabilities of classes.
    pub fn classifies(&self) -> bool {
        self.outputs == Outputs::ClassLogits || self.tells_two_apart()
    }

    /// Whether the one output is the probability of the second of two labels.
    fn tells_two_apart(&self) -> bool {
        let two = self.preprocessing.labels.as_ref().is_some_and(|labels| labels.len() == 2);
        two && self.outputs != Outputs::ClassLogits && self.width() == 1
    }
}

impl Card {
    /// The same network giving its scores: with the names of the tensors in the file.
    fn without_probabilities(&self) -> Self {
        Self { outputs: Outputs::Values, ..self.clone() }
    }
}

/// The outputs of one sample under their names.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// The most probable class, if the network tells classes apart.
    pub class: Option<String>,
    /// Each output or probability.
    pub outputs: Vec<(String, f64)>,
}

impl Prediction {
    /// As `result.json` and JSON lines have it.
    pub fn to_json(&self) -> Json {
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
