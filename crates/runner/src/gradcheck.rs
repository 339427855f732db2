//! Gradient checks of every registered type: whoever is registered is enrolled.

use chainrule_core::gradcheck::{LayerCase, Options, Phase, Report, Verdict, check_layer, check_objective};
use chainrule_core::layers::{Activate, Dense};
use chainrule_core::random::{self, Purpose};
use chainrule_core::{
    Activation, Error, Layer, Objective, Rows, Shape, TargetKind, Targets, parameter_count,
};
use ndarray_rand::rand::Rng;

use crate::conform::Schema;
use crate::document::{Node, Sources, parse};
use crate::model::build_alone;
use crate::registry::{
    BuildError, BuildLayer, Entry, LayerExample, LossExample, Number, Registry, TargetDomain, find,
};
use crate::schema::definitions;

/// The batches that everything is checked with.
const ROWS: [usize; 3] = [1, 2, 7];

/// Inputs and outputs of the dense layer under an activation and a loss.
const WIDTHS: (usize, usize) = (3, 4);

/// How many draws of random numbers are tried where a draw proves nothing (a relu that is nowhere positive).
const DRAWS: u64 = 20;

/// The check of one registered type in one setting.
#[derive(Clone, Debug)]
pub struct RegisteredCheck {
    /// `layer`, `activation` or `loss`.
    pub kind: &'static str,
    /// The registered name.
    pub name: &'static str,
    /// The keys, the batch, what it was combined with.
    pub setting: String,
    /// What was found.
    pub report: Report,
}

/// Why a registered type cannot be checked: its examples do not fit its own schema.
#[derive(Debug, thiserror::Error)]
#[error("the example `{keys}` of `{name}` cannot be checked: {message}")]
pub struct ExampleError {
    name: &'static str,
    keys: String,
    message: String,
}

/// Checks every layer, every activation (alone and fused into a dense layer, with and without bias), and every loss over
/// every activation whose outputs it is defined for, each with batches of 1, 2 and 7.
///
/// # Errors
/// [`ExampleError`] if an example is wrong in itself.
pub fn check_registered(registry: &Registry) -> Result<Vec<RegisteredCheck>, ExampleError> {
    let mut checks = Vec::new();
    for entry in registry.layers() {
        for example in (entry.build.examples)() {
            let failed =
                |message: String| ExampleError { name: entry.name, keys: example.keys.into(), message };
            let keys = layer_keys(registry, entry, example.keys).map_err(failed)?;
            let shapes: Result<Vec<Shape>, Error> =
                example.inputs.iter().map(|axes| Shape::new(axes.clone())).collect();
            let shapes = shapes.map_err(|error| failed(error.to_string()))?;
            let layer = build_alone::<f64>(registry, entry, &keys, &shapes);
            let layer = layer.map_err(|error| failed(error.to_string()))?;
            for case in cases(layer.as_ref(), &example) {
                let setting = describe(&example, &shapes, &case);
                let report =
                    prove(|seed| check_layer(layer.as_ref(), &case, Options { seed, ..Options::default() }));
                let report = report.map_err(|error| failed(error.to_string()))?;
                checks.push(RegisteredCheck { kind: "layer", name: entry.name, setting, report });
            }
        }
    }
    let heads = heads(registry)?;
    for head in &heads {
        check_head(head, &mut checks)?;
    }
    for entry in registry.losses() {
        for example in (entry.build.examples)() {
            check_loss(entry, &example, &heads, &mut checks)?;
        }
    }
    Ok(checks)
}

/// Builds a registered layer from its keys as an experiment file would have them, `type` among them, for inputs of these
/// shapes: for tests of single layers. Its activation is not applied.
///
/// # Errors
/// What is wrong with the text, in words.
pub fn build_layer<F: Number>(
    registry: &Registry,
    text: &str,
    inputs: &[Shape],
) -> Result<Box<dyn Layer<F>>, String> {
    let mut sources = Sources::new();
    let source = sources.add_argument(text.to_owned());
    let (mut node, mistakes) = parse(&sources, source);
    if let Some(mistake) = mistakes.iter().next() {
        return Err(mistake.message.clone());
    }
    let name = node.as_table_mut().and_then(|table| table.remove("type"));
    let name = name.as_ref().and_then(|entry| entry.as_str()).unwrap_or_default();
    let entry = find(registry.layers(), name).ok_or_else(|| format!("no layer is named `{name}`"))?;
    let node = conforming(&with_definitions(registry, entry), node)?;
    build_alone(registry, entry, &node, inputs).map_err(|error| error.to_string())
}

