//! A run that is killed again and again, and what must come out of it all the same.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value as Json;

/// The longest that an attempt is left alive: some end before they have begun, some while a checkpoint is written.
const LONGEST: Duration = Duration::from_millis(90);

/// Plain SGD with momentum, checkpoints in the middle of epochs.
pub const SGD: &str = r#"
name = "sgd"
[data]
type = "synthetic"
samples = 60
input_shape = [6]
classes = 3
[model]
layers = [
  { type = "dense", name = "hidden", units = 8, activation = "tanh" },
  { type = "dense", name = "output", units = 3 },
]
[loss]
type = "cross_entropy"
[optimizer]
type = "sgd"
learning_rate = 0.05
momentum = 0.9
[train]
epochs = 40
batch_size = 7
log_every = 3
evaluate_train = true
[checkpoint]
every_steps = 4
"#;

/// Everything that has a memory: moments, noise, running statistics, an order of its own for each epoch, the best epoch,
/// patience, a learning rate that waits for a plateau, an average.
pub const ADAM: &str = r#"
name = "adam"
seed = 5
[data]
type = "synthetic"
samples = 90
input_shape = [6]
classes = 3
validation = 0.3
scale = "standard"
[model]
layers = [
  { type = "dense", name = "hidden", units = 12 },
  { type = "batch_norm", name = "norm", activation = "relu" },
  { type = "dropout", name = "noise", rate = 0.3 },
  { type = "dense", name = "output", units = 3 },
]
[loss]
type = "cross_entropy"
[optimizer]
type = "adam"
learning_rate = 0.02
[lr_schedule]
type = "reduce_on_plateau"
patience = 3
factor = 0.7
[weight_averaging]
type = "ema"
decay = 0.9
[early_stopping]
patience = 30
[train]
epochs = 400
batch_size = 10
accumulate = 2
log_every = 2
[metrics]
report = ["accuracy"]
[checkpoint]
every_steps = 3
save_best = true
keep_last = 3
"#;

/// What was done to a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kills {
    /// Kills in all.
    pub kills: usize,
    /// Of these, before there was a run directory.
    pub before: usize,
    /// Of these, while `resume` ran.
    pub resuming: usize,
    /// Whole runs that they were spread over.
    pub runs: usize,
}

/// Trains `experiment` in `folder` once without and then again and again with kills, until there were at least `kills`,
/// and compares what is left.
///
/// # Errors
/// In words, what differs or what a run said that failed.
pub fn kill(program: &Path, folder: &Path, experiment: &str, kills: usize) -> Result<Kills, String> {
    let failed = |error: std::io::Error| error.to_string();
    fs::write(folder.join("x.toml"), experiment).map_err(failed)?;
    let victim = Victim { program: program.to_owned(), folder: folder.to_owned() };
    victim.finish(&["x.toml", "--out", "whole"])?;
    let expected = Left::of(&folder.join("whole"))?;
    let mut done = Kills::default();
    // Only the moments of the kills depend on it.
    let mut random = 1u64;
    while done.kills < kills {
        done.runs += 1;
        let run = format!("run-{}", done.runs);
        loop {
            let exists = folder.join(&run).exists();
            let arguments: &[&str] = if exists { &["resume", &run] } else { &["x.toml", "--out", &run] };
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let life = LONGEST.mul_f64((random >> 11) as f64 / (1u64 << 53) as f64);
            if done.kills >= kills {
                victim.finish(arguments)?;
                break;
            }
            if victim.kill_after(arguments, life)? {
                done.kills += 1;
                done.before += usize::from(!folder.join(&run).exists());
                done.resuming += usize::from(exists);
                continue;
            }
            break;
        }
        Left::of(&folder.join(&run))?.compare(&expected)?;
        fs::remove_dir_all(folder.join(&run)).map_err(failed)?;
    }
    Ok(done)
}

struct Victim {
    program: PathBuf,
    folder: PathBuf,
}

impl Victim {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).args(["--progress", "none", "-q"]).current_dir(&self.folder);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// Runs to the end.
    fn finish(&self, arguments: &[&str]) -> Result<(), String> {
        let output = self.command(arguments).output().map_err(|error| error.to_string())?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        if output.status.success() { Ok(()) } else { Err(format!("{arguments:?} ended so: {stderr}")) }
    }

    /// Whether it had to be killed; otherwise it ended well before.
    fn kill_after(&self, arguments: &[&str], life: Duration) -> Result<bool, String> {
        let mut child = self.command(arguments).spawn().map_err(|error| error.to_string())?;
        let start = Instant::now();
        while start.elapsed() < life {
            if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
                return ended_well(arguments, status).map(|()| false);
            }
            sleep(Duration::from_millis(1));
        }
        child.kill().map_err(|error| error.to_string())?;
        let status = child.wait().map_err(|error| error.to_string())?;
        // It may have ended in the same moment.
        match status.code() {
            None => Ok(true),
            Some(_) => ended_well(arguments, status).map(|()| false),
        }
    }
}

fn ended_well(arguments: &[&str], status: ExitStatus) -> Result<(), String> {
    if status.success() { Ok(()) } else { Err(format!("{arguments:?} ended with {status}")) }
}

/// What a run leaves, without its timings.
#[derive(Debug, PartialEq)]
struct Left {
    files: Vec<String>,
    model: Vec<u8>,
    metrics: Vec<Json>,
    result: Json,
}

impl Left {
    fn of(run: &Path) -> Result<Self, String> {
        let read = |name: &str| fs::read(run.join(name)).map_err(|error| format!("{name}: {error}"));
        let json = |bytes: &[u8]| serde_json::from_slice::<Json>(bytes).map_err(|error| error.to_string());
        let lines = read("metrics.jsonl")?;
        let metrics = lines.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).map(json);
        let mut left = Self {
            files: entries(run)?,
            model: read("model.safetensors")?,
            metrics: metrics.collect::<Result<_, _>>()?,
            result: json(&read("result.json")?)?,
        };
        for timed in left.metrics.iter_mut().chain([&mut left.result]) {
            timed["train_seconds"] = Json::Null;
        }
        Ok(left)
    }

    fn compare(&self, expected: &Self) -> Result<(), String> {
        if self.model != expected.model {
            return Err("model.safetensors has other bytes".into());
        }
        if self.metrics != expected.metrics {
            return Err(format!("metrics.jsonl is {:#?}\nand not {:#?}", self.metrics, expected.metrics));
        }
        if self.result != expected.result {
            return Err(format!("result.json is {:#}\nand not {:#}", self.result, expected.result));
        }
        match self.files == expected.files {
            true => Ok(()),
            false => Err(format!("the files are {:?} and not {:?}", self.files, expected.files)),
        }
    }
}

/// The names of files, of those in `checkpoints` too.
fn entries(run: &Path) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    for folder in [run.to_owned(), run.join("checkpoints")] {
        for entry in fs::read_dir(folder).map_err(|error| error.to_string())? {
            let entry = entry.map_err(|error| error.to_string())?;
            found.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    found.sort_unstable();
    Ok(found)
}
