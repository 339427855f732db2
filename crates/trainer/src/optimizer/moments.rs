//! What Adam's relatives are all told.

/// The settings that AMSGrad, NAdam and Adamax share with Adam; by default Adam's, PyTorch's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moments {
    /// `β₁`, the share of the gradient's old mean that is kept: at least 0 and less than 1.
    pub beta1: f64,
    /// `β₂`, the same of the mean of its square, or of what stands in its place.
    pub beta2: f64,
    /// `ε`, so that nothing is divided by zero.
    pub epsilon: f64,
    /// `λ`, the weight decay: L2 added to the gradient.
    pub weight_decay: f64,
}

impl Default for Moments {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0 }
    }
}
