//! Bytes that nobody vouches for, given to what reads them: the fuzzer's targets (`fuzz/`), and the same for the files of
//! its corpus, which `tests/fuzz_corpus.rs` replays with every test run.
//!
//! Each checks that reading does not panic, that a message is fit for a terminal, and that memory is taken for what is
//! there and not for what the bytes say is there: [`Taken::allowed`]. What an experiment that was accepted asks for, the
//! parameters of its network and the tape of a step, comes after that and is not part of it.

use std::cell::LazyCell;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use chainrule_runner::checkpoint::{self, seal};
use chainrule_runner::document::{Loaded, Node, Sources, Value, apply_override, parse};
use chainrule_runner::error::Failure;
use chainrule_runner::experiment::{Experiment, Schemas};
use chainrule_runner::predictor::{Card, Predictor};
use chainrule_runner::registry::{Number, Registry};
use chainrule_runner::session::Session;
use chainrule_runner::spec::Dtype;
use chainrule_runner::terminal::drives_terminal;
use chainrule_runner::weights::{self, Tensors, Weights};
use chainrule_trainer::{Forget, Settings, Silent, Threads, Trainer};
use flate2::bufread::MultiGzDecoder;
use tempfile::TempDir;

use crate::measured::peak;
use crate::runner::GENDER;

/// A reader of bytes.
pub type Target = fn(&[u8]) -> Taken;

/// The memory that reading took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Taken {
    /// The most bytes that were held at once.
    pub held: usize,
    /// How many there may be.
    pub allowed: usize,
}

impl Taken {
    /// How much of what is allowed was held.
    pub fn share(self) -> f64 {
        self.held as f64 / self.allowed as f64
    }

    fn max(self, other: Self) -> Self {
        if other.share() > self.share() || self.allowed == 0 { other } else { self }
    }
}

/// Every target, by the name of its program in `fuzz/fuzz_targets` and of its folder in `fuzz/corpus`.
pub const TARGETS: [(&str, Target); 7] = [
    ("experiment", experiment),
    ("set", set),
    ("csv", csv),
    ("idx", idx),
    ("text", text),
    ("safetensors", safetensors),
    ("checkpoint", checkpoint),
];

/// What may be read.
#[derive(Clone, Copy, Debug)]
struct Input {
    /// Bytes as they come.
    len: usize,
    /// Bytes that they decompress to, if they are compressed.
    unpacked: usize,
    /// Bytes of which each may be a mistake with its message: those of a text that is no TOML.
    wrong: usize,
}

impl Input {
    fn of(bytes: &[u8]) -> Self {
        Self { len: bytes.len(), unpacked: unpacked(bytes), wrong: 0 }
    }

    fn of_toml(text: &str) -> Self {
        let wrong = if text.parse::<toml::Table>().is_ok() { 0 } else { text.len() };
        Self { len: text.len(), unpacked: 0, wrong }
    }

    /// Four times the input, and what the program takes for itself. What a compressed file really holds, short as the
    /// file may be, becomes samples: numbers as they were read, the room of a growing vector, and the network's own.
    fn allowed(self) -> usize {
        4 * self.len + 128 * self.unpacked + 700 * self.wrong + (1 << 20)
    }
}

/// What the targets read with, made once and not counted.
struct Bench {
    registry: Registry,
    schemas: Schemas,
    folder: TempDir,
    /// `gender.toml`, whose weights files are read as.
    gender: Session<f64>,
}

thread_local! {
    static BENCH: LazyCell<Bench> = LazyCell::new(Bench::new);
}

impl Bench {
    fn new() -> Self {
        let registry = Registry::standard();
        let schemas = Schemas::new(&registry);
        let folder = tempfile::tempdir().expect("a folder for temporary files");
        let gender = load(GENDER, &[], &folder.path().join("x.toml"), &schemas, &registry)
            .and_then(|experiment| Session::<f64>::new(&experiment, &registry, None))
            .expect("gender.toml is an experiment");
        Self { registry, schemas, folder, gender }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).expect("a file to write");
    }

    /// Checks an experiment, and that it takes no more memory than its text justifies.
    fn judge(&self, input: Input, text: &str, overrides: &[&str]) -> Taken {
        bounded(input, || {
            let path = self.path("x.toml");
            let judged = load(text, overrides, &path, &self.schemas, &self.registry).and_then(|experiment| {
                match experiment.dtype {
                    Dtype::F32 => Session::<f32>::new(&experiment, &self.registry, None).map(drop),
                    Dtype::F64 => Session::<f64>::new(&experiment, &self.registry, None).map(drop),
                }
            });
            if let Err(failure) = judged {
                let message = failure.render(false);
                assert!(message.starts_with("error: "), "{message}");
                assert!(is_harmless(&message), "{message:?}");
            }
        })
    }
}

