//! From built layers to the chain or the graph that they make.

use chainrule_core::activation::{Sigmoid, Softmax};
use chainrule_core::layers::{Activate, Bundle, Node as GraphNode, Part, Source};
use chainrule_core::{Activation, Error, Layer, Shape};

use super::{ActivationPlace, Built, Head, LayerPlan, ModelPlan, Reads, activation_name};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::registry::{Number, Outputs};

/// The node that joins several outputs; no layer can have this name.
pub(crate) const BUNDLE: &str = "(outputs)";

impl ModelPlan {
    /// The shape of an input of a network whose samples have the shape `input`.
    pub(super) fn input_shape(&self, index: usize, input: &Shape) -> Shape {
        match &self.inputs[..] {
            [_] => input.clone(),
            inputs => inputs[index].shape.clone().unwrap_or_else(|| input.clone()),
        }
    }

    /// Whether another layer reads this one.
    fn is_read(&self, layer: usize) -> bool {
        self.layers.iter().any(|plan| plan.inputs.contains(&Reads::Layer(layer)))
    }

    /// The head of a layer that is an output.
    fn head_of(&self, layer: usize, heads: &[Head]) -> Option<Head> {
        self.outputs.iter().zip(heads).find(|(output, _)| **output == layer).map(|(_, head)| *head)
    }

    pub(super) fn activation_of(&self, layer: usize, heads: &[Head]) -> ActivationPlace {
        match self.head_of(layer, heads) {
            Some(Head::Fused) if self.is_read(layer) => ActivationPlace::Behind,
            Some(Head::Fused) => ActivationPlace::Nowhere,
            _ => ActivationPlace::Within,
        }
    }

    /// A tied layer needs the tensors that the other has.
    pub(super) fn check_tie<F: Number>(
        &self,
        plan: &LayerPlan,
        layer: &Built<F>,
        before: &[Built<F>],
        mistakes: &mut Diagnostics,
    ) {
        let Some((tie, other)) = plan.tie.and_then(|tie| Some((tie, before.get(tie)?))) else { return };
        let shapes = |built: &Built<F>| -> Vec<Shape> {
            built.layer.parameters().into_iter().map(|tensor| tensor.shape).collect()
        };
        let (needs, has) = (shapes(layer), shapes(other));
        if needs == has {
            return;
        }
        let list = |shapes: &[Shape]| match shapes {
            [] => "none".to_owned(),
            _ => shapes.iter().map(Shape::to_string).collect::<Vec<_>>().join(" "),
        };
        let message = format!(
            "{} needs the tensors {}, but {}, which it is tied to, has {}",
            plan.label,
            list(&needs),
            self.layers[tie].label,
            list(&has)
        );
        let without_bias = needs.len() == has.len() + 1 && needs[..has.len()] == has[..];
        let help = without_bias.then(|| "give it `bias = false`".to_owned());
        mistakes.push(Diagnostic::new(message).at(plan.tie_place).maybe_help(help));
    }

    /// Padding is known of whole samples.
    pub(super) fn check_padding<F: Number>(
        &self,
        plan: &LayerPlan,
        layer: &Built<F>,
        mistakes: &mut Diagnostics,
    ) {
        let reads_part =
            self.inputs.len() > 1 && plan.inputs.iter().any(|read| matches!(read, Reads::Input(_)));
        if reads_part && layer.layer.masking().is_some() {
            let message =
                format!("{} marks padding, which is possible in a network with one input only", plan.label);
            mistakes.push(Diagnostic::new(message).at(plan.place).help("leave out `padding_index`"));
        }
    }

