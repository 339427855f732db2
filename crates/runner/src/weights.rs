//! Parameters as safetensors, with PyTorch's names, shapes and orders.

use std::collections::HashMap;

use chainrule_core::{Buffer, Float, Parameter, Shape, initial_buffers};
use chainrule_trainer::Values;
use safetensors::tensor::{Dtype, SafeTensorError, TensorView};
use safetensors::{SafeTensors, serialize};

use crate::suggest;

/// The numbers of a network: what it has learnt and what it has measured.
#[derive(Clone, Debug)]
pub struct Weights<F> {
    /// The parameters.
    pub theta: Vec<F>,
    /// The buffers: running statistics.
    pub buffers: Vec<F>,
}

impl<F: Float> Weights<F> {
    /// Room for the numbers of these tensors.
    pub(crate) fn zeros(parameters: usize, buffers: &[Buffer]) -> Self {
        Self { theta: vec![F::zero(); parameters], buffers: initial_buffers(buffers) }
    }

    /// The numbers, to be read.
    pub fn values(&self) -> Values<'_, F> {
        Values { theta: &self.theta, buffers: &self.buffers }
    }

    /// All numbers as bytes, parameters first.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity((self.theta.len() + self.buffers.len()) * F::BYTES);
        F::append_le_bytes(&self.theta, &mut bytes);
        F::append_le_bytes(&self.buffers, &mut bytes);
        bytes
    }
}

/// The tensors of a network, in the order of its numbers.
#[derive(Clone, Copy, Debug)]
pub struct Tensors<'a> {
    /// Those that are learnt.
    pub parameters: &'a [Parameter],
    /// Those that are measured.
    pub buffers: &'a [Buffer],
}

impl<'a> Tensors<'a> {
    fn iter(self) -> impl Iterator<Item = (&'a str, &'a Shape)> {
        let parameters = self.parameters.iter().map(|parameter| (parameter.name.as_str(), &parameter.shape));
        parameters.chain(self.buffers.iter().map(|buffer| (buffer.name.as_str(), &buffer.shape)))
    }
}

/// The key of the file's metadata under which a model describes itself.
const METADATA_KEY: &str = "chainrule";

/// Tensor names that PyTorch writes and that hold nothing to load.
const IGNORED_SUFFIX: &str = "num_batches_tracked";

/// Why weights cannot be taken from a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// Not a safetensors file, or a damaged one.
    #[error("this is not a whole safetensors file: {0}")]
    Format(#[from] SafeTensorError),
    /// A tensor that the network has is not in the file.
    #[error("the network's `{name}` {shape} is not in the file{hint}")]
    Missing {
        /// The tensor.
        name: String,
        /// Its shape in the network.
        shape: String,
        /// The nearest name that is there.
        hint: String,
    },
    /// A tensor of the file that the network does not have.
    #[error("the file's `{name}` is not in the network")]
    Unexpected {
        /// The tensor.
        name: String,
    },
    /// A tensor of another shape.
    #[error("`{name}` is {found:?} in the file, but {expected} in the network")]
    Shape {
        /// The tensor.
        name: String,
        /// Its shape in the file.
        found: Vec<usize>,
        /// Its shape in the network.
        expected: String,
    },
    /// A tensor of numbers that are neither f32 nor f64.
    #[error("`{name}` holds {found:?}; only F32 and F64 can be loaded")]
    Dtype {
        /// The tensor.
        name: String,
        /// What it holds.
        found: Dtype,
    },
    /// A number of a tensor that is NaN or infinite as the network's kind of number.
    #[error("`{name}` holds a number that is not finite")]
    NotFinite {
        /// The tensor.
        name: String,
    },
}

