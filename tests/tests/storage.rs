//! Where a run cannot be written: full, read-only, missing, too long a name. The message names file and cause, and what
//! was written before is there still. The order of every single call is tested beside the code, on a file system of which
//! each call fails in its turn (`checkpoint/folder.rs`, `run_dir/create.rs`, `training/tests.rs`).

#![cfg(target_os = "linux")]
#![allow(clippy::print_stderr)] // Of a test that this machine does not allow.

use std::path::{Path, PathBuf};
use std::process::Command;

use chainrule_tests::kills::SGD;
use chainrule_tests::runner::{Ended, Runner, ended, program};

/// A file system in memory, until it is dropped.
struct Mount {
    path: PathBuf,
}

impl Mount {
    /// Of so many KiB, at `name` in the runner's folder; none, where one may not mount.
    fn new(runner: &Runner, name: &str, kib: usize) -> Option<Self> {
        let path = runner.path(name);
        std::fs::create_dir(&path).unwrap();
        let size = format!("size={kib}k");
        let mounted = mount(&["-t", "tmpfs", "-o", &size, "tmpfs"], &path);
        if !mounted {
            eprintln!("this user may not mount: not tested");
        }
        mounted.then_some(Self { path })
    }

    fn remount(&self, options: &str) {
        assert!(mount(&["-o", &format!("remount,{options}")], &self.path));
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.path).status();
    }
}

fn mount(arguments: &[&str], path: &Path) -> bool {
    let output = Command::new("mount").args(arguments).arg(path).output();
    output.is_ok_and(|output| output.status.success())
}

/// Checkpoints of some 20 KiB, one each step.
fn large() -> String {
    SGD.replace("units = 8", "units = 200").replace("every_steps = 4", "every_steps = 1")
}

#[test]
fn a_full_disk_ends_a_run_that_can_be_gone_on_with() {
    let runner = Runner::new();
    let Some(mount) = Mount::new(&runner, "m", 100) else { return };
    runner.write("x.toml", large());
    runner.done(["x.toml", "--out", "whole", "--progress", "none"]);
    let mut sizes = Vec::new();
    for kib in [32, 48, 64, 80, 100] {
        mount.remount(&format!("size={kib}k"));
        let Ended { code, stderr, .. } = runner.run(["x.toml", "--out", "m/run", "--progress", "none"]);
        if code == 0 {
            break;
        }
        assert_eq!(code, 1, "{stderr}");
        assert!(stderr.contains("error: cannot ") && stderr.contains(" m/run"), "{stderr}");
        assert!(stderr.contains("No space left on device") || stderr.contains("storage full"), "{stderr}");
        let begun = runner.path("m/run").exists();
        sizes.push(begun);
        if begun {
            mount.remount("size=1m");
            runner.done(["resume", "m/run", "--progress", "none"]);
            assert_eq!(runner.bytes("m/run/model.safetensors"), runner.bytes("whole/model.safetensors"));
            std::fs::remove_dir_all(runner.path("m/run")).unwrap();
        }
        // Nothing half-made is left beside it.
        assert_eq!(std::fs::read_dir(&mount.path).unwrap().count(), 0, "{kib} KiB");
    }
    assert!(sizes.contains(&true), "{sizes:?}");
}

#[test]
fn a_disk_that_may_not_be_written_is_named() {
    let runner = Runner::new();
    let Some(mount) = Mount::new(&runner, "m", 1000) else { return };
    runner.write("x.toml", SGD);
    runner.done(["x.toml", "--out", "m/done", "--progress", "none"]);
    mount.remount("ro");
    for arguments in [&["x.toml", "--out", "m/run"][..], &["x.toml", "--out", "m/done", "--force"]] {
        let Ended { code, stderr, .. } = runner.run(arguments);
        assert_eq!(code, 1, "{stderr}");
        assert!(stderr.contains(arguments[2]) && stderr.contains("Read-only file system"), "{stderr}");
    }
    let Ended { code, stderr, .. } = runner.run(["resume", "m/done"]);
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("error: cannot open m/done/metrics.jsonl: Read-only file system"), "{stderr}");
}

#[test]
fn a_limit_of_the_length_of_files_is_an_error_and_not_the_end_of_the_program() {
    let runner = Runner::new();
    runner.write("x.toml", large());
    // 8 blocks of 512 or 1024 bytes, fewer than a checkpoint has.
    let script = format!("trap '' XFSZ; ulimit -f 8; exec '{}' x.toml --out run", program().display());
    let output = Command::new("sh").args(["-c", &script]).current_dir(runner.folder()).output().unwrap();
    let Ended { code, stderr, .. } = ended(output);
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("error: cannot create run: File too large"), "{stderr}");
    assert_eq!(runner.entries(), ["x.toml"]);
}

#[test]
fn a_place_that_cannot_be_is_named() {
    let runner = Runner::new();
    runner.write("x.toml", SGD);
    runner.write("file", "");
    let long = "n".repeat(300);
    for (out, cause) in [("file/run", "not a directory"), (long.as_str(), "File name too long")] {
        let Ended { code, stderr, .. } = runner.run(["x.toml", "--out", out]);
        assert_eq!(code, 1, "{stderr}");
        assert!(stderr.contains(out) && stderr.contains(cause), "{stderr}");
    }
    let Ended { code, stderr, .. } = runner.run(["resume", "nowhere"]);
    assert_eq!(code, 5, "{stderr}");
    assert!(stderr.contains("error: nowhere: there is no such run directory"), "{stderr}");
}
