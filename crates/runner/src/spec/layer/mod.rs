//! The layers of `[model] layers`, a file a family.

mod activation;
mod attention;
mod combine;
mod conv;
mod dense;
mod nested;
mod noise;
mod norm;
mod pool;
mod positions;
mod recurrent;
mod shape;
mod sizes;

pub use nested::LayerList;

use crate::registry::{LayerExample, Registry, Taken};

pub(super) fn register(registry: &mut Registry) -> Result<(), Taken> {
    dense::register(registry)?;
    combine::register(registry)?;
    norm::register(registry)?;
    noise::register(registry)?;
    activation::register(registry)?;
    recurrent::register(registry)?;
    conv::register(registry)?;
    pool::register(registry)?;
    shape::register(registry)?;
    positions::register(registry)?;
    attention::register(registry)?;
    nested::register(registry)
}

/// Examples of one kind of keys for inputs of these shapes.
fn example(keys: &'static str, inputs: &[&[usize]]) -> LayerExample {
    LayerExample::new(keys, inputs)
}