/// Keys as a file would have them, checked against the type's own schema, defaults filled in.
pub(crate) fn keys(schema: &serde_json::Value, text: &str) -> Result<Node, String> {
    let mut sources = Sources::new();
    let source = sources.add_argument(text.to_owned());
    let (node, mistakes) = parse(&sources, source);
    match mistakes.iter().next() {
        Some(mistake) => Err(mistake.message.clone()),
        None => conforming(schema, node),
    }
}

/// A tree that conforms to a schema, defaults filled in.
fn conforming(schema: &serde_json::Value, mut node: Node) -> Result<Node, String> {
    let schema = Schema::new(schema);
    let mistakes = schema.check(&node);
    if let Some(mistake) = mistakes.iter().next() {
        return Err(mistake.message.clone());
    }
    schema.fill_defaults(&mut node);
    Ok(node)
}

/// The same for a layer, which may hold layers.
pub(crate) fn layer_keys(registry: &Registry, entry: &Entry<BuildLayer>, text: &str) -> Result<Node, String> {
    keys(&with_definitions(registry, entry), text)
}

/// The schema of a layer's keys, with what it refers to.
fn with_definitions(registry: &Registry, entry: &Entry<BuildLayer>) -> serde_json::Value {
    let mut schema = entry.schema.clone();
    schema["$defs"] = definitions(registry);
    schema
}

fn check_one(layer: &dyn Layer<f64>, rows: usize, seed: u64) -> Result<Report, Error> {
    let case = LayerCase { rows, ..LayerCase::default() };
    check_layer(layer, &case, Options { seed, ..Options::default() })
}

/// A layer in every batch that it can be trained on, as it trains and as it predicts, with padding where it skips it.
fn cases(layer: &dyn Layer<f64>, example: &LayerExample) -> Vec<LayerCase> {
    let zeros: Vec<(String, &'static str)> =
        example.zeros.iter().map(|&(tensor, reason)| (tensor.to_owned(), reason)).collect();
    let padded = layer.masked_positions().first().map(|&positions| Some(positions));
    let mut cases = Vec::new();
    for rows in ROWS {
        for phase in [Phase::Train, Phase::Evaluate] {
            if phase == Phase::Train && rows < layer.least_rows() {
                continue;
            }
            for masked in [Some(None), padded].into_iter().flatten() {
                cases.push(LayerCase { rows, phase, masked, zeros: zeros.clone() });
            }
        }
    }
    cases
}

fn describe(example: &LayerExample, shapes: &[Shape], case: &LayerCase) -> String {
    let phase = match case.phase {
        Phase::Train => "in training",
        Phase::Evaluate => "in evaluation",
    };
    let padding = case.masked.map_or("", |_| ", with padding");
    let keys = example.keys.replace('\n', ", ");
    format!("{{ {keys} }} on {shapes:?}, {} rows, {phase}{padding}", case.rows)
}

/// The first of several draws that proves something; a draw that fails is final.
fn prove(mut check: impl FnMut(u64) -> Result<Report, Error>) -> Result<Report, Error> {
    let mut report = check(0)?;
    for seed in 1..DRAWS {
        let fails = report.tensors.iter().any(|tensor| tensor.verdict == Verdict::Failed);
        if report.proves() || fails {
            break;
        }
        report = check(seed)?;
    }
    Ok(report)
}

/// An activation with the keys of one of its examples, able to be built again and again.
struct Head<'a> {
    entry: &'a Entry<crate::registry::BuildActivation>,
    keys: Node,
    text: &'static str,
}