    /// Layers one after the other, an activation that was not fused as a layer of its own.
    pub(super) fn links<F: Number>(
        &self,
        built: Vec<Built<F>>,
        heads: &[Head],
    ) -> Vec<(String, Box<dyn Layer<F>>)> {
        let mut links: Vec<(String, Box<dyn Layer<F>>)> = Vec::new();
        for (index, (plan, built)) in self.layers.iter().zip(built).enumerate() {
            let shape = built.layer.output_shape().clone();
            links.push((plan.name.clone(), built.layer));
            if let Some(activation) = built.activation {
                links.push((activation_name(&plan.name), Box::new(Activate::new(&shape, activation))));
            }
            if let Some(probabilities) =
                self.head_of(index, heads).and_then(|head| probabilities(head, &shape))
            {
                links.push((probabilities_name(&plan.name), Box::new(Activate::new(&shape, probabilities))));
            }
        }
        links
    }

    /// The same as nodes of a graph, with a node for each part of the input and one that joins several outputs.
    pub(super) fn nodes<F: Number>(
        &self,
        built: Vec<Built<F>>,
        input: &Shape,
        heads: &[Head],
    ) -> Result<Vec<GraphNode<F>>, Error> {
        let mut nodes: Vec<GraphNode<F>> = Vec::new();
        if self.inputs.len() > 1 {
            let mut start = 0;
            for (index, plan) in self.inputs.iter().enumerate() {
                let shape = self.input_shape(index, input);
                let len = shape.len();
                let part = Box::new(Part::new(input, start, shape)?);
                nodes.push(GraphNode::new(plan.name.clone(), part, vec![Source::Input(0)]));
                start += len;
            }
        }
        let read_input = |index| if self.inputs.len() > 1 { Source::Node(index) } else { Source::Input(0) };
        // Of every layer its node, what other layers read, and what the loss or the user reads.
        let (mut own, mut read, mut given) = (Vec::new(), Vec::new(), Vec::new());
        let mut shapes = Vec::new();
        for (index, (plan, built)) in self.layers.iter().zip(built).enumerate() {
            let source = |source: &Reads| match *source {
                Reads::Input(index) => read_input(index),
                Reads::Layer(index) => Source::Node(read[index]),
            };
            let shape = built.layer.output_shape().clone();
            let inputs = plan.inputs.iter().map(source).collect();
            let node = GraphNode::new(plan.name.clone(), built.layer, inputs);
            nodes.push(match plan.tie {
                Some(tie) => node.tied_to(own[tie]),
                None => node,
            });
            own.push(nodes.len() - 1);
            let mut add = |name: String, activation: Box<dyn Activation<F>>| {
                let inputs = vec![Source::Node(nodes.len() - 1)];
                nodes.push(GraphNode::new(name, Box::new(Activate::new(&shape, activation)), inputs));
            };
            if let Some(activation) = built.activation {
                add(activation_name(&plan.name), activation);
            }
            let head = self.head_of(index, heads);
            let applied = own.len() - 1;
            let probable = head.and_then(|head| probabilities(head, &shape));
            let has_probabilities = probable.is_some();
            if let Some(probabilities) = probable {
                add(probabilities_name(&plan.name), probabilities);
            }
            let last = nodes.len() - 1;
            read.push(last - usize::from(has_probabilities));
            given.push(if head == Some(Head::Fused) { own[applied] } else { last });
            shapes.push(shape);
        }
        if self.outputs.len() > 1 {
            let inputs = self.outputs.iter().map(|&output| Source::Node(given[output])).collect();
            let shapes: Vec<Shape> = self.outputs.iter().map(|&output| shapes[output].clone()).collect();
            nodes.push(GraphNode::new(BUNDLE, Box::new(Bundle::new(&shapes)?), inputs));
        }
        Ok(nodes)
    }
}

/// What makes probabilities of the scores of an output, if it gives scores.
fn probabilities<F: Number>(head: Head, shape: &Shape) -> Option<Box<dyn Activation<F>>> {
    match head {
        Head::Probabilities(Outputs::ClassLogits) => Some(Box::new(Softmax::new(shape.last()))),
        Head::Probabilities(Outputs::BinaryLogits) => Some(Box::new(Sigmoid)),
        _ => None,
    }
}

fn probabilities_name(layer: &str) -> String {
    format!("{layer}.probabilities")
}
