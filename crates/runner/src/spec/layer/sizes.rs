//! Numbers along height and width: one for both, or a list.

use std::borrow::Cow;

use chainrule_core::layers::Padding;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// `3`, or `[3, 5]` for height and width; each at least `LEAST`.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(untagged)]
pub(super) enum Sizes<const LEAST: usize> {
    Both(usize),
    Each([usize; 2]),
}

impl<const LEAST: usize> Sizes<LEAST> {
    /// `[height, width]`.
    pub(super) fn pair(self) -> [usize; 2] {
        match self {
            Self::Both(size) => [size; 2],
            Self::Each(sizes) => sizes,
        }
    }

    pub(super) fn one() -> Self {
        Self::Both(1)
    }

    pub(super) fn zero() -> Self {
        Self::Both(0)
    }
}

impl<const LEAST: usize> JsonSchema for Sizes<LEAST> {
    fn schema_name() -> Cow<'static, str> {
        format!("SizesFrom{LEAST}").into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        let size = json_schema!({ "type": "integer", "minimum": LEAST });
        json_schema!({ "anyOf": [size, { "type": "array", "items": size, "minItems": 2, "maxItems": 2 }] })
    }
}

/// The paddings that have a name.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum PaddingName {
    Same,
    Valid,
}

impl PaddingName {
    fn padding(self) -> Padding {
        match self {
            Self::Same => Padding::Same,
            Self::Valid => Padding::Cells([0, 0]),
        }
    }
}

/// The padding of a window along one axis.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum LinePadding {
    Name(PaddingName),
    Cells(usize),
}

impl LinePadding {
    pub(super) fn none() -> Self {
        Self::Cells(0)
    }

    pub(super) fn padding(self) -> Padding {
        match self {
            Self::Name(name) => name.padding(),
            Self::Cells(cells) => Padding::Cells([0, cells]),
        }
    }
}

/// The padding of a window along height and width.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(untagged)]
pub(super) enum PlanePadding {
    Name(PaddingName),
    Cells(Sizes<0>),
}

impl PlanePadding {
    pub(super) fn none() -> Self {
        Self::Cells(Sizes::zero())
    }

    pub(super) fn padding(self) -> Padding {
        match self {
            Self::Name(name) => name.padding(),
            Self::Cells(cells) => Padding::Cells(cells.pair()),
        }
    }
}

impl JsonSchema for PlanePadding {
    fn schema_name() -> Cow<'static, str> {
        "PlanePadding".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        let cells = json_schema!({ "type": "integer", "minimum": 0 });
        json_schema!({
            "anyOf": [
                { "type": "string", "enum": ["same", "valid"] },
                cells,
                { "type": "array", "items": cells, "minItems": 2, "maxItems": 2 },
            ],
        })
    }
}

/// A margin around an image: `1`, `[1, 2]` for height and width, or `[[1, 0], [2, 0]]` for top and bottom, left and
/// right.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(untagged)]
pub(super) enum Margins {
    Even(Sizes<0>),
    Sides([[usize; 2]; 2]),
}

impl Margins {
    /// Of rows, then of columns: before and after.
    pub(super) fn sides(self) -> [[usize; 2]; 2] {
        match self {
            Self::Even(sizes) => sizes.pair().map(|size| [size; 2]),
            Self::Sides(sides) => sides,
        }
    }
}

impl JsonSchema for Margins {
    fn schema_name() -> Cow<'static, str> {
        "Margins".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        let cells = json_schema!({ "type": "integer", "minimum": 0 });
        let pair =
            |items: &Schema| json_schema!({ "type": "array", "items": items, "minItems": 2, "maxItems": 2 });
        // A list of numbers or a list of lists: said of the items, so that a wrong one is shown where it stands.
        let side = json_schema!({ "anyOf": [cells, pair(&cells)] });
        json_schema!({ "anyOf": [cells, pair(&side)] })
    }
}
