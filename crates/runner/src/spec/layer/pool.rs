//! Pools: the largest or the mean of what a window sees, or of everything.

use chainrule_core::layers::{AvgPool, GlobalAvgPool, GlobalMaxPool, Kernel, MaxPool, Over, Padding};
use chainrule_core::{Float, Layer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::example;
use super::sizes::Sizes;
use crate::registry::{BuildError, LayerContext, LayerExample, LayerSpec, Registry, Spec, Taken};

pub(super) fn register(registry: &mut Registry) -> Result<(), Taken> {
    registry.layer::<MaxPool1dSpec>()?;
    registry.layer::<MaxPool2dSpec>()?;
    registry.layer::<AvgPool1dSpec>()?;
    registry.layer::<AvgPool2dSpec>()?;
    registry.layer::<GlobalAvgPoolSpec>()?;
    registry.layer::<GlobalMaxPoolSpec>()
}

/// A window, which moves by its own size unless told otherwise.
fn kernel(size: [usize; 2], stride: Option<[usize; 2]>, padding: [usize; 2]) -> Kernel {
    Kernel::new(size).with_stride(stride.unwrap_or(size)).with_padding(Padding::Cells(padding))
}

fn examples_1d() -> Vec<LayerExample> {
    vec![example("pool_size = 2", &[&[2, 5]]), example("pool_size = 3\nstride = 2\npadding = 1", &[&[1, 6]])]
}

fn examples_2d() -> Vec<LayerExample> {
    vec![
        example("pool_size = 2", &[&[2, 4, 5]]),
        example("pool_size = [3, 2]\nstride = [2, 1]\npadding = [1, 0]", &[&[1, 4, 3]]),
    ]
}

fn examples_global() -> Vec<LayerExample> {
    vec![example("", &[&[2, 3, 2]]), example("", &[&[3, 4]]), example("over = \"positions\"", &[&[4, 3]])]
}

/// The largest number of a window that moves along [channels, length], channel by channel.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MaxPool1dSpec {
    /// The cells that its window sees.
    #[schemars(range(min = 1))]
    pool_size: usize,
    /// How far the window moves; pool_size, if absent.
    #[schemars(range(min = 1))]
    stride: Option<usize>,
    /// How many cells are added on either side, none of which is ever the largest; at most half of pool_size.
    #[serde(default)]
    padding: usize,
}

impl Spec for MaxPool1dSpec {
    const TYPE: &'static str = "max_pool1d";
}

impl LayerSpec for MaxPool1dSpec {
    fn examples() -> Vec<LayerExample> {
        examples_1d()
    }

    fn build<F: Float>(&self, context: &mut LayerContext<'_, F>) -> Result<Box<dyn Layer<F>>, BuildError> {
        let kernel = kernel([1, self.pool_size], self.stride.map(|stride| [1, stride]), [0, self.padding]);
        Ok(Box::new(MaxPool::one(context.input(Self::TYPE)?, &kernel)?))
    }
}

/// The largest number of a window that moves along [channels, height, width], channel by channel.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MaxPool2dSpec {
    /// The cells that its window sees: one number, or [height, width].
    pool_size: Sizes<1>,
    /// How far the window moves: one number, or [height, width]; pool_size, if absent.
    stride: Option<Sizes<1>>,
    /// How many cells are added on either side, none of which is ever the largest: one number, or [height, width]; at most half of pool_size.
    #[serde(default = "Sizes::<0>::zero")]
    padding: Sizes<0>,
}

impl Spec for MaxPool2dSpec {
    const TYPE: &'static str = "max_pool2d";
}

impl LayerSpec for MaxPool2dSpec {
    fn examples() -> Vec<LayerExample> {
        examples_2d()
    }

    fn build<F: Float>(&self, context: &mut LayerContext<'_, F>) -> Result<Box<dyn Layer<F>>, BuildError> {
        let kernel = kernel(self.pool_size.pair(), self.stride.map(Sizes::pair), self.padding.pair());
        Ok(Box::new(MaxPool::two(context.input(Self::TYPE)?, &kernel)?))
    }
}

