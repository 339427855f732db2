//! An experiment as it will run: file, `extends` and `--set` merged, checked, and every default filled in.

mod groups;
mod rest;
mod settings;

use std::path::{Path, PathBuf};

use chainrule_trainer::Schedule;
use chainrule_trainer::metrics::{Metric, Task};
use chainrule_trainer::optimizer::Tuning;
use chainrule_trainer::schedule::{Constant, Warmup};

use crate::conform::Schema;
use crate::data::{self, DataCommon};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::document::{self, Loaded, Node, Place, Sources, Table, Value};
use crate::error::Failure;
use crate::model::{ModelPlan, ModelSource, made_up_name};
use crate::registry::{BuildError, BuildLoss, Entry, Number, Outputs, Registry, RunLength, find};
use crate::schema;
use crate::session;
use crate::spec::{
    CheckpointTable, Dtype, EarlyStoppingTable, MetricsTable, OptimizerCommon, PredictTable, RuntimeTable,
    ScheduleCommon, Sweep, TrainTable,
};

/// The longest name of an experiment, which becomes a directory's.
const LONGEST_NAME: usize = 100;

/// A checked experiment.
#[derive(Debug)]
pub struct Experiment {
    /// Every key with its value; loaded again, it gives the same result.
    pub resolved: Node,
    /// The texts it came from, for messages about what is found later.
    pub sources: Sources,
    /// `name`.
    pub name: String,
    /// `seed`.
    pub seed: u64,
    /// `dtype`.
    pub dtype: Dtype,
    /// `[train]`.
    pub train: TrainTable,
    /// `[early_stopping]`.
    pub early_stopping: Option<EarlyStoppingTable>,
    /// `[sweep]`.
    pub sweep: Option<Sweep>,
    /// `[checkpoint]`.
    pub checkpoint: CheckpointTable,
    /// `[predict]`.
    pub predict: Option<PredictTable>,
    /// `[runtime]`.
    pub runtime: RuntimeTable,
    /// `[model] layers`, `[[inputs]]`, and which layers are outputs.
    pub model: ModelPlan,
    /// `[loss]`, or the losses of `[[outputs]]`.
    pub goals: Vec<Goal>,
    /// `[model] input_shape`.
    pub input_shape: Option<Vec<usize>>,
    /// `[model] initial_weights`, absolute.
    pub initial_weights: Option<PathBuf>,
    pub(crate) optimizer: OptimizerCommon,
    /// `[[optimizer.groups]]`.
    pub(crate) tunings: Vec<Tuning>,
    /// `[lr_schedule]`: the keys that all its types take.
    pub(crate) schedule: Option<ScheduleCommon>,
    pub(crate) data: DataCommon,
    /// `[metrics] report`.
    pub(crate) metrics: Vec<Metric>,
}

/// A loss: of `[loss]`, or of an entry of `[[outputs]]`.
#[derive(Clone, Debug)]
pub struct Goal {
    /// The layer whose output it judges; nothing, if that is the last.
    pub name: String,
    /// How much it counts.
    pub weight: f64,
    /// Where it stands, as a path of keys.
    path: Vec<String>,
}

impl Goal {
    /// Those of an experiment.
    fn all(root: &Node) -> Vec<Self> {
        let outputs = root.at(&["outputs"]).and_then(Node::as_array).unwrap_or_default();
        if outputs.is_empty() {
            return vec![Self { name: String::new(), weight: 1.0, path: vec!["loss".into()] }];
        }
        let goal = |(index, output): (usize, &Node)| Self {
            name: output.at(&["layer"]).and_then(Node::as_str).unwrap_or_default().to_owned(),
            weight: read_at(output, &["weight"]).ok().flatten().unwrap_or(1.0),
            path: vec!["outputs".into(), index.to_string(), "loss".into()],
        };
        outputs.iter().enumerate().map(goal).collect()
    }

    /// The path of the loss's table.
    pub(crate) fn path(&self) -> Vec<&str> {
        self.path.iter().map(String::as_str).collect()
    }

    /// What the table of the loss is called in a message.
    pub(crate) fn table(&self) -> String {
        match self.name.as_str() {
            "" => "[loss]".into(),
            _ => format!("outputs[{}].loss", self.path[1]),
        }
    }
}