/// An experiment from a text, as [`Experiment::load`] would read it from a file.
fn load(
    text: &str,
    overrides: &[&str],
    path: &Path,
    schemas: &Schemas,
    registry: &Registry,
) -> Result<Experiment, Failure> {
    let mut sources = Sources::new();
    let source = sources.add_file(path.to_owned(), text.to_owned());
    let (mut root, mut diagnostics) = parse(&sources, source);
    for argument in overrides {
        diagnostics.append(apply_override(&mut root, &mut sources, argument));
    }
    keep_to_itself(&mut root);
    Experiment::of_loaded(Loaded { root, sources, diagnostics }, path, schemas, registry)
}

/// A mutated text may name any file of this machine, or ask for any number of made-up samples, which are taken only
/// after they were found to fit.
fn keep_to_itself(root: &mut Node) {
    let Some(root) = root.as_table_mut() else { return };
    let Some(data) = root.get_mut("data").and_then(Node::as_table_mut) else { return };
    match data.get("type").and_then(Node::as_str) {
        Some("inline") => return,
        Some("csv" | "idx" | "text") => {}
        _ => drop(data.remove("type")),
    }
    for entry in data.iter_mut().filter(|entry| entry.key != "type") {
        let items = match &mut entry.node.value {
            Value::Array(items) => items.as_mut_slice(),
            _ => std::slice::from_mut(&mut entry.node),
        };
        for item in items {
            if let Value::String(text) = &mut item.value {
                "nothing".clone_into(text);
            }
        }
    }
}

/// Runs `work` and checks that it takes no more memory than its input justifies.
fn bounded(input: Input, work: impl FnOnce()) -> Taken {
    let (held, ()) = peak(work);
    let allowed = input.allowed();
    assert!(held <= allowed, "{held} bytes of memory, not {allowed}, for {input:?}");
    Taken { held, allowed }
}

/// Whether no character of a text would drive a terminal or reverse a line.
pub fn is_harmless(text: &str) -> bool {
    !text.chars().any(|c| c != '\n' && drives_terminal(c))
}

/// The bytes that a compressed file decompresses to; none, if it is not compressed.
fn unpacked(bytes: &[u8]) -> usize {
    /// More than any input of the fuzzer can become.
    const MOST: u64 = 64 << 20;
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return 0;
    }
    let mut buffer = [0; 4096];
    let mut reader = MultiGzDecoder::new(bytes).take(MOST);
    std::iter::from_fn(|| reader.read(&mut buffer).ok().filter(|&len| len > 0)).sum()
}

/// An experiment file.
pub fn experiment(bytes: &[u8]) -> Taken {
    // What is no text is refused before anything else: `document::read_source`.
    let Ok(text) = str::from_utf8(bytes) else { return Taken::default() };
    BENCH.with(|bench| bench.judge(Input::of_toml(text), text, &[]))
}

/// A `--set` argument.
pub fn set(bytes: &[u8]) -> Taken {
    let Ok(argument) = str::from_utf8(bytes) else { return Taken::default() };
    BENCH.with(|bench| {
        bench.judge(Input { len: GENDER.len(), ..Input::of_toml(argument) }, GENDER, &[argument])
    })
}

/// An experiment whose `[data]` table and loss are these.
fn of_data(data: &str, loss: &str) -> String {
    format!(
        "[data]\n{data}\n[model]\nlayers = [{{ type = \"dense\", units = 3 }}]\n[loss]\ntype = \"{loss}\"\n\
         [optimizer]\ntype = \"sgd\"\nlearning_rate = 0.1\n[train]\nepochs = 1\n"
    )
}

/// An experiment whose text the fuzzer does not change, on files that it does.
fn on_files(bench: &Bench, input: Input, text: &str) -> Taken {
    bounded(input, || {
        let path = bench.path("x.toml");
        let mut sources = Sources::new();
        let source = sources.add_file(path.clone(), text.to_owned());
        let (root, diagnostics) = parse(&sources, source);
        let loaded = Loaded { root, sources, diagnostics };
        let judged = Experiment::of_loaded(loaded, &path, &bench.schemas, &bench.registry)
            .and_then(|experiment| Session::<f32>::new(&experiment, &bench.registry, None).map(drop));
        if let Err(failure) = judged {
            let message = failure.render(false);
            assert!(is_harmless(&message), "{message:?}");
        }
    })
}

/// A CSV file: as labelled samples, as numbers, as a series.
pub fn csv(bytes: &[u8]) -> Taken {
    let common = "type = \"csv\"\npath = \"x.csv\"\ntarget = \"y\"\nscale = \"standard\"";
    let texts = [
        of_data(&format!("{common}\nvalidation = 0.25"), "cross_entropy"),
        of_data(common, "mse"),
        of_data(&format!("{common}\nwindow = {{ length = 2 }}"), "mse"),
    ];
    BENCH.with(|bench| {
        bench.write("x.csv", bytes);
        let judged = texts.iter().map(|text| on_files(bench, Input::of(bytes), text));
        judged.fold(Taken::default(), Taken::max)
    })
}

