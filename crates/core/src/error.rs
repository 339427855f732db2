//! What can be wrong with a network when it is put together; afterwards nothing can fail.

use crate::Shape;

/// Why a layer, a network or an objective cannot be built.
///
/// The text names what is wrong and what would be right; whoever read the sizes from a file adds the place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A shape has no axes, or an axis of length zero.
    #[error("the shape {axes:?} holds no numbers; every axis must be at least 1")]
    EmptyShape {
        /// The axes as given.
        axes: Vec<usize>,
    },
    /// The number of elements of a shape exceeds the address space.
    #[error("the shape {axes:?} has more elements than memory can hold")]
    TooLarge {
        /// The axes as given.
        axes: Vec<usize>,
    },
    /// A network without layers.
    #[error("a network needs at least one layer")]
    NoLayers,
    /// A layer was given the wrong number of inputs.
    #[error("{layer} takes {expected}, but is given {found}")]
    InputCount {
        /// The kind of layer.
        layer: &'static str,
        /// How many inputs it takes, in words.
        expected: &'static str,
        /// How many it was given.
        found: usize,
    },
    /// Inputs that must agree in shape do not.
    #[error("{layer} needs inputs of {need}, but they are {first} and {other}")]
    InputShapes {
        /// The kind of layer.
        layer: &'static str,
        /// What must agree.
        need: &'static str,
        /// Shape of the first input.
        first: Shape,
        /// Shape of the first input that does not agree with it.
        other: Shape,
    },
    /// Two layers of a network do not fit.
    #[error("layer \"{layer}\" takes {expected}, but \"{source_name}\" gives {found}")]
    ShapeMismatch {
        /// The layer that was built for another input.
        layer: String,
        /// The shape it takes.
        expected: Shape,
        /// Where its input comes from.
        source_name: String,
        /// The shape that comes from there.
        found: Shape,
    },
    /// A node of a graph refers to a node that does not come before it.
    #[error("layer \"{layer}\" reads from a layer that does not come before it")]
    Order {
        /// The layer with the bad reference.
        layer: String,
    },
    /// A node of a graph feeds no other node and is not the output.
    #[error("nothing uses the output of layer \"{layer}\"")]
    Unused {
        /// The layer whose output is lost.
        layer: String,
    },
    /// Two layers of a network share a name.
    #[error("two layers are named \"{name}\"")]
    DuplicateName {
        /// The name that is taken.
        name: String,
    },
    /// A layer cannot use the parameters of another.
    #[error("layer \"{layer}\" needs tensors {needs}, but \"{source_name}\", which it is tied to, has {has}")]
    Tie {
        /// The layer that has no parameters of its own.
        layer: String,
        /// The shapes of the tensors that it needs.
        needs: String,
        /// The layer that it is tied to.
        source_name: String,
        /// The shapes of the tensors there.
        has: String,
    },
    /// A key of a layer has a value that does not go with its input or its other keys.
    #[error("{layer}: {message}")]
    Layer {
        /// The kind of layer.
        layer: &'static str,
        /// What does not fit, with the numbers, and what would.
        message: String,
    },
    /// Padding cannot be followed through a layer that changes the number of positions.
    #[error("padding is marked for {marked} positions, but a layer that skips it goes over {found}")]
    Positions {
        /// Positions of the mask.
        marked: usize,
        /// Positions of the layer.
        found: usize,
    },
    /// A factor of the learning rate that is not a number greater than 0.
    #[error(
        "the factor of the learning rate must be a number greater than 0; to train nothing, freeze the layer"
    )]
    RateFactor,
    /// A loss cannot judge outputs of this shape.
    #[error("{loss} needs {need}, but the network gives {found}")]
    LossShape {
        /// The kind of loss.
        loss: &'static str,
        /// What it needs, in words.
        need: &'static str,
        /// The shape of the network's output.
        found: Shape,
    },
}