impl Experiment {
    /// Loads an experiment file and applies `--set` arguments.
    ///
    /// # Errors
    /// [`Failure::Unreadable`] without a readable file; [`Failure::Experiment`] with all mistakes that can be seen
    /// without the data.
    pub fn load(path: &Path, overrides: &[String], registry: &Registry) -> Result<Self, Failure> {
        Self::of_document(path, document::load(path, overrides)?, registry)
    }

    /// The same of one trial of a sweep: without `[sweep]`.
    ///
    /// # Errors
    /// As [`Experiment::load`].
    pub fn load_without_sweep(
        path: &Path,
        overrides: &[String],
        registry: &Registry,
    ) -> Result<Self, Failure> {
        let mut loaded = document::load(path, overrides)?;
        if let Some(root) = loaded.root.as_table_mut() {
            drop(root.remove("sweep"));
        }
        Self::of_document(path, loaded, registry)
    }

    fn of_document(path: &Path, loaded: Loaded, registry: &Registry) -> Result<Self, Failure> {
        let Loaded { root, sources, diagnostics } = loaded;
        if !diagnostics.is_empty() {
            return Err(Failure::Experiment(diagnostics, sources));
        }
        let mut schema = schema::experiment(registry);
        if root.at(&["outputs"]).is_some() {
            schema::without_loss(&mut schema);
        }
        let schema = Schema::new(&schema);
        let mut diagnostics = schema.check(&root);
        if !diagnostics.is_empty() {
            diagnostics.append(rest::mistakes_of_the_rest(root, &sources, path, &schema, registry));
            return Err(Failure::Experiment(diagnostics, sources));
        }
        Self::of_conforming(root, sources, path, &schema, registry)
    }

    fn of_conforming(
        mut root: Node,
        sources: Sources,
        path: &Path,
        schema: &Schema,
        registry: &Registry,
    ) -> Result<Self, Failure> {
        name_everything(&mut root, path);
        let mut mistakes = keys_of_ties(&mut root);
        inherit_initializers(&mut root, registry);
        schema.fill_defaults(&mut root);
        forget_initializers_of_ties(&mut root);
        make_paths_absolute(&mut root, &sources);
        let experiment = match Self::read(root, &sources, registry) {
            Ok((experiment, found)) => {
                mistakes.append(found);
                experiment
            }
            Err(found) => {
                mistakes.append(found);
                return Err(Failure::Experiment(mistakes, sources));
            }
        };
        if mistakes.is_empty() {
            return Ok(experiment);
        }
        mistakes.append(session::mistakes(&experiment, registry));
        Err(experiment.mistake(mistakes))
    }

    /// The tree as the text of `config.toml`.
    pub fn resolved_toml(&self) -> String {
        self.resolved.as_table().map(document::to_toml_string).unwrap_or_default()
    }

    /// The node at a path, or the whole tree, for a message's place.
    pub(crate) fn place(&self, path: &[&str]) -> Place {
        self.resolved.at(path).map_or(self.resolved.place, |node| node.place)
    }

    /// A mistake found after loading.
    pub(crate) fn mistake(&self, diagnostics: impl Into<Diagnostics>) -> Failure {
        Failure::Experiment(diagnostics.into(), self.sources.clone())
    }

