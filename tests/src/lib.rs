//! What the tests of the whole share: networks in a line, numbers without pattern, a watcher that remembers.

pub mod kills;
pub mod little;
pub mod measured;
pub mod networks;
pub mod runner;
pub mod untrusted;

use std::error::Error;

use chainrule_core::layers::{Chain, Dense};
use chainrule_core::{Activation, Float, Layer, Shape};
use chainrule_trainer::{Observer, Progress, Record};

/// Keeps every record of a run.
#[derive(Debug, Default)]
pub struct Records(pub Vec<Record>);

impl Observer for Records {
    fn progressed(&mut self, _progress: Progress) {}

    fn logged(&mut self, record: &Record) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.0.push(record.clone());
        Ok(())
    }
}

/// Numbers without pattern in [-1, 1), the same for the same seed: SplitMix64 (Steele, Lea & Flood, 2014).
pub fn numbers<F: Float>(len: usize, seed: u64) -> Vec<F> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    };
    (0..len).map(|_| F::of((next() >> 11) as f64 / (1u64 << 52) as f64 - 1.0)).collect()
}

/// Class indices without pattern below `classes`, the same for the same seed.
pub fn classes(len: usize, classes: u32, seed: u64) -> Vec<u32> {
    let uniform = numbers::<f64>(len, seed);
    uniform.into_iter().map(|number| ((number + 1.0) / 2.0 * f64::from(classes)) as u32).collect()
}

/// A shape of one axis.
///
/// # Panics
/// If `len` is 0.
pub fn vector(len: usize) -> Shape {
    Shape::vector(len).expect("a length above 0")
}

/// A dense layer.
///
/// # Panics
/// If `inputs` or `units` is 0.
pub fn dense<F: Float>(
    inputs: usize,
    units: usize,
    activation: impl Activation<F> + 'static,
) -> Box<dyn Layer<F>> {
    Box::new(Dense::new(&vector(inputs), units, Box::new(activation)).expect("units above 0"))
}

/// Named layers one after the other.
///
/// # Panics
/// If they do not fit.
pub fn chain<F: Float>(layers: Vec<(&str, Box<dyn Layer<F>>)>) -> Box<dyn Layer<F>> {
    let named = layers.into_iter().map(|(name, layer)| (name.into(), layer)).collect();
    Box::new(Chain::new(named).expect("layers that fit"))
}