impl Head<'_> {
    fn build(&self, output: &Shape) -> Result<Box<dyn Activation<f64>>, ExampleError> {
        f64::activation(self.entry, &self.keys, output).map_err(|error| self.error(&error))
    }

    fn error(&self, error: &dyn std::fmt::Display) -> ExampleError {
        ExampleError { name: self.entry.name, keys: self.text.into(), message: error.to_string() }
    }

    fn label(&self) -> String {
        if self.text.is_empty() {
            self.entry.name.into()
        } else {
            format!("{} {{ {} }}", self.entry.name, self.text)
        }
    }

    /// A dense layer that fuses the activation.
    fn dense(&self, bias: Bias) -> Result<Box<dyn Layer<f64>>, ExampleError> {
        let (input, output) = (vector(WIDTHS.0), vector(WIDTHS.1));
        let dense = Dense::new(&input, WIDTHS.1, self.build(&output)?).map_err(|error| self.error(&error))?;
        Ok(match bias {
            Bias::With => Box::new(dense),
            Bias::Without => Box::new(dense.without_bias()),
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bias {
    With,
    Without,
}

const BIASES: [Bias; 2] = [Bias::With, Bias::Without];

fn vector(len: usize) -> Shape {
    Shape::vector(len).expect("a small constant")
}

fn heads(registry: &Registry) -> Result<Vec<Head<'_>>, ExampleError> {
    let mut heads = Vec::new();
    for entry in registry.activations() {
        for text in (entry.build.examples)() {
            let failed = |message| ExampleError { name: entry.name, keys: text.into(), message };
            heads.push(Head { entry, keys: keys(&entry.schema, text).map_err(failed)?, text });
        }
    }
    Ok(heads)
}

fn check_head(head: &Head<'_>, checks: &mut Vec<RegisteredCheck>) -> Result<(), ExampleError> {
    let shape = vector(WIDTHS.1);
    let layers: [(&str, Box<dyn Layer<f64>>); 3] = [
        ("alone", Box::new(Activate::new(&shape, head.build(&shape)?))),
        ("in a dense layer", head.dense(Bias::With)?),
        ("in a dense layer without bias", head.dense(Bias::Without)?),
    ];
    for (place, layer) in layers {
        for rows in ROWS {
            let report =
                prove(|seed| check_one(layer.as_ref(), rows, seed)).map_err(|error| head.error(&error))?;
            let setting = format!("{{ {} }} {place}, {rows} rows", head.text);
            checks.push(RegisteredCheck { kind: "activation", name: head.entry.name, setting, report });
        }
    }
    Ok(())
}

fn check_loss(
    entry: &Entry<crate::registry::BuildLoss>,
    example: &LossExample,
    heads: &[Head<'_>],
    checks: &mut Vec<RegisteredCheck>,
) -> Result<(), ExampleError> {
    let failed = |message: String| ExampleError { name: entry.name, keys: example.keys.into(), message };
    let keys = keys(&entry.schema, example.keys).map_err(failed)?;
    let output = vector(WIDTHS.1);
    let build = |fused: Option<&str>| {
        f64::loss(entry, &keys, fused, &output).map_err(|error: BuildError| failed(error.to_string()))
    };
    for head in heads {
        for bias in BIASES {
            let mut objectives = vec![("over", head.dense(bias)?, build(None)?)];
            if let Some(fused) = build(Some(head.entry.name))? {
                let plain =
                    Dense::new(&vector(WIDTHS.0), WIDTHS.1, Box::new(chainrule_core::activation::Linear));
                let plain = plain.map_err(|error| failed(error.to_string()))?;
                let plain: Box<dyn Layer<f64>> = match bias {
                    Bias::With => Box::new(plain),
                    Bias::Without => Box::new(plain.without_bias()),
                };
                objectives.push(("fused with", plain, Some(fused)));
            }
            for (how, network, loss) in objectives {
                let Some(loss) = loss else { continue };
                let fused = how != "over";
                let objective = Objective::new(network, loss).map_err(|error| failed(error.to_string()))?;
                for rows in ROWS {
                    let case = LossCase { objective: &objective, example, rows, in_domain_anyway: fused };
                    let Some(report) = case.check().map_err(|error| failed(error.to_string()))? else {
                        continue;
                    };
                    let setting =
                        format!("{{ {} }} {how} {} ({bias:?} bias), {rows} rows", example.keys, head.label());
                    checks.push(RegisteredCheck { kind: "loss", name: entry.name, setting, report });
                }
            }
        }
    }
    Ok(())
}

/// A loss over a network, and the numbers that it is defined for.
struct LossCase<'a> {
    objective: &'a Objective<f64>,
    example: &'a LossExample,
    rows: usize,
    /// A fused loss takes the argument of the activation: any number.
    in_domain_anyway: bool,
}

impl LossCase<'_> {
    /// `None` if no draw gives outputs that the loss is defined for.
    fn check(&self) -> Result<Option<Report>, Error> {
        let count = parameter_count(&self.objective.parameters())?;
        let mut last = None;
        for seed in 0..DRAWS {
            let mut rng = random::generator(seed, Purpose::Gradcheck, 7, self.rows as u64);
            let mut draw =
                |len: usize| -> Vec<f64> { (0..len).map(|_| rng.random_range(-1.0..1.0)).collect() };
            let (theta, x) = (draw(count), draw(self.rows * WIDTHS.0));
            let targets = self.targets(&mut rng);
            let x = Rows::new(&x, WIDTHS.0);
            if !self.in_domain(&theta, x)? {
                continue;
            }
            let options = Options { seed, ..Options::default() };
            let report = check_objective(self.objective, &theta, x, targets.view(), options)?;
            let settled = report.proves() || !report.passed();
            last = Some(report);
            if settled {
                break;
            }
        }
        Ok(last)
    }

    fn in_domain(&self, theta: &[f64], x: Rows<'_, f64>) -> Result<bool, Error> {
        let mut workspace = chainrule_core::Workspace::new(self.objective.network(), self.rows)?;
        let buffers = self.objective.start_buffers();
        let ctx = &mut chainrule_core::Ctx::evaluate(&chainrule_core::Inline, &buffers);
        let outputs = self.objective.outputs(theta, &[x], &mut workspace, ctx);
        let (low, high) = self.example.outputs;
        // Well inside: a bound within the step of the differences is a kink of the domain.
        let inside = |&y: &f64| y > low + 0.05 && y < high - 0.05;
        Ok(self.in_domain_anyway || outputs.data().iter().all(inside))
    }

    fn targets(&self, rng: &mut random::Rng) -> OwnedTargets {
        let len = self.rows * WIDTHS.1;
        let mut values =
            |low: f64, high: f64| (0..len).map(|_| rng.random_range(low..high)).collect::<Vec<f64>>();
        match (self.example.targets, self.objective.loss().outputs()[0].loss.target_kind()) {
            (_, TargetKind::Classes(classes)) => {
                let classes = u32::try_from(classes).unwrap_or(u32::MAX);
                OwnedTargets::Classes((0..self.rows).map(|_| rng.random_range(0..classes)).collect())
            }
            (TargetDomain::Unit, _) => OwnedTargets::Values(values(0.05, 0.95)),
            (TargetDomain::Signs, _) => {
                OwnedTargets::Values(values(-1.0, 1.0).into_iter().map(f64::signum).collect())
            }
            (TargetDomain::Distribution, _) => {
                let mut values = values(0.1, 1.0);
                for row in values.chunks_mut(WIDTHS.1) {
                    let sum: f64 = row.iter().sum();
                    row.iter_mut().for_each(|value| *value /= sum);
                }
                OwnedTargets::Values(values)
            }
            _ => OwnedTargets::Values(values(-1.5, 1.5)),
        }
    }
}

enum OwnedTargets {
    Values(Vec<f64>),
    Classes(Vec<u32>),
}

impl OwnedTargets {
    fn view(&self) -> Targets<'_, f64> {
        match self {
            Self::Values(values) => Targets::Values(Rows::new(values, WIDTHS.1)),
            Self::Classes(classes) => Targets::Classes(classes),
        }
    }
}