    /// The registered type that a table names, and its keys without those common to its kind.
    pub(crate) fn variant<'r, B>(
        &self,
        entries: &'r [Entry<B>],
        table: &str,
    ) -> Result<(&'r Entry<B>, Node), Failure> {
        self.variant_at(entries, &[table])
    }

    /// The same of a table anywhere.
    fn variant_at<'r, B>(
        &self,
        entries: &'r [Entry<B>],
        path: &[&str],
    ) -> Result<(&'r Entry<B>, Node), Failure> {
        let node = self.resolved.at(path);
        let table = path.join(".");
        let name = node.and_then(|node| node.at(&["type"])).and_then(Node::as_str).unwrap_or_default();
        let unknown = || self.mistake(Diagnostic::new(format!("unknown type `{name}` in [{table}]")));
        let entry = find(entries, name).ok_or_else(unknown)?;
        let mut keys = node.cloned().ok_or_else(unknown)?;
        let own = |key: &str| !entry.schema["properties"][key].is_null();
        if let Some(table) = keys.as_table_mut() {
            let foreign: Vec<String> =
                table.iter().map(|entry| entry.key.clone()).filter(|key| !own(key)).collect();
            foreign.iter().for_each(|key| drop(table.remove(key)));
        }
        Ok((entry, keys))
    }

    /// The registered type of a loss and its keys.
    pub(crate) fn loss<'r>(
        &self,
        registry: &'r Registry,
        goal: &Goal,
    ) -> Result<(&'r Entry<BuildLoss>, Node), Failure> {
        self.variant_at(registry.losses(), &goal.path())
    }

    /// A key of a loss that the others do not allow, at its place.
    pub(crate) fn loss_mistake(&self, goal: &Goal, error: &BuildError) -> Failure {
        let mut path = goal.path();
        if let BuildError::Key { key, .. } = error {
            path.push(key);
        }
        self.mistake(Diagnostic::new(format!("{}: {error}", goal.table())).at(self.place(&path)))
    }

    /// What the losses take the network's outputs for, one by one.
    ///
    /// # Errors
    /// [`Failure::Experiment`] if a loss is not registered.
    pub fn outputs(&self, registry: &Registry) -> Result<Vec<Outputs>, Failure> {
        let outputs = |goal: &Goal| {
            let (entry, keys) = self.loss(registry, goal)?;
            (entry.build.outputs)(&keys).map_err(|error| self.loss_mistake(goal, &error))
        };
        self.goals.iter().map(outputs).collect()
    }

    /// What the outputs say, one by one.
    ///
    /// # Errors
    /// [`Failure::Experiment`] if a loss is not registered.
    pub(crate) fn tasks(&self, registry: &Registry) -> Result<Vec<Task>, Failure> {
        let task = |goal: &Goal| {
            let (entry, keys) = self.loss(registry, goal)?;
            (entry.build.task)(&keys).map_err(|error| self.loss_mistake(goal, &error))
        };
        self.goals.iter().map(task).collect()
    }

    /// The optimiser.
    ///
    /// # Errors
    /// [`Failure::Experiment`] if its keys contradict each other.
    pub fn optimizer<F: Number>(
        &self,
        registry: &Registry,
    ) -> Result<Box<dyn chainrule_trainer::Optimizer<F>>, Failure> {
        let (entry, keys) = self.variant(registry.optimizers(), "optimizer")?;
        F::optimizer(entry, &keys).map_err(|error| self.key_mistake("optimizer", &error))
    }

    /// The schedule of the learning rate for a run with so many steps an epoch; without `[lr_schedule]`, a constant.
    ///
    /// # Errors
    /// [`Failure::Experiment`] if its keys contradict each other or do not fit the length of the run.
    pub fn schedule(&self, registry: &Registry, steps_per_epoch: u64) -> Result<Box<dyn Schedule>, Failure> {
        let learning_rate = self.optimizer.learning_rate;
        let Some(common) = &self.schedule else { return Ok(Box::new(Constant(learning_rate))) };
        let mistake = |error| self.key_diagnostic("lr_schedule", &error);
        let (entry, keys) = self.variant(registry.schedules(), "lr_schedule")?;
        let steps = self.train.epochs.saturating_mul(steps_per_epoch);
        let mut run = RunLength { learning_rate, steps_per_epoch, warmup: 0, steps };
        let mut mistakes = Diagnostics::new();
        // A warm-up that is wrong does not hide what else is.
        run.warmup = common.warmup(&run).unwrap_or_else(|error| {
            mistakes.push(mistake(error));
            0
        });
        run.steps = steps.saturating_sub(run.warmup);
        let schedule = match (entry.build)(&keys, &run) {
            Ok(schedule) if mistakes.is_empty() => schedule,
            Ok(_) => return Err(self.mistake(mistakes)),
            Err(error) => {
                mistakes.push(mistake(error));
                return Err(self.mistake(mistakes));
            }
        };
        Ok(match run.warmup {
            0 => schedule,
            warmup => Box::new(Warmup::new(schedule, warmup, common.warmup_factor)),
        })
    }

    /// A key of a table that the others do not allow, at its place.
    pub(crate) fn key_mistake(&self, table: &str, error: &BuildError) -> Failure {
        self.mistake(self.key_diagnostic(table, error))
    }

    fn key_diagnostic(&self, table: &str, error: &BuildError) -> Diagnostic {
        let place = match error {
            BuildError::Key { key, .. } => self.place(&[table, key]),
            _ => self.place(&[table]),
        };
        Diagnostic::new(format!("[{table}]: {error}")).at(place)
    }
}

