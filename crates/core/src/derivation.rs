//! How the gradients of a layer, an activation or a loss come about, as text: what `runner explain` prints.
//!
//! Every type says it beside its own forward and backward, so that the words stand where the code stands and a type
//! without its derivation does not compile. In the text `d` before a name is always the derivative of the loss by it:
//! `dx` is `dL/dx`.

use crate::Shape;

/// A scalar function and its derivative, as right-hand sides: `1 / (1 + exp(-x))` and `y (1 - y)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Formula {
    /// The function.
    pub value: String,
    /// Its derivative.
    pub derivative: String,
}

impl Formula {
    /// The function `value` with the derivative `derivative`.
    pub fn new(value: impl Into<String>, derivative: impl Into<String>) -> Self {
        Self { value: value.into(), derivative: derivative.into() }
    }
}

/// What an activation or a loss does in each direction, as equations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The function: `y = f(z) = 1 / (1 + exp(-z))`; of a loss, one of its terms.
    pub function: String,
    /// Its local derivative: `f'(z) = y (1 - y)`.
    pub derivative: String,
    /// How the gradient comes through it: `dz = dy ⊙ f'(z)`.
    pub gradient: String,
    /// The slope of output `j` by the argument in its place, `f'(z_j)`, if it depends on nothing else.
    pub slope: Option<String>,
}

/// A letter of a derivation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// The letter.
    pub name: &'static str,
    /// The shape of what it stands for, of one sample.
    pub shape: Shape,
}

/// How the gradients of a layer come about, as equations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Derivation {
    /// The letters, in the order in which they appear.
    pub symbols: Vec<Symbol>,
    /// From inputs to output.
    pub forward: Vec<String>,
    /// The partial derivatives of the steps of `forward`.
    pub local: Vec<String>,
    /// Gradients of what lies between input and output, which those below are made of.
    pub between: Vec<String>,
    /// The gradient of each input, in the order of [`input_shapes`](crate::Layer::input_shapes).
    pub inputs: Vec<String>,
    /// The gradient of each tensor, in the order of [`parameters`](crate::Layer::parameters).
    pub parameters: Vec<String>,
    /// The layers that a composite is made of, with their names, from first to last.
    pub parts: Vec<(String, Self)>,
}

impl Derivation {
    /// A derivation with the letters `symbols`; equations are added to its fields.
    pub fn new<'a>(symbols: impl IntoIterator<Item = (&'static str, &'a Shape)>) -> Self {
        let symbol = |(name, shape): (_, &Shape)| Symbol { name, shape: shape.clone() };
        Self { symbols: symbols.into_iter().map(symbol).collect(), ..Self::default() }
    }
}

/// The same equation for inputs `1` to `count`; `equation` is given the number of one.
pub(crate) fn for_each_input(count: usize, equation: impl Fn(usize) -> String) -> Vec<String> {
    (1..=count).map(equation).collect()
}
