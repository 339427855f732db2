//! The two number types of a network, behind one trait.

use std::iter::Sum;

use ndarray::NdFloat;

use crate::elementary::Coefficients;
use crate::matmul::Kernel;
use crate::simd::Fusing;

/// `f32` or `f64`: everything that layers, losses and optimisers ask of a number.
///
/// Sealed: the kernels are tested for these two types and no other.
pub trait Float: NdFloat + Sum + Coefficients + Fusing + Kernel + sealed::Sealed {
    /// The name of the type in experiment files: `"f32"` or `"f64"`.
    const NAME: &'static str;

    /// Bytes of one number in memory and in files.
    const BYTES: usize = size_of::<Self>();

    /// The number of this type nearest to `value`.
    fn of(value: f64) -> Self;

    /// The same number as `f64`; exact for both types.
    fn as_f64(self) -> f64;

    /// Appends the little-endian bytes of `values` to `bytes`.
    fn append_le_bytes(values: &[Self], bytes: &mut Vec<u8>);

    /// Fills `values` from their little-endian bytes.
    ///
    /// # Panics
    /// If `bytes` does not hold `values.len() * Self::BYTES` bytes.
    fn read_le_bytes(values: &mut [Self], bytes: &[u8]);
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

macro_rules! impl_float {
    ($type:ty, $name:literal) => {
        impl Float for $type {
            const NAME: &'static str = $name;

            #[inline]
            fn of(value: f64) -> Self {
                value as Self
            }

            #[inline]
            fn as_f64(self) -> f64 {
                f64::from(self)
            }

            fn append_le_bytes(values: &[Self], bytes: &mut Vec<u8>) {
                bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            }

            fn read_le_bytes(values: &mut [Self], bytes: &[u8]) {
                assert_eq!(bytes.len(), values.len() * Self::BYTES, "a byte for every byte of every value");
                let (chunks, _) = bytes.as_chunks::<{ size_of::<$type>() }>();
                for (value, chunk) in values.iter_mut().zip(chunks) {
                    *value = Self::from_le_bytes(*chunk);
                }
            }
        }
    };
}

impl_float!(f32, "f32");
impl_float!(f64, "f64");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_the_way_through_bytes() {
        let values = [1.5f32, -0.0, f32::MIN_POSITIVE, f32::MAX];
        let mut bytes = Vec::new();
        f32::append_le_bytes(&values, &mut bytes);
        let mut back = [0.0f32; 4];
        f32::read_le_bytes(&mut back, &bytes);
        assert_eq!(values.map(f32::to_bits), back.map(f32::to_bits));
    }
}