impl Experiment {
    /// The typed tables of a resolved tree. With mistakes of the wiring, a model without layers takes the place of the file's.
    fn read(root: Node, sources: &Sources, registry: &Registry) -> Result<(Self, Diagnostics), Diagnostics> {
        let mut mistakes = Diagnostics::new();
        check_name(&root, &mut mistakes);
        let data: DataCommon = common_keys(&root, "data", &DataCommon::KEYS)?;
        check_fractions(&root, data, &mut mistakes);
        let metrics: MetricsTable = read_at(&root, &["metrics"])?.unwrap_or_default();
        check_metrics(&root, &metrics, &mut mistakes);
        check_exclusive(&root, &mut mistakes);
        let model = ModelPlan::new(ModelSource::of(&root), registry).unwrap_or_else(|found| {
            mistakes.append(found);
            ModelPlan::default()
        });
        let optimizer: OptimizerCommon = common_keys(&root, "optimizer", &OptimizerCommon::KEYS)?;
        let tunings = groups::tunings(&root, &optimizer, registry, &mut mistakes);
        let schedule = match root.at(&["lr_schedule"]) {
            Some(_) => Some(common_keys(&root, "lr_schedule", &ScheduleCommon::KEYS)?),
            None => None,
        };
        let experiment = Self {
            name: read_at(&root, &["name"])?.unwrap_or_default(),
            seed: read_at(&root, &["seed"])?.unwrap_or_default(),
            dtype: read_at(&root, &["dtype"])?.unwrap_or_default(),
            train: required(read_at(&root, &["train"])?, "train")?,
            early_stopping: read_at(&root, &["early_stopping"])?,
            sweep: sweep(&root)?,
            checkpoint: read_at(&root, &["checkpoint"])?.unwrap_or_default(),
            predict: read_at(&root, &["predict"])?,
            runtime: read_at(&root, &["runtime"])?.unwrap_or_default(),
            model,
            goals: Goal::all(&root),
            input_shape: read_at(&root, &["model", "input_shape"])?,
            initial_weights: read_at(&root, &["model", "initial_weights"])?,
            optimizer,
            tunings,
            schedule,
            data,
            metrics: metrics.report.into_iter().map(Metric::from).collect(),
            sources: sources.clone(),
            resolved: root,
        };
        Ok((experiment, mistakes))
    }
}

/// Reads what stands at a path, which conforms to the schema.
fn read_at<T: serde::de::DeserializeOwned>(root: &Node, path: &[&str]) -> Result<Option<T>, Diagnostics> {
    let read = |node: &Node| {
        let mistake = |error| Diagnostic::new(format!("{}: {error}", path.join("."))).at(node.place);
        document::deserialize(node).map_err(mistake)
    };
    Ok(root.at(path).map(read).transpose()?)
}

/// `[sweep]`, if there is one.
fn sweep(root: &Node) -> Result<Option<Sweep>, Diagnostics> {
    let read = |node: &Node| {
        Sweep::read(node).map_err(|error| Diagnostic::new(format!("[sweep]: {error}")).at(node.place))
    };
    Ok(root.at(&["sweep"]).map(read).transpose()?)
}

fn required<T>(value: Option<T>, table: &str) -> Result<T, Diagnostics> {
    value.ok_or_else(|| Diagnostic::new(format!("missing table [{table}]")).into())
}