/// An IDX file: as the images of three samples, and as the labels of three.
pub fn idx(bytes: &[u8]) -> Taken {
    const IMAGES: [u8; 15] = [0, 0, 8, 2, 0, 0, 0, 3, 0, 0, 0, 1, 7, 8, 9];
    const LABELS: [u8; 11] = [0, 0, 8, 1, 0, 0, 0, 3, 0, 1, 2];
    let text = of_data("type = \"idx\"\nimages = \"images\"\nlabels = \"labels\"", "cross_entropy");
    BENCH.with(|bench| {
        let judge = |images: &[u8], labels: &[u8]| {
            bench.write("images", images);
            bench.write("labels", labels);
            on_files(bench, Input::of(bytes), &text)
        };
        judge(bytes, &LABELS).max(judge(&IMAGES, bytes))
    })
}

/// A text: of characters and of bytes.
pub fn text(bytes: &[u8]) -> Taken {
    BENCH.with(|bench| {
        bench.write("x.txt", bytes);
        let judge = |level: &str| {
            let data = format!("type = \"text\"\npath = \"x.txt\"\ncontext = 2\nlevel = \"{level}\"");
            on_files(bench, Input::of(bytes), &of_data(&data, "cross_entropy"))
        };
        judge("char").max(judge("byte"))
    })
}

/// A safetensors file: as start weights, and as a model with its card. What is JSON is taken for a card, of which a file
/// without tensors is made: within a file whose first bytes are a length, no change of it would survive.
pub fn safetensors(bytes: &[u8]) -> Taken {
    match str::from_utf8(bytes) {
        Ok(card) if card.starts_with('{') => {
            let nothing = Weights::<f64> { theta: Vec::new(), buffers: Vec::new() };
            let none = Tensors { parameters: &[], buffers: &[] };
            let file = weights::encode(none, &nothing, Some(card.to_owned()));
            of_safetensors(&file.expect("any text can be metadata"))
        }
        _ => of_safetensors(bytes),
    }
}

/// A checkpoint, as it comes and with a digest that fits it: else no change would get beyond the digest. One that is taken
/// is gone on with by `gender.toml`, or refused.
pub fn checkpoint(bytes: &[u8]) -> Taken {
    let input = Input { len: bytes.len(), unpacked: 0, wrong: 0 };
    let mut sealed = bytes.to_vec();
    seal(&mut sealed);
    let mut state = None;
    let as_it_comes = bounded(input, || drop(checkpoint::state::<f64>(bytes)));
    let single = bounded(input, || drop(checkpoint::state::<f32>(&sealed)));
    let double = bounded(input, || state = checkpoint::state::<f64>(&sealed).ok());
    if let Some(mut state) = state {
        BENCH.with(|bench| {
            let session = &bench.gender;
            let settings = Settings { epochs: 3, ..session.settings.clone() };
            let trainer = Trainer {
                objective: &session.objective,
                train: &session.train,
                validation: None,
                scoring: None,
                optimizer: session.optimizer.as_ref(),
                schedule: session.schedule.as_ref(),
                settings,
                threads: &Threads::one(),
                interrupt: None,
            };
            drop(trainer.fit(&mut state, &mut Silent, &mut Forget));
        });
    }
    as_it_comes.max(single).max(double)
}

fn of_safetensors(bytes: &[u8]) -> Taken {
    BENCH.with(|bench| {
        let Session { parameters, buffers, parameter_count, .. } = &bench.gender;
        let mut weights = Weights { theta: vec![0.0; *parameter_count], buffers: Vec::new() };
        let input = Input { len: bytes.len(), unpacked: 0, wrong: 0 };
        let as_weights = bounded(input, || {
            let tensors = Tensors { parameters, buffers };
            drop(weights::decode(bytes, tensors, &mut weights));
        });
        let as_card = bounded(input, || drop(Card::of(bytes)));
        let as_model = model::<f32>(bytes, &bench.registry).max(model::<f64>(bytes, &bench.registry));
        as_weights.max(as_card).max(as_model)
    })
}

/// Loads a model; one that takes little memory is asked about a row too.
fn model<F: Number>(bytes: &[u8], registry: &Registry) -> Taken {
    const LITTLE: u128 = 1 << 20;
    let mut loaded = None;
    let held = bounded(Input { len: bytes.len(), unpacked: 0, wrong: 0 }, || {
        loaded = Predictor::<F>::load(bytes, registry).ok();
    });
    if let Some(mut predictor) = loaded.filter(|predictor| predictor.memory(1) < LITTLE) {
        let row = vec![0.0; predictor.preprocessing().inputs];
        if let Ok(outputs) = predictor.predict(row) {
            outputs.chunks(predictor.width()).for_each(|row| drop(predictor.prediction(row)));
        }
    }
    held
}
