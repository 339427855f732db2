//! W6 by candle, as `inference_peer.py` has it by others: the model from its `model.safetensors`, one row's microseconds,
//! and rows a second of all rows with the class of each. candle takes its threads from `RAYON_NUM_THREADS`.

use std::hint::black_box;
use std::time::Instant;

use candle_core::{DType, Device, Result, Tensor, safetensors};
use candle_nn::{Linear, Module};
use serde_json::json;

const USAGE: &str = "usage: candle-peer MODEL.safetensors [--threads N] [--rows N] [--repeats N]";

/// As pinned in `Cargo.toml`.
const VERSION: &str = "candle 0.11.1";

/// Predictions of one row that are timed together.
const CALLS: usize = 2000;

struct Model {
    hidden: Linear,
    output: Linear,
}

impl Model {
    fn load(path: &str) -> Result<Self> {
        let tensors = safetensors::load(path, &Device::Cpu)?;
        let linear = |name: &str| {
            let [weight, bias] = ["weight", "bias"].map(|part| tensors[&format!("{name}.{part}")].clone());
            Linear::new(weight, Some(bias))
        };
        Ok(Self { hidden: linear("hidden"), output: linear("output") })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.output.forward(&self.hidden.forward(x)?.relu()?)
    }
}

/// Those of `benches/inference.rs`.
fn inputs(rows: usize, width: usize) -> Vec<f32> {
    (0..rows * width).map(|at| ((at as u64 * 37 + at as u64 / 784) % 251) as f32 / 251.0).collect()
}

/// From numbers to numbers, as the others.
fn one_row(model: &Model, row: &[f32]) -> Result<f64> {
    let start = Instant::now();
    for _ in 0..CALLS {
        let x = Tensor::from_slice(black_box(row), (1, row.len()), &Device::Cpu)?;
        black_box(model.forward(&x)?.to_vec2::<f32>()?);
    }
    Ok(start.elapsed().as_secs_f64() / CALLS as f64 * 1e6)
}

fn bulk(model: &Model, x: &Tensor) -> Result<(Vec<u32>, f64)> {
    let start = Instant::now();
    let classes = model.forward(x)?.argmax(1)?.to_dtype(DType::U32)?.to_vec1()?;
    Ok((classes, x.dim(0)? as f64 / start.elapsed().as_secs_f64()))
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(path) = arguments.first() else {
        eprintln!("{USAGE}");
        std::process::exit(2);
    };
    let count = |key: &str, otherwise: usize| {
        let at = arguments.iter().position(|argument| argument == key);
        at.map_or(otherwise, |at| arguments[at + 1].parse().expect(USAGE))
    };
    let (rows, repeats) = (count("--rows", 60_000), count("--repeats", 5));
    let model = Model::load(path)?;
    let width = model.hidden.weight().dim(1)?;
    let numbers = inputs(rows, width);
    let x = Tensor::from_slice(&numbers, (rows, width), &Device::Cpu)?;
    one_row(&model, &numbers[..width])?;
    let mut counts = vec![0; model.output.weight().dim(0)?];
    bulk(&model, &x)?.0.into_iter().for_each(|class| counts[class as usize] += 1);
    for _ in 0..repeats {
        let latency = one_row(&model, &numbers[..width])?;
        let (_, rows_per_second) = bulk(&model, &x)?;
        println!(
            "{}",
            json!({ "one_row_us": latency, "rows_per_second": rows_per_second, "version": VERSION, "classes": counts })
        );
    }
    Ok(())
}
