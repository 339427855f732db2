//! The description of one parameter tensor: its name, shape, role and start values.

use crate::{Error, Float, Initializer, Shape};

/// What a parameter does, for optimisers that treat kinds differently (`weight_decay_on = "weights"`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Role {
    /// A factor of the input.
    Weight,
    /// A term added to a product.
    Bias,
}

/// One tensor within a layer's part of the flat parameter vector.
///
/// A layer lists its tensors in the order in which they lie in the vector, each row-major. Summaries, files,
/// initialisation and decay masks read these descriptions; the mathematics reads the vector.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// `weight`, `bias`; inside a network `LAYER.weight`.
    pub name: String,
    /// The axes, in PyTorch's order: a dense weight is `[out, in]`.
    pub shape: Shape,
    /// What the tensor does.
    pub role: Role,
    /// The distribution of its start values.
    pub initializer: Initializer,
    /// How many inputs one output of the layer sums over, and how many outputs one input reaches: what the
    /// initialisers scale by.
    pub fans: Fans,
    /// Whether training changes it. Its gradient is computed all the same.
    pub trainable: bool,
    /// A factor of the learning rate, greater than 0.
    pub rate: f64,
    /// The row, along the first axis, that starts at zero whatever the initializer says: padding's in a table.
    pub zero_row: Option<usize>,
}

impl Parameter {
    /// A parameter that is trained at the learning rate as it is.
    pub fn new(
        name: impl Into<String>,
        shape: Shape,
        role: Role,
        initializer: Initializer,
        fans: Fans,
    ) -> Self {
        Self { name: name.into(), shape, role, initializer, fans, trainable: true, rate: 1.0, zero_row: None }
    }
}

/// Fan-in and fan-out of a weight (Glorot & Bengio, 2010).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fans {
    /// Inputs that one output sums over.
    pub fan_in: usize,
    /// Outputs that one input reaches.
    pub fan_out: usize,
}

/// How many numbers the tensors hold together.
///
/// # Errors
/// [`Error::TooLarge`] if the sum exceeds the address space.
pub fn parameter_count(parameters: &[Parameter]) -> Result<usize, Error> {
    let total = parameters.iter().try_fold(0usize, |sum, parameter| sum.checked_add(parameter.shape.len()));
    // As for a shape: the byte count must fit an `isize`.
    match total.filter(|&total| total <= isize::MAX as usize / size_of::<f64>()) {
        Some(total) => Ok(total),
        None => {
            Err(Error::TooLarge { axes: parameters.iter().map(|parameter| parameter.shape.len()).collect() })
        }
    }
}

/// Fills `theta` with the start values of all tensors. Each draws from a generator of its own, derived from the seed
/// and its position in the list.
///
/// # Panics
/// If `theta` is not exactly as long as the tensors together.
pub fn initialize<F: Float>(parameters: &[Parameter], theta: &mut [F], seed: u64) {
    let mut rest = theta;
    for (index, parameter) in parameters.iter().enumerate() {
        let (own, after) = rest.split_at_mut(parameter.shape.len());
        let mut rng = crate::random::generator(seed, crate::random::Purpose::Initialization, index as u64, 0);
        parameter.initializer.fill(own, &parameter.shape, parameter.fans, &mut rng);
        if let Some(row) = parameter.zero_row {
            let width = parameter.shape.len() / parameter.shape.axes()[0];
            own[row * width..(row + 1) * width].fill(F::zero());
        }
        rest = after;
    }
    assert!(rest.is_empty(), "theta has {} numbers more than its tensors", rest.len());
}
