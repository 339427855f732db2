//! Convolutions.

use chainrule_core::layers::{Conv, ConvTranspose, Kernel};
use chainrule_core::{Float, Initializer, Layer};
use schemars::JsonSchema;
use serde::Deserialize;

use super::example;
use super::sizes::{LinePadding, PlanePadding, Sizes};
use crate::registry::{BuildError, LayerContext, LayerExample, LayerSpec, Registry, Spec, Taken};
use crate::spec::{InitializerSpec, yes};

pub(super) fn register(registry: &mut Registry) -> Result<(), Taken> {
    registry.layer::<Conv1dSpec>()?;
    registry.layer::<Conv2dSpec>()?;
    registry.layer::<ConvTranspose2dSpec>()
}

fn one() -> usize {
    1
}

/// The start values of weights and biases.
fn initializers(
    weight_init: InitializerSpec,
    bias_init: InitializerSpec,
) -> Result<(Initializer, Initializer), BuildError> {
    let key = |key| move |message| BuildError::Key { key, message };
    Ok((weight_init.build().map_err(key("weight_init"))?, bias_init.build().map_err(key("bias_init"))?))
}

/// The layer with its activation, with or without a bias.
fn finish<F: Float>(
    conv: Conv<F>,
    bias: bool,
    (weight_init, bias_init): (Initializer, Initializer),
    context: &mut LayerContext<'_, F>,
) -> Result<Box<dyn Layer<F>>, BuildError> {
    let activation = context.activation(conv.output_shape())?;
    let conv = conv.with_activation(activation).with_init(weight_init, bias_init);
    Ok(if bias { Box::new(conv) } else { Box::new(conv.without_bias()) })
}

/// A convolution along [channels, length]: the same weights at every place.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Conv1dSpec {
    /// How many output channels it has.
    #[schemars(range(min = 1))]
    filters: usize,
    /// How many numbers its window sees.
    #[schemars(range(min = 1))]
    kernel_size: usize,
    /// How far the window moves.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    stride: usize,
    /// Zeros at either end: a number, "valid" (none), or "same" (keeps the length; stride 1).
    #[serde(default = "LinePadding::none")]
    padding: LinePadding,
    /// How far apart the numbers are that the window sees.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    dilation: usize,
    /// Into how many parts the channels are cut, each of which sees only itself.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    groups: usize,
    /// Whether it has a bias b.
    #[serde(default = "yes")]
    bias: bool,
    /// The start values of the weights w.
    #[serde(default = "InitializerSpec::xavier_uniform")]
    weight_init: InitializerSpec,
    /// The start values of the bias b.
    #[serde(default = "InitializerSpec::zeros")]
    bias_init: InitializerSpec,
}

impl Spec for Conv1dSpec {
    const TYPE: &'static str = "conv1d";
}

impl LayerSpec for Conv1dSpec {
    fn examples() -> Vec<LayerExample> {
        vec![
            example("filters = 3\nkernel_size = 2", &[&[2, 4]]),
            example("filters = 2\nkernel_size = 3\npadding = \"same\"\nbias = false", &[&[1, 5]]),
            example(
                "filters = 4\nkernel_size = 3\nstride = 2\npadding = 2\ndilation = 2\ngroups = 2",
                &[&[2, 7]],
            ),
        ]
    }

    fn build<F: Float>(&self, context: &mut LayerContext<'_, F>) -> Result<Box<dyn Layer<F>>, BuildError> {
        let start = initializers(self.weight_init, self.bias_init)?;
        let kernel = Kernel::new([1, self.kernel_size])
            .with_stride([1, self.stride])
            .with_padding(self.padding.padding())
            .with_dilation([1, self.dilation]);
        let conv = Conv::one(context.input("conv1d")?, self.filters, &kernel, self.groups)?;
        finish(conv, self.bias, start, context)
    }
}

/// A convolution over [channels, height, width]: the same weights at every place.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Conv2dSpec {
    /// How many output channels it has.
    #[schemars(range(min = 1))]
    filters: usize,
    /// The cells that its window sees: one number, or [height, width].
    kernel_size: Sizes<1>,
    /// How far the window moves: one number, or [height, width].
    #[serde(default = "Sizes::<1>::one")]
    stride: Sizes<1>,
    /// Zeros on either side: one number, or [height, width], "valid" (none), or "same" (keeps the size; stride 1).
    #[serde(default = "PlanePadding::none")]
    padding: PlanePadding,
    /// How far apart the cells are that the window sees: one number, or [height, width].
    #[serde(default = "Sizes::<1>::one")]
    dilation: Sizes<1>,
    /// Into how many parts the channels are cut, each of which sees only itself; as many as channels: depthwise.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    groups: usize,
    /// Whether it has a bias b.
    #[serde(default = "yes")]
    bias: bool,
    /// The start values of the weights w.
    #[serde(default = "InitializerSpec::xavier_uniform")]
    weight_init: InitializerSpec,
    /// The start values of the bias b.
    #[serde(default = "InitializerSpec::zeros")]
    bias_init: InitializerSpec,
}

