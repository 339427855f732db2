//! The shape of one sample, without the batch axis.

use std::fmt;

use crate::Error;

/// The lengths of the axes of one sample or one parameter, outermost first; data NCHW, rows row-major.
///
/// Every axis is at least 1 and the product fits a `usize`: both are checked when a shape is made, so that
/// no later size computation on it can be zero or overflow.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Shape {
    axes: Vec<usize>,
    len: usize,
}

impl Shape {
    /// A shape of the given axes.
    ///
    /// # Errors
    /// [`Error::EmptyShape`] without axes or with an axis of length 0, [`Error::TooLarge`] if the product overflows.
    pub fn new(axes: impl Into<Vec<usize>>) -> Result<Self, Error> {
        let axes = axes.into();
        if axes.is_empty() || axes.contains(&0) {
            return Err(Error::EmptyShape { axes });
        }
        // A byte count of the shape must fit an `isize` too: Rust's own limit for one allocation.
        let len = axes.iter().try_fold(1usize, |product, &axis| product.checked_mul(axis));
        match len.filter(|&len| len <= isize::MAX as usize / size_of::<f64>()) {
            Some(len) => Ok(Self { axes, len }),
            None => Err(Error::TooLarge { axes }),
        }
    }

    /// A shape of one axis.
    ///
    /// # Errors
    /// As [`Shape::new`].
    pub fn vector(len: usize) -> Result<Self, Error> {
        Self::new([len])
    }

    /// The axes, outermost first.
    pub fn axes(&self) -> &[usize] {
        &self.axes
    }

    /// How many numbers a sample of this shape has; never 0.
    #[allow(clippy::len_without_is_empty)] // No shape is empty.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The length of the innermost axis.
    pub fn last(&self) -> usize {
        self.axes[self.axes.len() - 1]
    }

    /// The same shape with another innermost axis.
    ///
    /// # Errors
    /// As [`Shape::new`].
    pub fn with_last(&self, last: usize) -> Result<Self, Error> {
        let mut axes = self.axes.clone();
        axes.pop();
        axes.push(last);
        Self::new(axes)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.axes)
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multiplies_its_axes() {
        let shape = Shape::new([3, 28, 28]).unwrap();
        assert_eq!((shape.len(), shape.last()), (2352, 28));
        assert_eq!(shape.to_string(), "[3, 28, 28]");
        assert_eq!(shape.with_last(7).unwrap().axes(), [3, 28, 7]);
    }

    #[test]
    fn refuses_what_no_memory_holds() {
        assert!(matches!(Shape::new([1 << 40, 1 << 40]), Err(Error::TooLarge { .. })));
        assert!(matches!(Shape::new([usize::MAX]), Err(Error::TooLarge { .. })));
        assert!(matches!(Shape::new([3, 0]), Err(Error::EmptyShape { .. })));
        assert!(matches!(Shape::new([]), Err(Error::EmptyShape { .. })));
    }
}