/// The keys of a table that all its types take.
fn common_keys<T: serde::de::DeserializeOwned>(
    root: &Node,
    name: &str,
    common: &[&str],
) -> Result<T, Diagnostics> {
    let mut keys = Table::new();
    let table = root.at(&[name]).and_then(Node::as_table);
    for &key in common {
        if let Some(entry) = table.and_then(|table| table.entry(key)) {
            keys.insert(key, entry.key_place, entry.node.clone());
        }
    }
    let place = root.at(&[name]).map_or(root.place, |node| node.place);
    let keys = Node::new(Value::Table(keys), place);
    document::deserialize(&keys)
        .map_err(|error| Diagnostic::new(format!("[{name}]: {error}")).at(place).into())
}

/// A loss is given in one of two ways, and so is the shape of the inputs.
fn check_exclusive(root: &Node, mistakes: &mut Diagnostics) {
    if let (Some(loss), Some(_)) = (root.at(&["loss"]), root.at(&["outputs"])) {
        let message = "[loss] and [[outputs]] exclude each other: each output has its own loss";
        let help = "remove [loss], or the outputs";
        mistakes.push(Diagnostic::new(message).at(loss.place).help(help));
    }
    if let (Some(_), Some(steps)) =
        (root.at(&["checkpoint", "every_epochs"]), root.at(&["checkpoint", "every_steps"]))
    {
        let message = "checkpoint.every_epochs and checkpoint.every_steps exclude each other";
        mistakes.push(Diagnostic::new(message).at(steps.place).help("remove one of them"));
    }
    if let (Some(shape), Some(_)) = (root.at(&["model", "input_shape"]), root.at(&["inputs"])) {
        let message = "model.input_shape and [[inputs]] exclude each other: each input has its own shape";
        mistakes.push(Diagnostic::new(message).at(shape.place).help("remove `input_shape`"));
    }
}

/// Something is left to train on.
fn check_fractions(root: &Node, data: DataCommon, mistakes: &mut Diagnostics) {
    if data.validation + data.test < 1.0 {
        return;
    }
    let place = |key| root.at(&["data", key]).map(|node| node.place).filter(|place| !place.is_none());
    let message = format!(
        "data.validation and data.test must be less than 1 together, found {} and {}",
        data.validation, data.test
    );
    let place = place("test").or(place("validation")).unwrap_or(root.place);
    mistakes.push(Diagnostic::new(message).at(place).help("what they leave is trained on"));
}

/// Each metric is asked for once.
fn check_metrics(root: &Node, metrics: &MetricsTable, mistakes: &mut Diagnostics) {
    let names = root.at(&["metrics", "report"]).and_then(Node::as_array).unwrap_or_default();
    for (index, (metric, node)) in metrics.report.iter().zip(names).enumerate() {
        if metrics.report[..index].contains(metric) {
            let message = format!("metrics.report has {} twice", Metric::from(*metric).name());
            mistakes.push(Diagnostic::new(message).at(node.place));
        }
    }
}

/// Gives the experiment the name of its file and every layer without a name `TYPE_N`.
fn name_everything(root: &mut Node, path: &Path) {
    let Some(table) = root.as_table_mut() else { return };
    if !table.contains_key("name") {
        let stem =
            path.file_stem().map_or_else(|| "experiment".into(), |stem| stem.to_string_lossy().into_owned());
        table.insert("name", Place::none(), Node::new(Value::String(stem), Place::none()));
    }
    for_each_layer(layers_mut(root), &mut |index, layer| {
        let name = made_up_name(index, type_of(layer));
        if !layer.contains_key("name") {
            layer.insert("name", Place::none(), Node::new(Value::String(name), Place::none()));
        }
    });
}

/// Gives every layer that takes `weight_init` or `bias_init` and has none that of `[model]`.
fn inherit_initializers(root: &mut Node, registry: &Registry) {
    for key in ["weight_init", "bias_init"] {
        let Some(default) = root.at(&["model", key]).cloned() else { continue };
        for_each_layer(layers_mut(root), &mut |_, layer| {
            let takes = find(registry.layers(), type_of(layer))
                .is_some_and(|entry| entry.schema["properties"].get(key).is_some());
            if takes && !layer.contains_key(key) {
                layer.insert(key, default.place, default.clone());
            }
        });
    }
}

