//! Nothing is written outside the run directory, and nothing that a file names is waited for.

use std::fs;
use std::path::Path;

use chainrule_tests::runner::{GENDER, Runner};

/// Names of experiments that lead elsewhere, as TOML writes them.
const NAMES: [&str; 11] =
    ["..", ".", "", "../x", "../../x", "/tmp/x", "a/b", "a\\\\b", "..\\\\x", "a\\u0000b", "a\\u000ab"];

/// The program runs in `inner`, so that what it writes beside it would be seen.
fn inner(runner: &Runner, arguments: &[&str]) -> i32 {
    let mut command = runner.command(arguments);
    let output = command.current_dir(runner.path("inner")).output().expect("a program that starts");
    output.status.code().expect("an end of its own")
}

#[test]
fn a_name_that_leads_elsewhere_is_refused_before_anything_is_written() {
    let runner = Runner::new();
    for name in NAMES {
        let text = GENDER.replace("\"gender\"", &format!("\"{name}\""));
        runner.write("inner/x.toml", text);
        assert_eq!(inner(&runner, &["train", "x.toml"]), 2, "{name}");
        assert_eq!(inner(&runner, &["train", "x.toml", "--force"]), 2, "{name}");
        assert_eq!(runner.entries(), ["inner/", "inner/x.toml"], "{name}");
    }
}

#[test]
fn names_of_layers_and_outputs_lead_nowhere() {
    let runner = Runner::new();
    for name in ["../x", "/tmp/x", "..", "a/b"] {
        let text = GENDER.replace("\"hidden\"", &format!("\"{name}\""));
        runner.write("inner/x.toml", text);
        assert_eq!(inner(&runner, &["train", "x.toml"]), 2, "{name}");
        assert_eq!(runner.entries(), ["inner/", "inner/x.toml"], "{name}");
    }
}

#[test]
fn training_writes_its_run_directory_and_nothing_else() {
    let runner = Runner::new();
    runner.write("inner/x.toml", GENDER);
    assert_eq!(inner(&runner, &["train", "x.toml", "--set", "train.epochs=2"]), 0);
    let outside: Vec<String> =
        runner.entries().into_iter().filter(|name| !name.starts_with("inner/runs/gender/")).collect();
    assert_eq!(outside, ["inner/", "inner/runs/", "inner/x.toml"]);
}

#[test]
fn verbs_that_only_read_write_nothing() {
    let runner = Runner::new();
    runner.write("inner/x.toml", GENDER);
    runner.write("inner/rows.csv", "weight_kg,height_cm\n50,168\n");
    assert_eq!(inner(&runner, &["train", "x.toml", "--out", "run", "--set", "train.epochs=2"]), 0);
    let before = (runner.entries(), runner.bytes("inner/run/model.safetensors"));
    let verbs: [&[&str]; 10] = [
        &["check", "x.toml"],
        &["check", "x.toml", "--resolved"],
        &["summary", "x.toml"],
        &["explain", "x.toml", "--sample", "0"],
        &["gradcheck", "x.toml"],
        &["eval", "run"],
        &["predict", "run", "--input", "rows.csv"],
        &["predict", "run/model.safetensors", "--input", "rows.csv"],
        &["list", "layers"],
        &["schema"],
    ];
    for arguments in verbs {
        assert_eq!(inner(&runner, arguments), 0, "{arguments:?}");
    }
    assert_eq!((runner.entries(), runner.bytes("inner/run/model.safetensors")), before);
}

/// A folder beside the run, with a link into it.
#[cfg(unix)]
fn with_links(links: &[&str]) -> Runner {
    let runner = Runner::new();
    runner.write("precious/file", "mine");
    runner.write("inner/x.toml", GENDER);
    for link in links {
        let link = runner.path(link);
        fs::create_dir_all(link.parent().expect("a folder")).expect("a folder to write to");
        std::os::unix::fs::symlink(runner.path("precious"), link).expect("a link");
    }
    runner
}

#[cfg(unix)]
fn assert_untouched(runner: &Runner) {
    let names: Vec<String> =
        runner.entries().into_iter().filter(|name| name.starts_with("precious/")).collect();
    assert_eq!(names, ["precious/", "precious/file"]);
    assert_eq!(runner.text("precious/file"), "mine");
}

#[cfg(unix)]
#[test]
fn a_link_where_the_run_would_go_is_not_followed() {
    let runner = with_links(&["inner/runs/gender", "inner/out"]);
    assert_eq!(inner(&runner, &["train", "x.toml", "--set", "train.epochs=2"]), 0);
    assert!(runner.path("inner/runs/gender-2/result.json").is_file());
    for force in [&["--force"][..], &[]] {
        assert_eq!(inner(&runner, &[&["train", "x.toml", "--out", "out"], force].concat()), 2);
        assert_ne!(inner(&runner, &[&["train", "x.toml", "--out", "out/"], force].concat()), 0);
    }
    assert_eq!(inner(&runner, &["train", "x.toml", "--force"]), 2);
    assert_untouched(&runner);
}