/// The file of `weights`, with `metadata` if the model describes itself. Equal parameters give equal
/// bytes.
///
/// # Errors
/// [`WeightsError::Format`] if the library refuses.
pub fn encode<F: Float>(
    tensors: Tensors<'_>,
    weights: &Weights<F>,
    metadata: Option<String>,
) -> Result<Vec<u8>, WeightsError> {
    let bytes = weights.to_bytes();
    let dtype = if F::BYTES == 8 { Dtype::F64 } else { Dtype::F32 };
    let mut views = Vec::new();
    let mut rest = bytes.as_slice();
    for (name, shape) in tensors.iter() {
        let (own, after) = rest.split_at(shape.len() * F::BYTES);
        rest = after;
        views.push((name, TensorView::new(dtype, shape.axes().to_vec(), own)?));
    }
    let metadata = metadata.map(|text| HashMap::from([(METADATA_KEY.to_owned(), text)]));
    Ok(serialize(views, metadata)?)
}

/// Fills `weights` from a file whose tensors are exactly `tensors`; f32 and f64 are converted to the network's numbers.
///
/// # Errors
/// The first tensor that is missing, unexpected, of another shape, of another kind of number or not finite.
pub fn decode<F: Float>(
    bytes: &[u8],
    tensors: Tensors<'_>,
    weights: &mut Weights<F>,
) -> Result<(), WeightsError> {
    let file = SafeTensors::deserialize(bytes)?;
    let known = |name: &str| tensors.iter().any(|(own, _)| own == name);
    let mut names = file.names();
    names.sort_unstable();
    let (mut theta, mut buffers) = (weights.theta.as_mut_slice(), weights.buffers.as_mut_slice());
    for (index, (name, shape)) in tensors.iter().enumerate() {
        let is_parameter = index < tensors.parameters.len();
        let rest = if is_parameter { &mut theta } else { &mut buffers };
        let own = rest.split_off_mut(..shape.len()).expect("weights hold the numbers of their tensors");
        let tensor = file.tensor(name).map_err(|_| missing(name, shape, &names))?;
        read_tensor(name, &tensor, shape, own)?;
    }
    match names.iter().find(|name| !known(name) && !name.ends_with(IGNORED_SUFFIX)) {
        Some(&name) => Err(WeightsError::Unexpected { name: name.to_owned() }),
        None => Ok(()),
    }
}

/// What the model says of itself, if it does.
///
/// # Errors
/// [`WeightsError::Format`].
pub fn metadata(bytes: &[u8]) -> Result<Option<String>, WeightsError> {
    let (_, header) = SafeTensors::read_metadata(bytes)?;
    Ok(header.metadata().as_ref().and_then(|metadata| metadata.get(METADATA_KEY)).cloned())
}

fn missing(name: &str, shape: &Shape, names: &[&str]) -> WeightsError {
    let near = suggest::nearest(name, names.iter().copied());
    let hint = near.map_or_else(String::new, |near| format!("; the nearest name there is `{near}`"));
    WeightsError::Missing { name: name.to_owned(), shape: shape.to_string(), hint }
}

fn read_tensor<F: Float>(
    name: &str,
    tensor: &TensorView<'_>,
    shape: &Shape,
    values: &mut [F],
) -> Result<(), WeightsError> {
    if tensor.shape() != shape.axes() {
        let (found, expected) = (tensor.shape().to_vec(), shape.to_string());
        return Err(WeightsError::Shape { name: name.to_owned(), found, expected });
    }
    match tensor.dtype() {
        Dtype::F32 => {
            let (chunks, _) = tensor.data().as_chunks::<4>();
            let numbers = chunks.iter().map(|bytes| F::of(f64::from(f32::from_le_bytes(*bytes))));
            values.iter_mut().zip(numbers).for_each(|(value, number)| *value = number);
        }
        Dtype::F64 => {
            let (chunks, _) = tensor.data().as_chunks::<8>();
            let numbers = chunks.iter().map(|bytes| F::of(f64::from_le_bytes(*bytes)));
            values.iter_mut().zip(numbers).for_each(|(value, number)| *value = number);
        }
        found => return Err(WeightsError::Dtype { name: name.to_owned(), found }),
    }
    match values.iter().all(|value| value.is_finite()) {
        true => Ok(()),
        false => Err(WeightsError::NotFinite { name: name.to_owned() }),
    }
}