impl Spec for Conv2dSpec {
    const TYPE: &'static str = "conv2d";
}

impl LayerSpec for Conv2dSpec {
    fn examples() -> Vec<LayerExample> {
        vec![
            example("filters = 3\nkernel_size = 2", &[&[2, 3, 4]]),
            example("filters = 2\nkernel_size = [3, 2]\npadding = \"same\"\nbias = false", &[&[1, 4, 3]]),
            example("filters = 2\nkernel_size = 3\nstride = [2, 1]\npadding = [1, 2]", &[&[2, 4, 3]]),
            example("filters = 4\nkernel_size = 2\ngroups = 2\ndilation = [1, 2]", &[&[2, 3, 4]]),
            example("filters = 3\nkernel_size = 3\npadding = 1\ngroups = 3", &[&[3, 4, 3]]),
            example("filters = 3\nkernel_size = 1", &[&[4, 2, 3]]),
        ]
    }

    fn build<F: Float>(&self, context: &mut LayerContext<'_, F>) -> Result<Box<dyn Layer<F>>, BuildError> {
        let start = initializers(self.weight_init, self.bias_init)?;
        let kernel = Kernel::new(self.kernel_size.pair())
            .with_stride(self.stride.pair())
            .with_padding(self.padding.padding())
            .with_dilation(self.dilation.pair());
        let conv = Conv::two(context.input("conv2d")?, self.filters, &kernel, self.groups)?;
        finish(conv, self.bias, start, context)
    }
}

/// A transposed convolution over [channels, height, width]: spreads every number over a window of the output.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ConvTranspose2dSpec {
    /// How many output channels it has.
    #[schemars(range(min = 1))]
    filters: usize,
    /// The cells of its window: one number, or [height, width].
    kernel_size: Sizes<1>,
    /// How far apart the windows of neighbours are: one number, or [height, width].
    #[serde(default = "Sizes::<1>::one")]
    stride: Sizes<1>,
    /// Cells cut off on either side: one number, or [height, width], "valid" (none), or "same" (keeps the size; stride 1).
    #[serde(default = "PlanePadding::none")]
    padding: PlanePadding,
    /// Rows and columns more at the end, fewer than the stride or the dilation: one number, or [height, width].
    #[serde(default = "Sizes::<0>::zero")]
    output_padding: Sizes<0>,
    /// How far apart the cells of the window are: one number, or [height, width].
    #[serde(default = "Sizes::<1>::one")]
    dilation: Sizes<1>,
    /// Into how many parts the channels are cut, each of which reaches only itself.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    groups: usize,
    /// Whether it has a bias b.
    #[serde(default = "yes")]
    bias: bool,
    /// The start values of the weights w.
    #[serde(default = "InitializerSpec::xavier_uniform")]
    weight_init: InitializerSpec,
    /// The start values of the bias b.
    #[serde(default = "InitializerSpec::zeros")]
    bias_init: InitializerSpec,
}

impl Spec for ConvTranspose2dSpec {
    const TYPE: &'static str = "conv_transpose2d";
}

impl LayerSpec for ConvTranspose2dSpec {
    fn examples() -> Vec<LayerExample> {
        vec![
            example("filters = 3\nkernel_size = 2", &[&[2, 2, 3]]),
            example(
                "filters = 2\nkernel_size = 3\nstride = 2\npadding = 1\noutput_padding = 1",
                &[&[2, 2, 3]],
            ),
            example("filters = 1\nkernel_size = [3, 2]\npadding = \"same\"\nbias = false", &[&[2, 3, 2]]),
            example(
                "filters = 4\nkernel_size = 2\nstride = [1, 3]\ndilation = [2, 1]\ngroups = 2",
                &[&[2, 2, 2]],
            ),
        ]
    }

    fn build<F: Float>(&self, context: &mut LayerContext<'_, F>) -> Result<Box<dyn Layer<F>>, BuildError> {
        let (weight_init, bias_init) = initializers(self.weight_init, self.bias_init)?;
        let kernel = Kernel::new(self.kernel_size.pair())
            .with_stride(self.stride.pair())
            .with_padding(self.padding.padding())
            .with_dilation(self.dilation.pair());
        let (input, extra) = (context.input("conv_transpose2d")?, self.output_padding.pair());
        let conv = ConvTranspose::new(input, self.filters, &kernel, extra, self.groups)?;
        let activation = context.activation(conv.output_shape())?;
        let conv = conv.with_activation(activation).with_init(weight_init, bias_init);
        Ok(if self.bias { Box::new(conv) } else { Box::new(conv.without_bias()) })
    }
}
