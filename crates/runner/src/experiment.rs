//! An experiment as it will run: file, `extends` and `--set` merged, checked, and every default filled in.

mod checks;
mod complete;
mod groups;
mod rest;
mod schemas;
mod settings;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chainrule_trainer::Schedule;
use chainrule_trainer::metrics::{Metric, Task};
use chainrule_trainer::optimizer::Tuning;
use chainrule_trainer::schedule::{Constant, Warmup};

use crate::conform::Schema;
use crate::data::{DataCommon, SharedData};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::document::{self, Loaded, Node, Place, Sources, Table, Value};
use crate::error::Failure;
use crate::model::{ModelPlan, ModelSource};
use crate::registry::{BuildError, BuildLoss, Entry, Number, Outputs, Registry, RunLength, find};
use crate::session;
use crate::spec::{
    CheckpointTable, Dtype, EarlyStoppingTable, MetricsTable, OptimizerCommon, PredictTable, RuntimeTable,
    ScheduleCommon, Sweep, TrainTable,
};

use checks::{check_exclusive, check_fractions, check_metrics, check_name};
use complete::{
    forget_initializers_of_ties, inherit_initializers, keys_of_ties, make_paths_absolute, name_everything,
};
pub use schemas::Schemas;

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
    /// Of the trials of a sweep: the data that they have in common.
    pub(crate) shared: Option<Arc<SharedData>>,
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
        Self::of_loaded(document::load(path, overrides)?, path, &Schemas::new(registry), registry)
    }

    /// The same of a file that has been read already: its text need not have come from a disk.
    ///
    /// # Errors
    /// [`Failure::Experiment`] with all mistakes that can be seen without the data.
    pub fn of_loaded(
        loaded: Loaded,
        path: &Path,
        schemas: &Schemas,
        registry: &Registry,
    ) -> Result<Self, Failure> {
        let Loaded { root, sources, diagnostics } = loaded;
        if !diagnostics.is_empty() {
            return Err(Failure::Experiment(diagnostics, sources));
        }
        let schema = schemas.of(&root);
        let mut diagnostics = schema.check(&root);
        if !diagnostics.is_empty() {
            diagnostics.append(rest::mistakes_of_the_rest(root, &sources, path, schema, registry));
            return Err(Failure::Experiment(diagnostics, sources));
        }
        Self::of_conforming(root, sources, path, schema, registry)
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
        let sweep = sweep(&root)?;
        sweep.iter().for_each(|sweep| mistakes.append(crate::sweep::mistakes(sweep, &root)));
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
            sweep,
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
            shared: None,
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
