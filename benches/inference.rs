//! W6: predictions of a model in process. One row's microseconds, and rows a second of 60,000 with the class of each, by
//! the call behind `runner predict`; prints a JSON object a line for `bench/compare`.
#![allow(clippy::print_stdout, clippy::print_stderr)] // Its output is its purpose.

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;

use chainrule_runner::predictor::Predictor;
use chainrule_runner::registry::Registry;
use serde_json::json;

const USAGE: &str = "usage: chainrule-inference MODEL.safetensors [--threads N] [--rows N] [--repeats N]";

/// Predictions of one row that are timed together.
const CALLS: usize = 2000;

/// What is asked for.
struct Arguments {
    model: String,
    threads: usize,
    rows: usize,
    repeats: usize,
}

impl Arguments {
    fn read(mut arguments: impl Iterator<Item = String>) -> Option<Self> {
        let mut read = Self { model: arguments.next()?, threads: 1, rows: 60_000, repeats: 5 };
        while let Some(key) = arguments.next() {
            let count: usize = arguments.next()?.parse().ok().filter(|&count| count > 0)?;
            match key.as_str() {
                "--threads" => read.threads = count,
                "--rows" => read.rows = count,
                "--repeats" => read.repeats = count,
                _ => return None,
            }
        }
        Some(read)
    }
}

/// The same inputs as the peers have, without a generator that two languages would share: a row's numbers are a fixed
/// pattern in [0, 1), moved by its number.
fn inputs(rows: usize, width: usize) -> Vec<f32> {
    (0..rows * width).map(|at| ((at as u64 * 37 + at as u64 / 784) % 251) as f32 / 251.0).collect()
}

/// The class of each row: that of its largest output, of equal ones the first.
fn classes(outputs: &[f32], width: usize) -> Vec<usize> {
    let larger = |row: &[f32], best: usize, index: usize| if row[index] > row[best] { index } else { best };
    outputs
        .chunks_exact(width)
        .map(|row| (0..width).fold(0, |best, index| larger(row, best, index)))
        .collect()
}

/// Microseconds a call with one row.
fn one_row(predictor: &mut Predictor<f32>, row: &[f32]) -> Result<f64, String> {
    let mut outputs = vec![0.0; predictor.width()];
    let start = Instant::now();
    for _ in 0..CALLS {
        predictor.outputs(black_box(row), &mut outputs).map_err(|error| error.to_string())?;
        black_box(&outputs);
    }
    Ok(start.elapsed().as_secs_f64() / CALLS as f64 * 1e6)
}

/// The classes of all rows, a share on each predictor, and how long they took.
fn bulk(predictors: &mut [Predictor<f32>], x: &[f32], rows: usize) -> Result<(Vec<usize>, f64), String> {
    let width = x.len() / rows;
    let share = rows.div_ceil(predictors.len()) * width;
    let start = Instant::now();
    let predict = |(predictor, x): (&mut Predictor<f32>, &[f32])| {
        let mut outputs = vec![0.0; x.len() / width * predictor.width()];
        predictor.outputs(x, &mut outputs).map_err(|error| error.to_string())?;
        Ok(classes(&outputs, predictor.width()))
    };
    let parts: Result<Vec<Vec<usize>>, String> = std::thread::scope(|scope| {
        let shares = predictors.iter_mut().zip(x.chunks(share));
        let started: Vec<_> = shares.map(|part| scope.spawn(move || predict(part))).collect();
        started.into_iter().map(|thread| thread.join().map_err(|_| "a thread panicked".to_owned())?).collect()
    });
    Ok((parts?.concat(), start.elapsed().as_secs_f64()))
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let registry = Registry::standard();
    let bytes = std::fs::read(&arguments.model).map_err(|error| format!("{}: {error}", arguments.model))?;
    let load = |_| Predictor::<f32>::load(&bytes, &registry).map_err(|error| error.to_string());
    let mut predictors = (0..arguments.threads).map(load).collect::<Result<Vec<_>, _>>()?;
    let (width, rows) = (predictors[0].preprocessing().inputs, arguments.rows);
    let x = inputs(rows, width);
    one_row(&mut predictors[0], &x[..width])?;
    let mut counts = vec![0; predictors[0].width()];
    let (found, _) = bulk(&mut predictors, &x, rows)?;
    found.into_iter().for_each(|class| counts[class] += 1);
    for _ in 0..arguments.repeats {
        let latency = one_row(&mut predictors[0], &x[..width])?;
        let (_, seconds) = bulk(&mut predictors, &x, rows)?;
        println!(
            "{}",
            json!({ "one_row_us": latency, "rows_per_second": rows as f64 / seconds, "classes": counts })
        );
    }
    Ok(())
}

fn main() -> ExitCode {
    let Some(arguments) = Arguments::read(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}
