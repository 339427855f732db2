//! `[model]`: from the file's layers to a network, with every mistake at its place.

mod wiring;

use std::collections::HashSet;

use chainrule_core::layers::{Activate, Chain, Graph, Node as GraphNode, Source, Tuned};
use chainrule_core::{Activation, Error, Layer, Shape};

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::document::{Node, Place, Value};
use crate::registry::{BuildError, BuildLayer, Entry, LayerContext, Number, Registry, find};
use wiring::{check_all_used, check_names, in_order, plan_layer};

/// What a layer's `inputs` call the input of the network.
pub const INPUT: &str = "input";

/// How deep layers may hold layers; more is no network, but an attack on the stack.
const MAX_NESTING: usize = 16;

/// The keys of a layer that are not of its type.
const COMMON_KEYS: [&str; 6] = ["type", "name", "inputs", "activation", "trainable", "lr_mult"];

/// One entry of `layers`, its wiring understood, its own keys not yet read.
#[derive(Clone, Debug)]
pub struct LayerPlan {
    /// `type`.
    pub type_name: String,
    /// `name`, or the one made up.
    pub name: String,
    /// Where its inputs come from; `None` is the network's input.
    inputs: Vec<Option<usize>>,
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

/// All layers, in an order in which each comes after those it reads; the last is the output.
#[derive(Clone, Debug, Default)]
pub struct ModelPlan {
    layers: Vec<LayerPlan>,
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
}

/// What to do with the activation of the last layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// Apply it.
    Keep,
    /// Leave it to the loss, which is computed together with it.
    Fused,
}

impl ModelPlan {
    /// Understands the wiring of a list of layers that conforms to the schema.
    ///
    /// # Errors
    /// Bad, reserved or repeated names; inputs that do not exist; cycles; layers whose output nothing uses.
    pub fn new(layers: &[Node], registry: &Registry) -> Result<Self, Diagnostics> {
        Self::at("model.layers", layers, registry, MAX_NESTING)
    }

