//! One training step of the compared workloads, on one thread: gradient and optimiser, without gathering the batch.
//! `cargo bench -p chainrule-benches --bench steps -- w4`.

use std::path::Path;
use std::time::Duration;

use chainrule_core::{Ctx, Draw, Inline, Workspace};
use chainrule_runner::experiment::Experiment;
use chainrule_runner::registry::Registry;
use chainrule_runner::session::Session;
use chainrule_trainer::optimizer::{DecayOn, Memory, groups, update};
use criterion::Criterion;

/// Those of `configs/bench` in single precision.
const WORKLOADS: [&str; 4] = ["w2_mlp", "w3_wide", "w4_lenet", "w5_tabular"];

fn experiment(name: &str, registry: &Registry) -> Experiment {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/bench");
    let few = ["data.samples=512".to_owned()];
    let loaded = Experiment::load(&folder.join(format!("{name}.toml")), &few, registry);
    loaded.unwrap_or_else(|failure| panic!("{name}: {failure}"))
}

fn step(criterion: &mut Criterion, name: &str) {
    let registry = Registry::standard();
    let experiment = experiment(name, &registry);
    let session = Session::<f32>::new(&experiment, &registry, None).expect("a session");
    let weights = session.start(&experiment).expect("start values");
    let (mut theta, mut buffers) = (weights.theta, weights.buffers);
    let (inputs, targets) = session.train.batch(0..experiment.train.batch_size);
    let groups = groups(&session.parameters, DecayOn::All, &[]);
    let mut workspace =
        Workspace::new(session.objective.network(), experiment.train.batch_size).expect("memory");
    let mut gradient = vec![0.0; theta.len()];
    let mut memory = Memory::new(session.optimizer.as_ref(), theta.len());
    let mut number = 0;
    criterion.bench_function(&format!("step/{name}"), |bencher| {
        bencher.iter(|| {
            let ctx = &mut Ctx::train(&Inline, &mut buffers, Draw::new(0, number));
            let (gradient, workspace) = (&mut gradient, &mut workspace);
            session.objective.gradient(&theta, &[inputs], targets, gradient, &mut [None], workspace, ctx);
            let rate = session.schedule.rate(number);
            number += 1;
            let optimizer = session.optimizer.as_ref();
            update(&Inline, optimizer, &groups, (number, rate), (&mut theta, gradient), &mut memory);
        });
    });
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    for name in WORKLOADS {
        step(&mut criterion, name);
    }
    criterion.final_summary();
}
