//! The `runner` program, run as a user runs it: in a folder of its own, with arguments, a terminal's two streams and an
//! exit code.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use chainrule_runner::experiment::Experiment;
use chainrule_runner::registry::Registry;
use chainrule_runner::session::Session;
use chainrule_runner::spec::Dtype;
use serde_json::Value as Json;
use tempfile::TempDir;

/// The experiment of the notebook, `configs/gender.toml`.
pub const GENDER: &str = include_str!("../../configs/gender.toml");

/// Exclusive or with labels, `configs/xor.toml`.
pub const XOR: &str = include_str!("../../configs/xor.toml");

/// Everything that `check` does, within this thread: the exit code that it would give.
pub fn check(path: &Path, registry: &Registry) -> u8 {
    let checked = Experiment::load(path, &[], registry).and_then(|experiment| match experiment.dtype {
        Dtype::F32 => Session::<f32>::new(&experiment, registry, None)?.start(&experiment).map(drop),
        Dtype::F64 => Session::<f64>::new(&experiment, registry, None)?.start(&experiment).map(drop),
    });
    checked.map_or_else(
        |failure| {
            assert!(failure.render(false).starts_with("error: "), "{failure}");
            failure.code()
        },
        |()| 0,
    )
}

/// An empty folder to run the program in, removed at the end.
#[derive(Debug)]
pub struct Runner {
    folder: TempDir,
}

/// What one run of the program did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The exit code.
    pub code: i32,
    /// Results.
    pub stdout: String,
    /// Progress and messages.
    pub stderr: String,
}

impl Default for Runner {
    fn default() -> Self {
        Self::new()
    }
}

impl Runner {
    /// An empty folder.
    ///
    /// # Panics
    /// If there cannot be one.
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder for temporary files") }
    }

    /// A folder that holds `gender.toml`.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn with_gender() -> Self {
        let runner = Self::new();
        runner.write("gender.toml", GENDER);
        runner
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A path in the folder.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file of the folder, and the folders above it.
    ///
    /// # Panics
    /// If that fails.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a path in the folder")).expect("a folder to write to");
        fs::write(path, content).expect("a file to write");
    }

    /// The bytes of a file of the folder.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn bytes(&self, name: impl AsRef<Path>) -> Vec<u8> {
        let path = self.path(name);
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// The text of a file of the folder.
    ///
    /// # Panics
    /// If there is no such file or it is not text.
    pub fn text(&self, name: impl AsRef<Path>) -> String {
        String::from_utf8(self.bytes(name)).expect("UTF-8")
    }

    /// A JSON file of the folder.
    ///
    /// # Panics
    /// If there is no such file or it is not JSON.
    pub fn json(&self, name: impl AsRef<Path>) -> Json {
        serde_json::from_slice(&self.bytes(name)).expect("JSON")
    }

    /// A file of JSON lines.
    ///
    /// # Panics
    /// If there is no such file, or a line is not JSON.
    pub fn json_lines(&self, name: impl AsRef<Path>) -> Vec<Json> {
        json_lines(&self.text(name))
    }

    /// Everything in the folder, folders with a `/` at the end, sorted.
    ///
    /// # Panics
    /// If the folder cannot be read.
    pub fn entries(&self) -> Vec<String> {
        let mut found = Vec::new();
        list(self.folder.path(), "", &mut found);
        found.sort();
        found
    }

    /// The program in the folder, not yet started: for what [`Runner::run`] does not cover.
    pub fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(program());
        command.args(arguments).current_dir(self.folder.path()).stdin(Stdio::null());
        ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "RUST_BACKTRACE"].iter().for_each(|name| {
            command.env_remove(name);
        });
        command
    }

    /// Runs the program in the folder to its end.
    ///
    /// # Panics
    /// If it cannot be run, does not end by itself, or panics.
    pub fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Ended {
        ended(self.command(arguments).output().expect("a program that starts"))
    }

    /// Runs the program, which must succeed.
    ///
    /// # Panics
    /// If it does not.
    #[track_caller]
    pub fn done<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Ended {
        let ended = self.run(arguments);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        ended
    }
}

/// The end of a program that was started from [`Runner::command`].
///
/// # Panics
/// If it did not end by itself, wrote no text, or panicked.
#[track_caller]
pub fn ended(output: Output) -> Ended {
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    assert!(!stderr.contains("panicked"), "{stderr}");
    let code = output.status.code().unwrap_or_else(|| panic!("{}: {stderr}", output.status));
    Ended { code, stdout, stderr }
}

/// Each line of a text as JSON.
///
/// # Panics
/// If a line is not JSON.
pub fn json_lines(text: &str) -> Vec<Json> {
    let line = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    text.lines().map(line).collect()
}

fn list(folder: &Path, prefix: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a folder to read") {
        let entry = entry.expect("an entry");
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type().expect("a type of file").is_dir() {
            found.push(format!("{name}/"));
            list(&entry.path(), &format!("{name}/"), found);
        } else {
            found.push(name);
        }
    }
}

/// The program, built once for each test program: cargo builds no program of another package for a test, and one
/// that is there may be of yesterday. Same profile and target directory, so that it is mostly there already.
///
/// # Panics
/// If it cannot be built.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        // TARGET/PROFILE/deps/TEST
        let test = std::env::current_exe().expect("the path of the test program");
        let profile = test.ancestors().nth(2).expect("a folder of the profile");
        let target = profile.parent().expect("a target directory");
        let name = match profile.file_name().and_then(OsStr::to_str).expect("the name of a profile") {
            "debug" => "dev",
            name => name,
        };
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let status = Command::new(cargo)
            .args(["build", "--quiet", "--package", "chainrule-runner", "--bin", "runner", "--profile", name])
            .arg("--target-dir")
            .arg(target)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdin(Stdio::null())
            .status()
            .expect("cargo");
        assert!(status.success(), "the program cannot be built");
        profile.join(format!("runner{}", std::env::consts::EXE_SUFFIX))
    })
}
