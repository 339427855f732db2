//! The layers, one file each: its derivation, forward, backward, tests.

mod activate;
mod add;
mod chain;
mod concat;
mod dense;
mod graph;
mod masked;
mod multiply;
mod recurrent;
mod tuned;

pub use activate::Activate;
pub use add::Add;
pub use chain::Chain;
pub use concat::Concat;
pub use dense::Dense;
pub use graph::{Graph, Node, Source};
pub use masked::Masked;
pub use multiply::Multiply;
pub use recurrent::{
    Cell, CellText, Gru, GruCell, InputBlock, Lstm, LstmCell, MAX_STACKED, Recurrent, RecurrentConfig,
    SimpleRnn, SimpleRnnCell, Step, StepBack,
};
pub use tuned::Tuned;

use crate::{Error, Shape};

/// Checks that there are inputs and that all have one shape; returns it.
fn equal_inputs(layer: &'static str, inputs: &[Shape]) -> Result<Shape, Error> {
    let first = several_inputs(layer, inputs)?;
    match inputs.iter().find(|other| *other != first) {
        None => Ok(first.clone()),
        Some(other) => {
            Err(Error::InputShapes { layer, need: "one shape", first: first.clone(), other: other.clone() })
        }
    }
}

/// Checks that there are at least two inputs and not too many; returns the first.
fn several_inputs<'a>(layer: &'static str, inputs: &'a [Shape]) -> Result<&'a Shape, Error> {
    match inputs {
        [first, _, ..] if inputs.len() <= crate::MAX_INPUTS => Ok(first),
        _ => Err(Error::InputCount { layer, expected: "2 to 16 inputs", found: inputs.len() }),
    }
}

#[cfg(test)]
mod check;