/// A tied layer has no parameters of its own: keys that say how they start or are trained would say nothing.
fn keys_of_ties(root: &mut Node) -> Diagnostics {
    let mut mistakes = Diagnostics::new();
    for_each_layer(layers_mut(root), &mut |_, layer| {
        let Some(tie) = layer.get("tie").and_then(Node::as_str) else { return };
        let unused = |key: &str, value: &Value| match value {
            Value::Boolean(trainable) => key == "trainable" && !trainable,
            Value::Float(rate) => key == "lr_mult" && *rate != 1.0,
            Value::Integer(rate) => key == "lr_mult" && *rate != 1,
            _ => is_initializer(key),
        };
        for entry in layer.iter().filter(|entry| unused(&entry.key, &entry.node.value)) {
            let message = format!(
                "`{}` of a tied layer would say nothing: its parameters are those of \"{tie}\"",
                entry.key
            );
            let help = format!("set it in \"{tie}\"");
            mistakes.push(Diagnostic::new(message).at(entry.key_place).help(help));
        }
    });
    mistakes
}

/// Takes what tied layers inherited, so that the resolved file says only what is so.
fn forget_initializers_of_ties(root: &mut Node) {
    for_each_layer(layers_mut(root), &mut |_, layer| {
        if layer.contains_key("tie") {
            let keys: Vec<String> = layer.iter().map(|entry| entry.key.clone()).collect();
            keys.iter().filter(|key| is_initializer(key)).for_each(|key| drop(layer.remove(key)));
        }
    });
}

/// `weight_init`, `recurrent_init`, `bias_init`.
fn is_initializer(key: &str) -> bool {
    key.ends_with("_init")
}

fn type_of(layer: &Table) -> &str {
    layer.get("type").and_then(Node::as_str).unwrap_or_default()
}

/// Visits every layer with its index in its list, those within others too; the tree is no deeper than a document.
fn for_each_layer(layers: &mut [Node], visit: &mut dyn FnMut(usize, &mut Table)) {
    for (index, layer) in layers.iter_mut().enumerate() {
        let Some(layer) = layer.as_table_mut() else { continue };
        visit(index, layer);
        if let Some(Node { value: Value::Array(within), .. }) = layer.get_mut("layers") {
            for_each_layer(within, visit);
        }
    }
}

fn layers_mut(root: &mut Node) -> &mut [Node] {
    let layers = root
        .as_table_mut()
        .and_then(|root| root.get_mut("model"))
        .and_then(Node::as_table_mut)
        .and_then(|model| model.get_mut("layers"));
    match layers {
        Some(Node { value: Value::Array(layers), .. }) => layers,
        _ => &mut [],
    }
}

/// Paths are relative to the file that they stand in; those of `--set` to the working directory.
fn make_paths_absolute(root: &mut Node, sources: &Sources) {
    let of_data = data::PATHS.iter().map(|&key| ("data", key));
    for (table, key) in std::iter::once(("model", "initial_weights")).chain(of_data) {
        let table = root.as_table_mut().and_then(|root| root.get_mut(table)).and_then(Node::as_table_mut);
        match table.and_then(|table| table.get_mut(key)) {
            Some(Node { value: Value::Array(paths), .. }) => {
                paths.iter_mut().for_each(|path| make_absolute(path, sources));
            }
            Some(path) => make_absolute(path, sources),
            None => {}
        }
    }
}

fn make_absolute(node: &mut Node, sources: &Sources) {
    let Some(path) = node.as_str() else { return };
    let path = sources.directory(node.place).unwrap_or(Path::new("")).join(path);
    let absolute = std::path::absolute(&path).unwrap_or(path);
    node.value = Value::String(absolute.to_string_lossy().into_owned());
}

/// The name becomes the run directory's.
fn check_name(root: &Node, mistakes: &mut Diagnostics) {
    let Some(node) = root.at(&["name"]) else { return };
    let name = node.as_str().unwrap_or_default();
    let bad = |c: char| c == '/' || c == '\\' || c.is_control();
    let message = if name.is_empty() || name == "." || name == ".." || name.contains(bad) {
        "the name of the experiment must be usable as the name of a directory"
    } else if name.len() > LONGEST_NAME {
        "the name of the experiment is too long for a directory"
    } else {
        return;
    };
    mistakes.push(Diagnostic::new(message).at(node.place).help("set `name`, such as name = \"gender\""));
}
