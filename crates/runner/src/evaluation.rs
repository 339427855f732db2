//! The loss and the metrics of each part of the data, and how they are written.

use chainrule_core::Executor;
use chainrule_trainer::metrics::{Score, Scored, Scorer};
use chainrule_trainer::{Evaluator, Threads, Values, by_output};
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
    /// Of several outputs, the loss of each.
    losses: Vec<(String, f64)>,
    scores: Vec<Scored>,
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
        threads.run(|_: &dyn Executor<F>| {
            let totals = evaluator.totals(&session.objective, values, data);
            Evaluation {
                part,
                loss: session.objective.loss().of(totals),
                losses: by_output(&session.objective, totals),
                scores: scorer.as_mut().map_or_else(Vec::new, |scorer| scorer.scores(values, data)),
            }
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
        for (output, loss) in &evaluation.losses {
            object.insert(format!("loss_{output}"), (*loss).into());
        }
        for scored in &evaluation.scores {
            let json = match &scored.score {
                Score::Number(_) => score_json(&scored.score),
                Score::Matrix { classes, .. } => {
                    let labels = class_names(session, scored, *classes);
                    json!({ "labels": labels, "counts": score_json(&scored.score) })
                }
            };
            object.insert(scored.key(), json);
        }
        (evaluation.part.to_owned(), Json::Object(object))
    };
    Json::Object(evaluations.iter().map(object).collect())
}

/// The numbers of all parts in a line: `train_loss 0.0014, test_loss 0.0021, test_accuracy 0.9667`.
pub(crate) fn summary(evaluations: &[Evaluation]) -> String {
    let mut words = Vec::new();
    for Evaluation { part, loss, losses, scores } in evaluations {
        words.push(format!("{part}_loss {}", short(*loss)));
        words.extend(losses.iter().map(|(output, loss)| format!("{part}_loss_{output} {}", short(*loss))));
        words.extend(numbers(scores).map(|(name, number)| format!("{part}_{name} {}", short(number))));
    }
    words.join(", ")
}

/// A line a part with every digit, and the confusion matrices below.
pub(crate) fn report<F: Number>(evaluations: &[Evaluation], session: &Session<F>) -> String {
    let mut lines = Vec::new();
    for Evaluation { part, loss, losses, scores } in evaluations {
        let losses = losses.iter().map(|(output, loss)| format!("  loss_{output} {loss}"));
        let scores = numbers(scores).map(|(name, number)| format!("  {name} {number}"));
        lines.push(format!("{part}  loss {loss}{}", losses.chain(scores).collect::<String>()));
    }
    for Evaluation { part, scores, .. } in evaluations {
        for scored in scores {
            if let Score::Matrix { counts, classes } = &scored.score {
                lines.push(format!("\n{part} {}, a row a true class:", scored.key()));
                lines.push(matrix(counts, &class_names(session, scored, *classes)));
            }
        }
    }
    lines.join("\n")
}

fn numbers(scores: &[Scored]) -> impl Iterator<Item = (String, f64)> {
    scores.iter().filter_map(|scored| match scored.score {
        Score::Number(number) => Some((scored.key(), number)),
        Score::Matrix { .. } => None,
    })
}

fn matrix(counts: &[u64], names: &[String]) -> String {
    let headings = std::iter::once(String::new()).chain(names.iter().cloned());
    let mut table = Table::of(headings.collect());
    for (name, row) in names.iter().zip(counts.chunks_exact(names.len())) {
        table.push(std::iter::once(name.clone()).chain(row.iter().map(u64::to_string)).collect());
    }
    table.render()
}

/// What the classes are called: their labels, or their numbers.
fn class_names<F: Number>(session: &Session<F>, scored: &Scored, classes: usize) -> Vec<String> {
    let output = session.scored.iter().position(|output| output.name == scored.output);
    let names = session.preprocessing.class_names(output.unwrap_or_default());
    let numbers = || (0..classes).map(|class| class.to_string()).collect();
    names.filter(|names| names.len() == classes).unwrap_or_else(numbers)
}