/// The mean of a window that moves along [channels, length], channel by channel.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AvgPool1dSpec {
    /// The cells that its window sees.
    #[schemars(range(min = 1))]
    pool_size: usize,
    /// How far the window moves; pool_size, if absent.
    #[schemars(range(min = 1))]
    stride: Option<usize>,
    /// How many cells are added on either side, which count as zeros; at most half of pool_size.
    #[serde(default)]
    padding: usize,
}

impl Spec for AvgPool1dSpec {
    const TYPE: &'static str = "avg_pool1d";
}

impl LayerSpec for AvgPool1dSpec {
    fn examples() -> Vec<LayerExample> {
        examples_1d()
    }

    fn build<F: Float>(&self, context: &mut LayerContext<'_, F>) -> Result<Box<dyn Layer<F>>, BuildError> {
        let kernel = kernel([1, self.pool_size], self.stride.map(|stride| [1, stride]), [0, self.padding]);
        Ok(Box::new(AvgPool::one(context.input(Self::TYPE)?, &kernel)?))
    }
}

/// The mean of a window that moves along [channels, height, width], channel by channel.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AvgPool2dSpec {
    /// The cells that its window sees: one number, or [height, width].
    pool_size: Sizes<1>,
    /// How far the window moves: one number, or [height, width]; pool_size, if absent.
    stride: Option<Sizes<1>>,
    /// How many cells are added on either side, which count as zeros: one number, or [height, width]; at most half of pool_size.
    #[serde(default = "Sizes::<0>::zero")]
    padding: Sizes<0>,
}

impl Spec for AvgPool2dSpec {
    const TYPE: &'static str = "avg_pool2d";
}

impl LayerSpec for AvgPool2dSpec {
    fn examples() -> Vec<LayerExample> {
        examples_2d()
    }

    fn build<F: Float>(&self, context: &mut LayerContext<'_, F>) -> Result<Box<dyn Layer<F>>, BuildError> {
        let kernel = kernel(self.pool_size.pair(), self.stride.map(Sizes::pair), self.padding.pair());
        Ok(Box::new(AvgPool::two(context.input(Self::TYPE)?, &kernel)?))
    }
}

/// What a global pool goes over.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum OverSpec {
    /// All axes but the first.
    Space,
    /// The first axis.
    Positions,
}

impl OverSpec {
    fn space() -> Self {
        Self::Space
    }

    fn over(self) -> Over {
        match self {
            Self::Space => Over::Space,
            Self::Positions => Over::Positions,
        }
    }
}

/// The mean over all places, or over the positions of a sequence.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GlobalAvgPoolSpec {
    /// "space": all axes but the first, the channels; "positions": the first axis, time, without padding.
    #[serde(default = "OverSpec::space")]
    over: OverSpec,
}

impl Spec for GlobalAvgPoolSpec {
    const TYPE: &'static str = "global_avg_pool";
}

impl LayerSpec for GlobalAvgPoolSpec {
    fn examples() -> Vec<LayerExample> {
        examples_global()
    }

    fn build<F: Float>(&self, context: &mut LayerContext<'_, F>) -> Result<Box<dyn Layer<F>>, BuildError> {
        Ok(Box::new(GlobalAvgPool::new(context.input(Self::TYPE)?, self.over.over())?))
    }
}

/// The largest number over all places, or over the positions of a sequence.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GlobalMaxPoolSpec {
    /// "space": all axes but the first, the channels; "positions": the first axis, time, without padding.
    #[serde(default = "OverSpec::space")]
    over: OverSpec,
}

impl Spec for GlobalMaxPoolSpec {
    const TYPE: &'static str = "global_max_pool";
}

impl LayerSpec for GlobalMaxPoolSpec {
    fn examples() -> Vec<LayerExample> {
        examples_global()
    }

    fn build<F: Float>(&self, context: &mut LayerContext<'_, F>) -> Result<Box<dyn Layer<F>>, BuildError> {
        Ok(Box::new(GlobalMaxPool::new(context.input(Self::TYPE)?, self.over.over())?))
    }
}
