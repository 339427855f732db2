use std::fs;
use std::io::ErrorKind;

use super::*;
use crate::console::Verbosity;
use crate::progress::Style;
use crate::resume::{Resumed, resume};
use crate::run_dir::MODEL;
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

/// Trains in `folder/run` on a system, or goes on with what is there.
fn train(folder: &Path, system: &dyn FileSystem) -> Result<(), Failure> {
    let registry = Registry::standard();
    let file = folder.join("x.toml");
    fs::write(&file, XOR).unwrap();
    let experiment = Experiment::load(&file, &[], &registry)?;
    let context = Context {
        registry: &registry,
        arguments: &TrainingArgs { threads: Some(1), progress: Style::None },
        interrupt: &Interrupt::never(),
        console: Console::new(Verbosity::Quiet),
        system,
        pause_after: None,
    };
    let path = folder.join("run");
    if path.exists() {
        return match resume::<f64>(context, &experiment, &RunDir::open(&path)?, &[])? {
            Resumed::Done | Resumed::Reached(_) => Ok(()),
        };
    }
    let session = Session::<f64>::new(&experiment, &registry, None)?;
    start(context, &experiment, &session, (&path, Existing::Keep)).map(drop)
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
