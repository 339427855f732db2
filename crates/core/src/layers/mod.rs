//! The layers, one file each: its derivation, forward, backward, tests.

mod abreast;
mod activate;
mod add;
mod attention;
mod average;
mod avg_pool;
mod batch_norm;
mod bundle;
mod chain;
mod channels;
mod concat;
mod conv;
mod conv_transpose;
mod correlation;
mod dense;
mod direct;
mod dropout;
mod embedding;
pub(crate) mod flat;
mod frame;
mod framed;
mod gaussian_noise;
mod global_avg_pool;
mod global_max_pool;
mod graph;
mod group_norm;
mod layer_norm;
mod masked;
mod max_pool;
mod multiply;
mod part;
mod permute;
mod positional_embedding;
mod prelu;
mod quads;
mod recurrent;
mod reshape;
mod residual;
mod rms_norm;
mod row_map;
mod sinusoidal_positions;
mod sliding;
mod softmax;
mod standardise;
mod subtract;
mod sums;
mod transformer_block;
mod tuned;
mod unfold;
mod upsample;
mod window;
mod zero_pad;

pub use activate::Activate;
pub use add::Add;
pub use attention::MultiHeadAttention;
pub use average::Average;
pub use avg_pool::AvgPool;
pub use batch_norm::BatchNorm;
pub use bundle::Bundle;
pub use chain::Chain;
pub use concat::Concat;
pub use conv::Conv;
pub use conv_transpose::ConvTranspose;
pub use dense::Dense;
pub use dropout::Dropout;
pub use embedding::Embedding;
pub use flat::Neurons;
pub use gaussian_noise::GaussianNoise;
pub use global_avg_pool::{GlobalAvgPool, Over};
pub use global_max_pool::GlobalMaxPool;
pub use graph::{Graph, Node, Source};
pub use group_norm::GroupNorm;
pub use layer_norm::LayerNorm;
pub use masked::Masked;
pub use max_pool::MaxPool;
pub use multiply::Multiply;
pub use part::Part;
pub use permute::Permute;
pub use positional_embedding::PositionalEmbedding;
pub use prelu::Prelu;
pub use recurrent::{
    Cell, CellText, Gru, GruCell, InputBlock, Lstm, LstmCell, MAX_STACKED, Recurrent, RecurrentConfig,
    SimpleRnn, SimpleRnnCell, Step, StepBack,
};
pub use reshape::Reshape;
pub use residual::residual;
pub use rms_norm::RmsNorm;
pub use sinusoidal_positions::SinusoidalPositions;
pub use softmax::Softmax;
pub use subtract::Subtract;
pub use transformer_block::{NormPlace, TransformerBlock};
pub use tuned::Tuned;
pub use upsample::Upsample;
pub use window::{Kernel, Padding};
pub use zero_pad::ZeroPad;

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

/// Positions and features of a sequence.
fn sequence(layer: &'static str, input: &Shape) -> Result<(usize, usize), Error> {
    match *input.axes() {
        [positions, features] => Ok((positions, features)),
        _ => {
            let message = format!(
                "it needs sequences [positions, features], but its input is {input}; set `input_shape`, or put an `embedding` before it"
            );
            Err(Error::Layer { layer, message })
        }
    }
}

#[cfg(test)]
mod check;