    /// The same for the list at `path`, with at most so many lists within each other.
    fn at(path: &str, layers: &[Node], registry: &Registry, depth: usize) -> Result<Self, Diagnostics> {
        if depth == 0 {
            let place = layers.first().map_or_else(Place::none, |layer| layer.place);
            let message =
                format!("{path} is too deep: at most {MAX_NESTING} lists of layers stand in each other");
            return Err(Diagnostic::new(message).at(place).into());
        }
        let mut mistakes = Diagnostics::new();
        let names: Vec<String> =
            layers.iter().enumerate().map(|(index, layer)| name_of(index, layer)).collect();
        check_names(path, layers, &names, &mut mistakes);
        let mut plans: Vec<LayerPlan> = Vec::with_capacity(layers.len());
        for (index, layer) in layers.iter().enumerate() {
            let mut plan = plan_layer(path, index, layer, &names, &mut mistakes);
            let entry = find(registry.layers(), &plan.type_name);
            plan.is_activated_within = entry.is_some_and(|entry| entry.build.inner_activation.is_some());
            if let Some(within) = layer.at(&["layers"]).and_then(Node::as_array) {
                match Self::at(&format!("{path}[{index}].layers"), within, registry, depth - 1) {
                    Ok(within) => plan.within = Some(within),
                    Err(found) => mistakes.append(found),
                }
            }
            plans.push(plan);
        }
        if mistakes.is_empty() {
            check_all_used(&plans, &mut mistakes);
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let follows = |(index, plan): (usize, &LayerPlan)| plan.inputs == [index.checked_sub(1)];
        let is_chain = plans.iter().enumerate().all(follows);
        Ok(Self { layers: in_order(plans)?, is_chain })
    }

    /// Whether it has no layers: only where the file's have mistakes.
    pub(crate) fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// The activation of the output, if it has one: its type and its place.
    pub fn head(&self) -> Option<(&str, Place)> {
        let last = self.layers.last().filter(|last| !last.is_activated_within)?;
        last.activation.as_ref().map(|(name, node)| (name.as_str(), node.place))
    }

    /// Builds the network for samples of shape `input`.
    ///
    /// # Errors
    /// Every layer that cannot be built on what it reads, named with both shapes; after one of them, those of which
    /// the inputs are known all the same.
    pub fn build<F: Number>(
        &self,
        registry: &Registry,
        input: &Shape,
        head: Head,
    ) -> Result<Box<dyn Layer<F>>, Diagnostics> {
        let built = self.build_layers(registry, input, head)?;
        let whole =
            |error: Error| Diagnostics::from(Diagnostic::new(error.to_string()).at(self.layers[0].place));
        if self.is_chain {
            Ok(Box::new(Chain::new(self.links(built)).map_err(whole)?))
        } else {
            Ok(Box::new(Graph::new(vec![input.clone()], self.nodes(built)).map_err(whole)?))
        }
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
        let built = self.build_layers::<F>(registry, input, Head::Keep)?;
        let summary = |(plan, built): (&LayerPlan, Built<F>)| LayerSummary {
            name: plan.name.clone(),
            type_name: plan.type_name.clone(),
            activation: plan.activation.as_ref().map(|(name, _)| name.clone()),
            output: built.layer.output_shape().clone(),
            parameters: built.layer.parameters().iter().map(|parameter| parameter.shape.len()).sum(),
            multiply_adds: built.layer.multiply_adds(),
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
        head: Head,
    ) -> Result<Vec<GraphNode<F>>, Diagnostics> {
        Ok(self.nodes(self.build_layers(registry, input, head)?))
    }

    fn build_layers<F: Number>(
        &self,
        registry: &Registry,
        input: &Shape,
        head: Head,
    ) -> Result<Vec<Built<F>>, Diagnostics> {
        let mut built: Vec<Built<F>> = Vec::with_capacity(self.layers.len());
        let mut outputs: Vec<Option<Shape>> = Vec::with_capacity(self.layers.len());
        let mut mistakes = Diagnostics::new();
        // A default of [model] is a mistake once, not once a layer.
        let mut places = HashSet::new();
        for (index, plan) in self.layers.iter().enumerate() {
            let is_last = index + 1 == self.layers.len();
            let keeps_activation = !is_last || head == Head::Keep;
            let shape = |source: &Option<usize>| match *source {
                None => Some(input.clone()),
                Some(index) => outputs[index].clone(),
            };
            // What a layer reads that could not be built is a mistake already.
            let Some(shapes) = plan.inputs.iter().map(shape).collect::<Option<Vec<Shape>>>() else {
                outputs.push(plan.probable_output(None));
                continue;
            };
            match self.build_layer(registry, plan, &shapes, keeps_activation) {
                Ok(layer) => {
                    outputs.push(Some(layer.layer.output_shape().clone()));
                    mistakes.extend(self.index_mistake(plan, layer.layer.as_ref()));
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

    /// The layer with the most parameters: what it is called, how many it has, and the place of its `units` or its own.
    ///
    /// # Errors
    /// As [`ModelPlan::build`].
    pub(crate) fn heaviest<F: Number>(
        &self,
        registry: &Registry,
        input: &Shape,
    ) -> Result<(&str, usize, Place), Diagnostics> {
        let built = self.build_layers::<F>(registry, input, Head::Keep)?;
        let count = |built: &Built<F>| {
            let lengths = built.layer.parameters().into_iter().map(|parameter| parameter.shape.len());
            lengths.fold(0, usize::saturating_add)
        };
        let counts = built.iter().map(count);
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
        keeps_activation: bool,
    ) -> Result<Built<F>, BuildError> {
        let build_activation = |output: &Shape| match &plan.activation {
            Some((name, keys)) => match find(registry.activations(), name) {
                Some(entry) => F::activation(entry, keys, output),
                None => Err(unknown("activation")),
            },
            None => Err(unknown("activation")),
        };
        let build_within = plan.within.as_ref().map(|within| within.builder(registry));
        let has_activation = keeps_activation && plan.activation.is_some();
        let mut context = LayerContext::new(shapes, has_activation.then_some(&build_activation as _))
            .with_layers(build_within.as_ref().map(|build| build as _));
        let entry = find(registry.layers(), &plan.type_name).ok_or_else(|| unknown("type"))?;
        let mut layer = F::layer(entry, &plan.keys, &mut context)?;
        let activation = context.remaining(layer.output_shape())?;
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
            let built = self.build_layers(registry, input, Head::Keep).map_err(BuildError::Inside)?;
            Ok(self.nodes(built))
        }
    }

    /// Indices are what the network is given, not what a layer computes.
    fn index_mistake<F: Number>(&self, plan: &LayerPlan, layer: &dyn Layer<F>) -> Option<Diagnostic> {
        let source = plan.inputs.first().copied().flatten().filter(|_| layer.index_limit().is_some())?;
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
                None => format!("the network's input {shape}"),
                Some(index) => format!("{} {shape}", self.layers[index].label),
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

    /// Layers one after the other, an activation that was not fused as a layer of its own.
    fn links<F: Number>(&self, built: Vec<Built<F>>) -> Vec<(String, Box<dyn Layer<F>>)> {
        let mut links: Vec<(String, Box<dyn Layer<F>>)> = Vec::new();
        for (plan, built) in self.layers.iter().zip(built) {
            let shape = built.layer.output_shape().clone();
            links.push((plan.name.clone(), built.layer));
            if let Some(activation) = built.activation {
                links.push((activation_name(&plan.name), Box::new(Activate::new(&shape, activation))));
            }
        }
        links
    }

    /// The same as nodes of a graph.
    fn nodes<F: Number>(&self, built: Vec<Built<F>>) -> Vec<GraphNode<F>> {
        let mut nodes = Vec::new();
        let mut position = Vec::with_capacity(built.len());
        for (plan, built) in self.layers.iter().zip(built) {
            let source = |source: &Option<usize>| {
                source.map_or(Source::Input(0), |index| Source::Node(position[index]))
            };
            let shape = built.layer.output_shape().clone();
            let inputs = plan.inputs.iter().map(source).collect();
            nodes.push(GraphNode::new(plan.name.clone(), built.layer, inputs));
            if let Some(activation) = built.activation {
                let inputs = vec![Source::Node(nodes.len() - 1)];
                let layer = Box::new(Activate::new(&shape, activation));
                nodes.push(GraphNode::new(activation_name(&plan.name), layer, inputs));
            }
            position.push(nodes.len() - 1);
        }
        nodes
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
    let within = within.map(|within| ModelPlan::at("layers", within, registry, MAX_NESTING));
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
