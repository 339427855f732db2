//! The loss and the metrics of each part of the data, and how they are written.

use chainrule_core::Executor;
use chainrule_trainer::metrics::{Metric, Score, Scorer};
use chainrule_trainer::{Evaluator, Threads, Values};
use serde_json::{Map, Value as Json, json};

use crate::error::Failure;
use crate::progress::short;
use crate::registry::Number;
use crate::session::Session;
use crate::table::Table;

/// How good a network is on one part of the data.
#[derive(Clone, Debug)]
pub(crate) struct Evaluation {
    part: &'static str,
    loss: f64,
    scores: Vec<(Metric, Score)>,
}

/// Evaluates a network on every part of the data of a session.
pub(crate) fn evaluate<F: Number>(
    session: &Session<F>,
    values: Values<'_, F>,
    threads: &Threads,
) -> Result<Vec<Evaluation>, Failure> {
    let samples = session.most_samples();
    let mut evaluator = Evaluator::new(&session.objective, samples, threads.count())?;
    let mut scorer = match session.metrics.is_empty() {
        true => None,
        false => Some(Scorer::new(session.scoring(), samples, threads.count())?),
    };
    let mut evaluation = |(part, data)| {
        threads.run(|_: &dyn Executor<F>| Evaluation {
            part,
            loss: evaluator.total(&session.objective, values, data).mean(),
            scores: scorer.as_mut().map_or_else(Vec::new, |scorer| scorer.scores(values, data)),
        })
    };
    Ok(session.parts().map(&mut evaluation).collect())
}

/// A score as a number, or an array of the rows of a table; null where it is not defined.
pub(crate) fn score_json(score: &Score) -> Json {
    match score {
        Score::Number(number) => Json::from(*number),
        Score::Matrix { counts, classes } => counts.chunks_exact(*classes).map(Json::from).collect(),
    }
}

/// `metrics` of `result.json`: an object a part; a confusion matrix with the labels of its rows and columns.
pub(crate) fn to_json<F: Number>(evaluations: &[Evaluation], session: &Session<F>) -> Json {
    let object = |evaluation: &Evaluation| {
        let mut object = Map::new();
        object.insert("loss".into(), evaluation.loss.into());
        for (metric, score) in &evaluation.scores {
            let json = match score {
                Score::Number(_) => score_json(score),
                Score::Matrix { classes, .. } => {
                    json!({ "labels": class_names(session, *classes), "counts": score_json(score) })
                }
            };
            object.insert(metric.name().into(), json);
        }
        (evaluation.part.to_owned(), Json::Object(object))
    };
    Json::Object(evaluations.iter().map(object).collect())
}

/// The numbers of all parts in a line: `train_loss 0.0014, test_loss 0.0021, test_accuracy 0.9667`.
pub(crate) fn summary(evaluations: &[Evaluation]) -> String {
    let mut words = Vec::new();
    for Evaluation { part, loss, scores } in evaluations {
        words.push(format!("{part}_loss {}", short(*loss)));
        words.extend(numbers(scores).map(|(name, number)| format!("{part}_{name} {}", short(number))));
    }
    words.join(", ")
}

/// A line a part with every digit, and the confusion matrices below.
pub(crate) fn report<F: Number>(evaluations: &[Evaluation], session: &Session<F>) -> String {
    let mut lines = Vec::new();
    for Evaluation { part, loss, scores } in evaluations {
        let scores = numbers(scores).map(|(name, number)| format!("  {name} {number}"));
        lines.push(format!("{part}  loss {loss}{}", scores.collect::<String>()));
    }
    for Evaluation { part, scores, .. } in evaluations {
        for (metric, score) in scores {
            if let Score::Matrix { counts, classes } = score {
                lines.push(format!("\n{part} {}, a row a true class:", metric.name()));
                lines.push(matrix(counts, &class_names(session, *classes)));
            }
        }
    }
    lines.join("\n")
}

fn numbers(scores: &[(Metric, Score)]) -> impl Iterator<Item = (&'static str, f64)> {
    scores.iter().filter_map(|(metric, score)| match score {
        Score::Number(number) => Some((metric.name(), *number)),
        Score::Matrix { .. } => None,
    })
}

fn matrix(counts: &[u64], names: &[String]) -> String {
    let visible = |name: &String| crate::diagnostic::visible(name);
    let headings = std::iter::once(String::new()).chain(names.iter().map(visible));
    let mut table = Table::of(headings.collect());
    for (name, row) in names.iter().zip(counts.chunks_exact(names.len())) {
        table.push(std::iter::once(visible(name)).chain(row.iter().map(u64::to_string)).collect());
    }
    table.render()
}

/// What the classes are called: their labels, or their numbers.
fn class_names<F: Number>(session: &Session<F>, classes: usize) -> Vec<String> {
    let names = session.preprocessing.class_names();
    let numbers = || (0..classes).map(|class| class.to_string()).collect();
    names.filter(|names| names.len() == classes).unwrap_or_else(numbers)
}
