//! `[model]`: from the file's layers to a network, with every mistake at its place.

mod nodes;
mod wiring;

use std::collections::HashSet;

use chainrule_core::layers::{Chain, Graph, Node as GraphNode, Tuned};
use chainrule_core::{Activation, Error, Layer, Shape, TapeLen};

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::document::{Node, Place, Value};
use crate::registry::{BuildError, BuildLayer, Entry, LayerContext, Number, Outputs, Registry, find};
pub(crate) use nodes::BUNDLE;
use wiring::{check_all_used, check_names, in_order, plan_inputs, plan_layer, plan_outputs};

/// What a layer's `inputs` call the input of the network.
pub const INPUT: &str = "input";

/// How deep layers may hold layers; more is no network, but an attack on the stack.
const MAX_NESTING: usize = 16;

/// The keys of a layer that are not of its type.
const COMMON_KEYS: [&str; 7] = ["type", "name", "inputs", "activation", "trainable", "lr_mult", "tie"];

/// What a network is described by in an experiment or a model file.
#[derive(Clone, Copy, Debug)]
pub struct ModelSource<'a> {
    /// `[model] layers`.
    pub layers: &'a [Node],
    /// `[[inputs]]`; none, if there is one input without a name.
    pub inputs: &'a [Node],
    /// `[[outputs]]`; none, if the last layer is the output.
    pub outputs: &'a [Node],
}

impl<'a> ModelSource<'a> {
    /// What an experiment says.
    pub fn of(root: &'a Node) -> Self {
        let list = |path: &[&str]| root.at(path).and_then(Node::as_array).unwrap_or_default();
        Self { layers: list(&["model", "layers"]), inputs: list(&["inputs"]), outputs: list(&["outputs"]) }
    }
}

/// Where an input of a layer comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reads {
    /// The input of the network of this index.
    Input(usize),
    /// The layer of this index.
    Layer(usize),
}

/// An input of the network.
#[derive(Clone, Debug)]
struct InputPlan {
    name: String,
    /// The shape of one sample, if the file has it.
    shape: Option<Shape>,
    place: Place,
}

/// One entry of `layers`, its wiring understood, its own keys not yet read.
#[derive(Clone, Debug)]
pub struct LayerPlan {
    /// `type`.
    pub type_name: String,
    /// `name`, or the one made up.
    pub name: String,
    /// Where its inputs come from.
    inputs: Vec<Reads>,
    /// `tie`: the layer whose parameters it uses.
    tie: Option<usize>,
    tie_place: Place,
    /// `activation`: its type and its keys.
    activation: Option<(String, Node)>,
    /// Whether the activation is for something within it, not for its output.
    is_activated_within: bool,
    /// `trainable`.
    trainable: bool,
    /// `lr_mult`.
    rate: f64,
    /// Its own keys.
    keys: Node,
    /// The layers within it.
    within: Option<ModelPlan>,
    /// `layers[1] (dense "output")`.
    label: String,
    place: Place,
    input_places: Vec<Place>,
}

/// All layers, in an order in which each comes after those it reads.
#[derive(Clone, Debug, Default)]
pub struct ModelPlan {
    layers: Vec<LayerPlan>,
    inputs: Vec<InputPlan>,
    /// The layers that are outputs, in the order of the targets.
    outputs: Vec<usize>,
    /// Whether each layer reads the one before it and nothing else.
    is_chain: bool,
}

/// A row of `summary`.
#[derive(Clone, Debug)]
pub struct LayerSummary {
    /// The layer's name.
    pub name: String,
    /// Its type.
    pub type_name: String,
    /// The type of its activation.
    pub activation: Option<String>,
    /// The shape of one sample of its output.
    pub output: Shape,
    /// How many parameters it has.
    pub parameters: usize,
    /// Multiply-adds of one sample's forward pass.
    pub multiply_adds: usize,
    /// What it keeps from forward to backward, its output not among it.
    pub tape: TapeLen,
}

/// What to do with the activation of a layer that is an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// Apply it.
    Keep,
    /// Leave it to the loss, which is computed together with it.
    Fused,
    /// Apply it, and make probabilities of the scores: of classes, or of yes against no.
    Probabilities(Outputs),
}

/// A network and the shapes of its outputs.
#[derive(Debug)]
pub struct Network<F> {
    /// What computes; with several outputs, one block each.
    pub layer: Box<dyn Layer<F>>,
    /// The shape of one sample of each output.
    pub outputs: Vec<Shape>,
}

