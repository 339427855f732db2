//! Parameters as safetensors, with PyTorch's names, shapes and orders.

use std::collections::HashMap;

use chainrule_core::{Float, Parameter};
use safetensors::tensor::{Dtype, SafeTensorError, TensorView};
use safetensors::{SafeTensors, serialize};

use crate::suggest;

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

/// The file of the parameters `theta`, with `metadata` if the model describes itself. Equal parameters give equal
/// bytes.
///
/// # Errors
/// [`WeightsError::Format`] if the library refuses.
pub fn encode<F: Float>(
    parameters: &[Parameter],
    theta: &[F],
    metadata: Option<String>,
) -> Result<Vec<u8>, WeightsError> {
    let mut bytes = Vec::with_capacity(theta.len() * F::BYTES);
    F::append_le_bytes(theta, &mut bytes);
    let dtype = if F::BYTES == 8 { Dtype::F64 } else { Dtype::F32 };
    let mut views = Vec::with_capacity(parameters.len());
    let mut rest = bytes.as_slice();
    for parameter in parameters {
        let (own, after) = rest.split_at(parameter.shape.len() * F::BYTES);
        rest = after;
        views.push((&parameter.name, TensorView::new(dtype, parameter.shape.axes().to_vec(), own)?));
    }
    let metadata = metadata.map(|text| HashMap::from([(METADATA_KEY.to_owned(), text)]));
    Ok(serialize(views, metadata)?)
}

/// Fills `theta` from a file whose tensors are exactly `parameters`; f32 and f64 are converted to the network's numbers.
///
/// # Errors
/// The first tensor that is missing, unexpected, of another shape, of another kind of number or not finite.
pub fn decode<F: Float>(bytes: &[u8], parameters: &[Parameter], theta: &mut [F]) -> Result<(), WeightsError> {
    let file = SafeTensors::deserialize(bytes)?;
    let known = |name: &str| parameters.iter().any(|parameter| parameter.name == name);
    let mut names = file.names();
    names.sort_unstable();
    let mut rest = theta;
    for parameter in parameters {
        let (own, after) = rest.split_at_mut(parameter.shape.len());
        rest = after;
        let tensor = file.tensor(&parameter.name).map_err(|_| missing(parameter, &names))?;
        read_tensor(&parameter.name, &tensor, parameter, own)?;
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

fn missing(parameter: &Parameter, names: &[&str]) -> WeightsError {
    let near = suggest::nearest(&parameter.name, names.iter().copied());
    let hint = near.map_or_else(String::new, |near| format!("; the nearest name there is `{near}`"));
    WeightsError::Missing { name: parameter.name.clone(), shape: parameter.shape.to_string(), hint }
}

fn read_tensor<F: Float>(
    name: &str,
    tensor: &TensorView<'_>,
    parameter: &Parameter,
    values: &mut [F],
) -> Result<(), WeightsError> {
    if tensor.shape() != parameter.shape.axes() {
        let (found, expected) = (tensor.shape().to_vec(), parameter.shape.to_string());
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