#[cfg(unix)]
#[test]
fn a_link_to_nowhere_is_not_followed() {
    let runner = Runner::new();
    runner.write("inner/x.toml", GENDER);
    fs::create_dir(runner.path("inner/runs")).expect("a folder");
    std::os::unix::fs::symlink("../../elsewhere", runner.path("inner/runs/gender")).expect("a link");
    assert_eq!(inner(&runner, &["train", "x.toml", "--set", "train.epochs=2"]), 0);
    assert!(!runner.path("elsewhere").exists());
    assert!(runner.path("inner/runs/gender-2/result.json").is_file());
}

#[cfg(unix)]
#[test]
fn a_link_within_a_run_is_replaced_with_it_and_not_written_through() {
    let runner = with_links(&[]);
    assert_eq!(inner(&runner, &["train", "x.toml", "--out", "run", "--set", "train.epochs=2"]), 0);
    for name in ["model.safetensors", "result.json", "config.toml", "metrics.jsonl"] {
        let path = runner.path(Path::new("inner/run").join(name));
        fs::copy(&path, runner.path(name)).expect("a copy");
        fs::remove_file(&path).expect("a file");
        std::os::unix::fs::symlink(runner.path(name), &path).expect("a link");
    }
    let before = ["model.safetensors", "result.json", "metrics.jsonl"].map(|name| runner.bytes(name));
    assert_eq!(inner(&runner, &["train", "x.toml", "--out", "run", "--set", "train.epochs=3", "--force"]), 0);
    assert_eq!(["model.safetensors", "result.json", "metrics.jsonl"].map(|name| runner.bytes(name)), before);
    assert!(!runner.path("inner/run/result.json").is_symlink());
    assert_eq!(runner.json("inner/run/result.json")["epochs"], 3);
    assert_untouched(&runner);
}

#[cfg(unix)]
#[test]
fn going_on_with_a_run_writes_through_no_link() {
    let runner = with_links(&[]);
    let resumed = |run: &str| inner(&runner, &["resume", run, "--set", "train.epochs=3", "--allow", "train"]);
    for link in ["metrics.jsonl", "checkpoints"] {
        let run = format!("{link}-run");
        assert_eq!(inner(&runner, &["train", "x.toml", "--out", &run, "--set", "train.epochs=2"]), 0);
        let (inside, outside) =
            (runner.path(format!("inner/{run}/{link}")), runner.path(format!("my-{link}")));
        fs::rename(&inside, &outside).expect("a new name");
        std::os::unix::fs::symlink(&outside, &inside).expect("a link");
        let before = runner.bytes("my-metrics.jsonl");
        assert_eq!(resumed(&run), 5, "{link}");
        assert_eq!(runner.bytes("my-metrics.jsonl"), before);
        assert!(!runner.path("my-checkpoints").exists() || runner.path("my-checkpoints/last").is_file());
        // A second name of the same file, as a backup by hard links has it.
        fs::remove_file(&inside).expect("a link");
        if link == "metrics.jsonl" {
            fs::hard_link(&outside, &inside).expect("a link");
            assert_eq!(resumed(&run), 5, "{link}");
            assert_eq!(runner.bytes("my-metrics.jsonl"), before);
            fs::remove_file(&inside).expect("a link");
        }
        fs::rename(&outside, &inside).expect("its old name");
        assert_eq!(resumed(&run), 0, "{link}");
        fs::write(&outside, "").expect("a file");
    }
    assert_untouched(&runner);
}

#[cfg(unix)]
#[test]
fn a_pipe_or_a_device_that_a_file_names_is_not_waited_for() {
    let runner = Runner::new();
    let made = std::process::Command::new("mkfifo").arg(runner.path("pipe")).status().expect("mkfifo");
    assert!(made.success());
    let data = |table: &str| {
        let (_, rest) = GENDER.split_once("[model]\n").expect("model");
        let (rest, _) = rest.split_once("[predict]").expect("predict");
        format!("[data]\n{table}\n[model]\n{rest}")
    };
    for path in ["pipe", "/dev/zero", "/dev/tty"] {
        let texts = [
            (format!("extends = \"{path}\"\n{GENDER}"), 2),
            (GENDER.replace("[model]", &format!("[model]\ninitial_weights = \"{path}\"")), 3),
            (data(&format!("type = \"csv\"\npath = \"{path}\"\ntarget = \"y\"")), 3),
            (data(&format!("type = \"idx\"\nimages = \"{path}\"\nlabels = \"{path}\"")), 3),
            (
                data(&format!("type = \"text\"\npath = \"{path}\"\ncontext = 2"))
                    .replace("mse", "cross_entropy"),
                3,
            ),
        ];
        for (text, code) in texts {
            runner.write("x.toml", &text);
            let ended = runner.run(["check", "x.toml"]);
            assert_eq!(ended.code, code, "{}\n{text}", ended.stderr);
        }
    }
}