#[cfg(test)]
mod tests {
    use chainrule_core::gradcheck::batch_additivity;

    use super::*;

    #[test]
    fn gradients_of_every_layer_are_the_sums_of_its_samples() {
        let registry = Registry::standard();
        for entry in registry.layers() {
            for example in (entry.build.examples)() {
                let keys = layer_keys(&registry, entry, example.keys).unwrap();
                let shapes: Vec<Shape> =
                    example.inputs.iter().map(|axes| Shape::new(axes.clone()).unwrap()).collect();
                let layer = build_alone::<f64>(&registry, entry, &keys, &shapes).unwrap();
                // In evaluation: statistics of a batch and noise of a row belong to the whole batch.
                for case in cases(layer.as_ref(), &example) {
                    if case.phase == Phase::Evaluate {
                        let error = batch_additivity(layer.as_ref(), &case, Options::default()).unwrap();
                        assert!(error < 1e-12, "{}: {error:e}", describe(&example, &shapes, &case));
                    }
                }
            }
        }
    }

    #[test]
    fn every_registered_type_is_checked_and_proven() {
        let registry = Registry::standard();
        let checks = check_registered(&registry).unwrap();
        for check in &checks {
            assert!(
                check.report.proves(),
                "{} {} {}: {:#?}",
                check.kind,
                check.name,
                check.setting,
                check.report
            );
        }
        let mut names: Vec<(&str, &str)> = checks.iter().map(|check| (check.kind, check.name)).collect();
        names.sort_unstable();
        names.dedup();
        let registered = registry.layers().len() + registry.activations().len() + registry.losses().len();
        assert_eq!(names.len(), registered, "{names:?}");
        // 14 activations, some in two settings, under 8 losses, with and without bias, in three batches.
        let losses = checks.iter().filter(|check| check.kind == "loss").count();
        assert!(losses > 600, "{losses}");
    }
}
