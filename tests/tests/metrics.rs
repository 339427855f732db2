//! Metrics against scikit-learn's: `golden/metrics.json`, which `golden/metrics.py` makes.

use chainrule_core::Executor;
use chainrule_core::activation::Linear;
use chainrule_core::layers::Activate;
use chainrule_tests::vector;
use chainrule_trainer::metrics::{Metric, Score, ScoredOutput, Scorer, Scoring, Task};
use chainrule_trainer::{Dataset, TargetData, Threads, Values};
use serde_json::Value as Json;

/// The cases of one kind of target.
fn cases(kind: &str) -> Vec<Json> {
    let golden: Json = serde_json::from_str(include_str!("../golden/metrics.json")).expect("JSON");
    golden[kind].as_array().expect("cases").clone()
}

fn rows(json: &Json) -> (Vec<f64>, usize) {
    let rows: Vec<Vec<f64>> = serde_json::from_value(json.clone()).expect("rows of numbers");
    (rows.concat(), rows[0].len())
}

/// Scores a network that passes its input on, with every metric of the case.
fn scores(case: &Json, task: Task, threads: &Threads) -> Vec<(Metric, Score)> {
    let (inputs, width) = rows(&case["outputs"]);
    let targets = match task {
        Task::Classes => {
            let data = serde_json::from_value(case["targets"].clone()).expect("classes");
            TargetData::Classes { data, per_sample: 1 }
        }
        _ => {
            let (data, width) = rows(&case["targets"]);
            TargetData::Values { data, width }
        }
    };
    let data = Dataset::new(inputs, width, targets).expect("whole samples");
    let network = Activate::new(&vector(width), Box::new(Linear));
    let expected = case["metrics"].as_object().expect("metrics");
    let metrics: Vec<Metric> =
        Metric::ALL.into_iter().filter(|metric| expected.contains_key(metric.name())).collect();
    assert_eq!(metrics.len(), expected.len());
    let outputs = [ScoredOutput { name: String::new(), shape: vector(width), task }];
    let scoring = Scoring { network: &network, outputs: &outputs, metrics: &metrics };
    let mut scorer = Scorer::new(scoring, data.len(), threads.count()).expect("metrics that fit");
    let scores =
        threads.run(|_: &dyn Executor<f64>| scorer.scores(Values { theta: &[], buffers: &[] }, &data));
    scores.into_iter().map(|scored| (scored.metric, scored.score)).collect()
}

fn assert_equals_scikit_learn(kind: &str, task: Task) {
    for case in cases(kind) {
        let name = &case["name"];
        let found = scores(&case, task, &Threads::one());
        for (metric, score) in &found {
            let expected = &case["metrics"][metric.name()];
            match score {
                Score::Number(number) => {
                    let expected = expected.as_f64().expect("a number");
                    let error = (number - expected).abs() / expected.abs().max(1.0);
                    assert!(error <= 1e-14, "{name}: {} is {number}, not {expected}", metric.name());
                }
                Score::Matrix { counts, classes } => {
                    let counts: Vec<&[u64]> = counts.chunks(*classes).collect();
                    assert_eq!(&serde_json::json!(counts), expected, "{name}");
                }
            }
        }
        let shared = scores(&case, task, &Threads::for_work(3, usize::MAX).expect("threads"));
        assert_eq!(found, shared, "{name}: the same bits on three threads");
    }
}

#[test]
fn of_classes_equal_scikit_learns() {
    assert_equals_scikit_learn("classes", Task::Classes);
}

#[test]
fn of_yes_or_no_equal_scikit_learns() {
    assert_equals_scikit_learn("binary", Task::Binary { threshold: 0.5 });
}

#[test]
fn of_numbers_equal_scikit_learns() {
    assert_equals_scikit_learn("numbers", Task::Numbers);
}