impl ModelPlan {
    /// Understands the wiring of layers that conform to the schema.
    ///
    /// # Errors
    /// Bad, reserved or repeated names; inputs that do not exist; cycles; layers whose output nothing uses; ties that
    /// cannot be; outputs that are none.
    pub fn new(source: ModelSource<'_>, registry: &Registry) -> Result<Self, Diagnostics> {
        Self::at("model.layers", source, registry, MAX_NESTING)
    }

    /// The same for the list at `path`, with at most so many lists within each other.
    fn at(
        path: &str,
        source: ModelSource<'_>,
        registry: &Registry,
        depth: usize,
    ) -> Result<Self, Diagnostics> {
        let ModelSource { layers, .. } = source;
        if depth == 0 {
            let place = layers.first().map_or_else(Place::none, |layer| layer.place);
            let message =
                format!("{path} is too deep: at most {MAX_NESTING} lists of layers stand in each other");
            return Err(Diagnostic::new(message).at(place).into());
        }
        let mut mistakes = Diagnostics::new();
        let names: Vec<String> =
            layers.iter().enumerate().map(|(index, layer)| name_of(index, layer)).collect();
        let inputs = plan_inputs(source.inputs, &mut mistakes);
        check_names(path, layers, &names, &inputs, &mut mistakes);
        let mut plans: Vec<LayerPlan> = Vec::with_capacity(layers.len());
        for (index, layer) in layers.iter().enumerate() {
            let mut plan = plan_layer(path, index, layers, &names, &inputs, &mut mistakes);
            let entry = find(registry.layers(), &plan.type_name);
            plan.is_activated_within = entry.is_some_and(|entry| entry.build.inner_activation.is_some());
            if let Some(within) = layer.at(&["layers"]).and_then(Node::as_array) {
                let source = ModelSource { layers: within, inputs: &[], outputs: &[] };
                match Self::at(&format!("{path}[{index}].layers"), source, registry, depth - 1) {
                    Ok(within) => plan.within = Some(within),
                    Err(found) => mistakes.append(found),
                }
            }
            plans.push(plan);
        }
        let outputs = plan_outputs(source.outputs, &names, &mut mistakes);
        if mistakes.is_empty() {
            check_all_used(&plans, &inputs, outputs.as_deref(), &mut mistakes);
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let follows = |(index, plan): (usize, &LayerPlan)| {
            let before = index.checked_sub(1).map_or(Reads::Input(0), Reads::Layer);
            plan.inputs == [before] && plan.tie.is_none()
        };
        let has_parts = inputs.len() > 1;
        let is_several = outputs.as_ref().is_some_and(|outputs| outputs.len() > 1);
        let is_chain = !has_parts && !is_several && plans.iter().enumerate().all(follows);
        let (layers, new_index) = in_order(plans)?;
        let outputs = match outputs {
            Some(outputs) => outputs.into_iter().map(|output| new_index[output]).collect(),
            // Everything else is read by something that comes after it.
            None => vec![layers.len() - 1],
        };
        Ok(Self { layers, inputs, outputs, is_chain })
    }

    /// Whether it has no layers: only where the file's have mistakes.
    pub(crate) fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// The activation of an output, if it has one: its type and its place.
    pub fn head(&self, output: usize) -> Option<(&str, Place)> {
        let layer = self.layers.get(*self.outputs.get(output)?)?;
        let activation = layer.activation.as_ref().filter(|_| !layer.is_activated_within)?;
        Some((activation.0.as_str(), activation.1.place))
    }

    /// The names of the layers that are outputs.
    pub fn output_names(&self) -> impl Iterator<Item = &str> {
        self.outputs.iter().map(|&output| self.layers[output].name.as_str())
    }

    /// The shape of one sample, if the inputs say it: that of the only one, or all their numbers in a row.
    pub fn row_shape(&self) -> Option<Shape> {
        match &self.inputs[..] {
            [only] => only.shape.clone(),
            inputs => {
                let lengths = inputs.iter().map(|input| input.shape.as_ref().map_or(0, Shape::len));
                Shape::vector(lengths.fold(0, usize::saturating_add)).ok()
            }
        }
    }

    /// The inputs with their names and the shapes that the file gives them.
    pub fn inputs(&self) -> impl Iterator<Item = (&str, Option<&Shape>)> {
        self.inputs.iter().map(|input| (input.name.as_str(), input.shape.as_ref()))
    }

    /// Builds the network for samples of shape `input`, with a head for each output.
    ///
    /// # Errors
    /// Every layer that cannot be built on what it reads, named with both shapes; after one of them, those of which
    /// the inputs are known all the same.
    pub fn build<F: Number>(
        &self,
        registry: &Registry,
        input: &Shape,
        heads: &[Head],
    ) -> Result<Network<F>, Diagnostics> {
        let built = self.build_layers::<F>(registry, input, heads)?;
        let outputs = self.outputs.iter().map(|&output| built[output].layer.output_shape().clone()).collect();
        let whole =
            |error: Error| Diagnostics::from(Diagnostic::new(error.to_string()).at(self.layers[0].place));
        let layer: Box<dyn Layer<F>> = if self.is_chain {
            Box::new(Chain::new(self.links(built, heads)).map_err(whole)?)
        } else {
            let nodes = self.nodes(built, input, heads).map_err(whole)?;
            Box::new(Graph::new(vec![input.clone()], nodes).map_err(whole)?)
        };
        Ok(Network { layer, outputs })
    }

    /// A head for each output that leaves its activation as it is.
    pub fn plain_heads(&self) -> Vec<Head> {
        vec![Head::Keep; self.outputs.len()]
    }

    /// The layers one by one, for a table of them.
    ///
    /// # Errors
    /// As [`ModelPlan::build`].
    pub fn summary<F: Number>(
        &self,
        registry: &Registry,
        input: &Shape,
    ) -> Result<Vec<LayerSummary>, Diagnostics> {
        let built = self.build_layers::<F>(registry, input, &self.plain_heads())?;
        let summary = |(plan, built): (&LayerPlan, Built<F>)| LayerSummary {
            name: plan.name.clone(),
            type_name: plan.type_name.clone(),
            activation: plan.activation.as_ref().map(|(name, _)| name.clone()),
            output: built.layer.output_shape().clone(),
            parameters: built.own_parameters(plan),
            multiply_adds: built.layer.multiply_adds(),
            tape: built.layer.tape(),
        };
        Ok(self.layers.iter().zip(built).map(summary).collect())
    }

    /// The layers one by one with their wiring, an activation that is not fused as one of its own.
    ///
    /// # Errors
    /// As [`ModelPlan::build`].
    pub fn stages<F: Number>(
        &self,
        registry: &Registry,
        input: &Shape,
        heads: &[Head],
    ) -> Result<Vec<GraphNode<F>>, Diagnostics> {
        let built = self.build_layers(registry, input, heads)?;
        let whole =
            |error: Error| Diagnostics::from(Diagnostic::new(error.to_string()).at(self.layers[0].place));
        self.nodes(built, input, heads).map_err(whole)
    }

    fn build_layers<F: Number>(
        &self,
        registry: &Registry,
        input: &Shape,
        heads: &[Head],
    ) -> Result<Vec<Built<F>>, Diagnostics> {
        let mut built: Vec<Built<F>> = Vec::with_capacity(self.layers.len());
        let mut outputs: Vec<Option<Shape>> = Vec::with_capacity(self.layers.len());
        let mut mistakes = Diagnostics::new();
        // A default of [model] is a mistake once, not once a layer.
        let mut places = HashSet::new();
        for (index, plan) in self.layers.iter().enumerate() {
            let activation = self.activation_of(index, heads);
            let shape = |source: &Reads| match *source {
                Reads::Input(index) => Some(self.input_shape(index, input)),
                Reads::Layer(index) => outputs[index].clone(),
            };
            // What a layer reads that could not be built is a mistake already.
            let Some(shapes) = plan.inputs.iter().map(shape).collect::<Option<Vec<Shape>>>() else {
                outputs.push(plan.probable_output(None));
                continue;
            };
            match self.build_layer(registry, plan, &shapes, activation) {
                Ok(layer) => {
                    outputs.push(Some(layer.layer.output_shape().clone()));
                    mistakes.extend(self.index_mistake(plan, layer.layer.as_ref()));
                    // After a mistake, the layers are no longer where their numbers are.
                    if mistakes.is_empty() {
                        self.check_tie(plan, &layer, &built, &mut mistakes);
                        self.check_padding(plan, &layer, &mut mistakes);
                    }
                    built.push(layer);
                }
                Err(BuildError::Inside(found)) => {
                    outputs.push(None);
                    let is_new = |found: &&Diagnostic| found.place.is_none_or(|place| places.insert(place));
                    mistakes.extend(found.iter().filter(is_new).cloned());
                }
                Err(error) => {
                    outputs.push(plan.probable_output(shapes.first()));
                    let is_key = matches!(error, BuildError::Key { .. });
                    let mistake = self.build_mistake(plan, &error, &shapes);
                    if !is_key || mistake.place.is_none_or(|place| places.insert(place)) {
                        mistakes.push(mistake);
                    }
                }
            }
        }
        if mistakes.is_empty() { Ok(built) } else { Err(mistakes) }
    }

    /// The layers that skip padding: what each is called, over how many positions it goes, and its place.
    ///
    /// # Errors
    /// As [`ModelPlan::build`].
    pub(crate) fn masked_layers<F: Number>(
        &self,
        registry: &Registry,
        input: &Shape,
    ) -> Result<Vec<(String, usize, Place)>, Diagnostics> {
        let built = self.build_layers::<F>(registry, input, &self.plain_heads())?;
        let positions = self.layers.iter().zip(&built).flat_map(|(plan, built)| {
            let positions = built.layer.masked_positions().into_iter();
            positions.map(|positions| (plan.label.clone(), positions, plan.place))
        });
        Ok(positions.collect())
    }

    /// The layer with the most parameters: what it is called, how many it has, and the place of its `units` or its own.
    ///
    /// # Errors
    /// As [`ModelPlan::build`].
    pub(crate) fn heaviest<F: Number>(
        &self,
        registry: &Registry,
        input: &Shape,
    ) -> Result<(&str, usize, Place), Diagnostics> {
        let built = self.build_layers::<F>(registry, input, &self.plain_heads())?;
        let counts = self.layers.iter().zip(&built).map(|(plan, built)| built.own_parameters(plan));
        let counts: Vec<usize> = counts.collect();
        // The first of several.
        let heaviest = self.layers.iter().zip(counts).rev().max_by_key(|(_, count)| *count);
        let (plan, count) = heaviest.ok_or_else(|| Diagnostic::new("the network has no layers"))?;
        let place = plan.keys.at(&["units"]).map(|node| node.place).filter(|place| !place.is_none());
        Ok((&plan.label, count, place.unwrap_or(plan.place)))
    }

    fn build_layer<F: Number>(
        &self,
        registry: &Registry,
        plan: &LayerPlan,
        shapes: &[Shape],
        place: ActivationPlace,
    ) -> Result<Built<F>, BuildError> {
        let build_activation = |output: &Shape| match &plan.activation {
            Some((name, keys)) => match find(registry.activations(), name) {
                Some(entry) => F::activation(entry, keys, output),
                None => Err(unknown("activation")),
            },
            None => Err(unknown("activation")),
        };
        let build_within = plan.within.as_ref().map(|within| within.builder(registry));
        let fuses =
            (place == ActivationPlace::Within || plan.is_activated_within) && plan.activation.is_some();
        let mut context = LayerContext::new(shapes, fuses.then_some(&build_activation as _))
            .with_layers(build_within.as_ref().map(|build| build as _));
        let entry = find(registry.layers(), &plan.type_name).ok_or_else(|| unknown("type"))?;
        let mut layer = F::layer(entry, &plan.keys, &mut context)?;
        let activation = match place {
            ActivationPlace::Behind if plan.activation.is_some() => {
                Some(build_activation(layer.output_shape())?)
            }
            _ => context.remaining(layer.output_shape())?,
        };
        if !plan.trainable || plan.rate != 1.0 {
            layer = Box::new(Tuned::new(layer, plan.trainable, plan.rate)?);
        }
        Ok(Built { layer, activation })
    }

    /// Builds the layers as nodes of a graph, for a layer that has them within.
    fn builder<F: Number>(
        &self,
        registry: &Registry,
    ) -> impl Fn(&Shape) -> Result<Vec<GraphNode<F>>, BuildError> {
        |input| {
            let heads = [Head::Keep];
            let built = self.build_layers(registry, input, &heads).map_err(BuildError::Inside)?;
            Ok(self.nodes(built, input, &heads)?)
        }
    }

    /// Indices are what the network is given, not what a layer computes.
    fn index_mistake<F: Number>(&self, plan: &LayerPlan, layer: &dyn Layer<F>) -> Option<Diagnostic> {
        layer.index_limit()?;
        let Some(Reads::Layer(source)) = plan.inputs.first().copied() else { return None };
        let source = &self.layers[source].label;
        let message = format!("{} takes indices, but reads the numbers that {source} computes", plan.label);
        let place = plan.input_places.first().copied().unwrap_or(plan.place);
        Some(Diagnostic::new(message).at(place).help(format!("let it read \"{INPUT}\"")))
    }

    /// Names the layer, its place, and where its inputs come from with their shapes.
    fn build_mistake(&self, plan: &LayerPlan, error: &BuildError, shapes: &[Shape]) -> Diagnostic {
        let place = match error {
            BuildError::Key { key, .. } => plan.keys.at(&[key]).map(|node| node.place),
            BuildError::Shape(Error::TooLarge { .. }) => plan.keys.at(&["units"]).map(|node| node.place),
            _ => plan.input_places.first().copied(),
        };
        let sources: Vec<String> = plan
            .inputs
            .iter()
            .zip(shapes)
            .map(|(source, shape)| match *source {
                Reads::Input(_) if self.inputs.len() == 1 => format!("the network's input {shape}"),
                Reads::Input(index) => format!("the input \"{}\" {shape}", self.inputs[index].name),
                Reads::Layer(index) => format!("{} {shape}", self.layers[index].label),
            })
            .collect();
        let place = place.filter(|place| !place.is_none()).unwrap_or(plan.place);
        // What a layer reads explains a shape, but not a key.
        let help = match error {
            BuildError::Key { .. } => None,
            _ => Some(format!("it reads {}", sources.join(" and "))),
        };
        Diagnostic::new(format!("{}: {error}", plan.label)).at(place).maybe_help(help)
    }
}

impl LayerPlan {
    /// The shape that the output of a layer that could not be built would have had, as far as its keys tell.
    fn probable_output(&self, input: Option<&Shape>) -> Option<Shape> {
        let units = match self.keys.at(&["units"])?.value {
            Value::Integer(units) => usize::try_from(units).ok()?,
            _ => return None,
        };
        let shape = input.map_or_else(|| Shape::vector(units), |input| input.with_last(units));
        // Absurd units were this layer's mistake; the next one has not made it.
        shape.ok()
    }
}

/// A layer of keys that conform to its type, alone, without activation.
pub(crate) fn build_alone<F: Number>(
    registry: &Registry,
    entry: &Entry<BuildLayer>,
    keys: &Node,
    inputs: &[Shape],
) -> Result<Box<dyn Layer<F>>, BuildError> {
    let within = keys.at(&["layers"]).and_then(Node::as_array);
    let source = |layers| ModelSource { layers, inputs: &[], outputs: &[] };
    let within = within.map(|within| ModelPlan::at("layers", source(within), registry, MAX_NESTING));
    let within = within.transpose().map_err(BuildError::Inside)?;
    let build_within = within.as_ref().map(|within| within.builder(registry));
    let context = LayerContext::new(inputs, None);
    F::layer(entry, keys, &mut context.with_layers(build_within.as_ref().map(|build| build as _)))
}

/// A layer, and its activation if it has not fused it.
struct Built<F> {
    layer: Box<dyn Layer<F>>,
    activation: Option<Box<dyn Activation<F>>>,
}

impl<F: Number> Built<F> {
    /// How many parameters the layer adds to the network: none, if it uses those of another.
    fn own_parameters(&self, plan: &LayerPlan) -> usize {
        let lengths = self.layer.parameters().into_iter().map(|parameter| parameter.shape.len());
        if plan.tie.is_some() { 0 } else { lengths.fold(0, usize::saturating_add) }
    }
}

/// Where the activation of a layer is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ActivationPlace {
    /// In the layer, if it can.
    Within,
    /// Behind it, as the loss takes what is before and other layers what is after.
    Behind,
    /// In the loss.
    Nowhere,
}

/// A name that no layer can have, as names have no points.
fn activation_name(layer: &str) -> String {
    format!("{layer}.activation")
}

fn unknown(key: &'static str) -> BuildError {
    BuildError::Key { key, message: format!("unknown {key}") }
}

/// The name of a layer that has none.
pub fn made_up_name(index: usize, type_name: &str) -> String {
    format!("{type_name}_{index}")
}

fn type_of(layer: &Node) -> &str {
    layer.at(&["type"]).and_then(Node::as_str).unwrap_or_default()
}

fn name_of(index: usize, layer: &Node) -> String {
    match layer.at(&["name"]).and_then(Node::as_str) {
        Some(name) => name.to_owned(),
        None => made_up_name(index, type_of(layer)),
    }
}

fn label_of(path: &str, index: usize, layer: &Node, name: &str) -> String {
    format!("{path}[{index}] ({} \"{name}\")", type_of(layer))
}
