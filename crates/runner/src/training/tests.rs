use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::*;
use crate::console::Verbosity;
use crate::progress::Style;
use crate::resume::{Resumed, resume};
use crate::run_dir::{CONFIG, Existing, MODEL, RESULT};
use crate::storage::Disk;
use crate::storage::faulty::{Fault, Faulty};

const XOR: &str = r#"
name = "xor"
dtype = "f64"
data = { type = "inline", x = [[0, 0], [0, 1], [1, 0], [1, 1]], y = [[0], [1], [1], [0]] }
model.layers = [{ type = "dense", units = 3, activation = "tanh" }, { type = "dense", units = 1 }]
loss.type = "mse"
optimizer = { type = "adam", learning_rate = 0.01 }
train = { epochs = 3, batch_size = 2 }
checkpoint = { every_steps = 2, save_best = true }
"#;

fn quietly() -> (TrainingArgs, Interrupt) {
    (TrainingArgs { threads: Some(1), progress: Style::None }, Interrupt::never())
}

fn context<'a>(
    registry: &'a Registry,
    arguments: &'a TrainingArgs,
    interrupt: &'a Interrupt,
    system: &'a dyn FileSystem,
) -> Context<'a> {
    let console = Console::new(Verbosity::Quiet);
    Context { registry, arguments, interrupt, console, system, pause_after: None }
}

/// Trains in `folder/run` on a system, or goes on with what is there.
fn train(folder: &Path, system: &dyn FileSystem) -> Result<(), Failure> {
    let registry = Registry::standard();
    let file = folder.join("x.toml");
    fs::write(&file, XOR).unwrap();
    let experiment = Experiment::load(&file, &[], &registry)?;
    let (arguments, interrupt) = quietly();
    let context = context(&registry, &arguments, &interrupt, system);
    let path = folder.join("run");
    if path.exists() {
        return match resume::<f64>(context, &experiment, &RunDir::open(&path)?, &[])? {
            Resumed::Done | Resumed::Reached(_) => Ok(()),
        };
    }
    let session = Session::<f64>::new(&experiment, &registry, None)?;
    let place = Place { out: Some(&path), name: "", existing: Existing::Keep };
    start(context, &experiment, &session, place).map(drop)
}

/// Goes on with the run in `folder`, changed by `set`.
fn extend(folder: &Path, set: &[&str], allow: &[&str], system: &dyn FileSystem) -> Result<Resumed, Failure> {
    let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
    let registry = Registry::standard();
    let run = RunDir::open(&folder.join("run"))?;
    let experiment = Experiment::load(&run.file(CONFIG), &owned(set), &registry)?;
    let (arguments, interrupt) = quietly();
    let context = context(&registry, &arguments, &interrupt, system);
    resume::<f64>(context, &experiment, &run, &owned(allow))
}

#[test]
fn whichever_call_fails_while_a_run_is_extended_its_model_is_that_of_the_longer_run() {
    let extend = |folder: &Path, system: &dyn FileSystem| {
        let keys = ["train.epochs", "optimizer.learning_rate"];
        extend(folder, &["train.epochs=6", "optimizer.learning_rate=0.02"], &keys, system)
    };
    let trained = || {
        let folder = tempfile::tempdir().unwrap();
        train(folder.path(), &Disk).unwrap();
        folder
    };
    let folder = trained();
    let all = Faulty::new(usize::MAX, Fault::Gone);
    extend(folder.path(), &all).unwrap();
    let model = |folder: &Path| blake3::hash(&fs::read(folder.join("run").join(MODEL)).unwrap());
    let expected = model(folder.path());
    assert!(all.calls() >= 30, "{}", all.calls());
    for at in 0..all.calls() {
        let folder = trained();
        assert!(extend(folder.path(), &Faulty::new(at, Fault::Gone)).is_err(), "call {at}");
        let resumed = extend(folder.path(), &Disk).unwrap();
        // Only the very last call fails with everything written.
        assert!(matches!(resumed, Resumed::Reached(_)) || at + 1 == all.calls(), "call {at}");
        assert_eq!(model(folder.path()), expected, "call {at}");
        let config = fs::read_to_string(folder.path().join("run").join(CONFIG)).unwrap();
        assert!(config.contains("epochs = 6"), "call {at}: {config}");
        assert!(folder.path().join("run").join(RESULT).is_file());
    }
}

#[test]
fn what_is_judged_otherwise_is_judged_anew() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), &Disk).unwrap();
    let best = || blake3::hash(&fs::read(folder.path().join("run/checkpoints/best")).unwrap());
    let go_on = |set: &[&str]| extend(folder.path(), set, &["train", "optimizer"], &Disk).unwrap();
    // Steps of nothing from here on: the loss before the last of them is the best so far, and stays it.
    go_on(&["train.epochs=4", "optimizer.learning_rate=1e-300"]);
    let before = best();
    go_on(&["train.epochs=5"]);
    assert_eq!(best(), before);
    go_on(&["train.epochs=6", "train.evaluate_train=true", "train.monitor='train_loss'"]);
    assert_ne!(best(), before);
}

#[test]
fn whichever_call_of_the_system_fails_the_run_ends_as_if_none_had() {
    let folder = tempfile::tempdir().unwrap();
    let all = Faulty::new(usize::MAX, Fault::Short);
    train(folder.path(), &all).unwrap();
    let calls = all.calls();
    let expected = fs::read(folder.path().join("run").join(MODEL)).unwrap();
    assert!(calls >= 50, "{calls}");
    let faults = [
        Fault::Error(ErrorKind::Other),
        Fault::Error(ErrorKind::StorageFull),
        Fault::Gone,
        Fault::Short,
        Fault::Signal,
    ];
    for fault in faults {
        for at in 0..calls {
            let folder = tempfile::tempdir().unwrap();
            let failed = train(folder.path(), &Faulty::new(at, fault));
            let harmless = matches!(fault, Fault::Short | Fault::Signal);
            assert_eq!(failed.is_ok(), harmless, "{fault:?} at call {at}: {failed:?}");
            if let Err(failure) = failed {
                assert_eq!(failure.code(), 1, "{failure}");
                train(folder.path(), &Disk).unwrap_or_else(|error| panic!("{fault:?} at call {at}: {error}"));
            }
            let found = fs::read(folder.path().join("run").join(MODEL)).unwrap();
            assert_eq!(found, expected, "{fault:?} at call {at}");
        }
    }
}
