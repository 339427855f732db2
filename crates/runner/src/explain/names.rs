//! What outputs and parameters are called: `h1`, `w1` as on a blackboard in small nets, by layer and index in others.

use chainrule_core::{Parameter, Role, Shape};

use super::Stage;

/// Up to this many parameters and outputs, they are numbered like the notebook's.
const BLACKBOARD: usize = 12;

/// The names of everything that a derivative can be taken of or by.
#[derive(Debug)]
pub(super) struct Names {
    /// For every layer, of each output; without them, the layer's name and an index do.
    units: Option<Vec<Vec<String>>>,
    /// Of each parameter, if they are numbered.
    parameters: Option<Vec<String>>,
}

impl Names {
    pub(super) fn new(stages: &[Stage], parameters: &[Parameter]) -> Self {
        let count = parameters.iter().map(|tensor| tensor.shape.len()).fold(0, usize::saturating_add);
        let outputs = stages.iter().map(Stage::width).fold(0, usize::saturating_add);
        if count > BLACKBOARD || outputs > BLACKBOARD {
            return Self { units: None, parameters: None };
        }
        Self { units: Some(numbered_units(stages)), parameters: Some(numbered_parameters(parameters)) }
    }

    /// The name of output `unit` of a layer.
    pub(super) fn unit(&self, stages: &[Stage], stage: usize, unit: usize) -> String {
        match &self.units {
            Some(units) => units[stage][unit].clone(),
            None => format!("{}{}", stages[stage].name, position(stages[stage].layer.output_shape(), unit)),
        }
    }

    /// The names of a whole layer's outputs, if they have names of their own: `h1, h2`.
    pub(super) fn units_of(&self, stage: usize) -> Option<String> {
        self.units.as_ref().map(|units| units[stage].join(", "))
    }

    /// The name of parameter `flat`, which is number `index` of `tensor`: the short one, and the one by tensor.
    pub(super) fn parameter(&self, tensor: &Parameter, index: usize, flat: usize) -> (String, String) {
        let full = format!("{}{}", tensor.name, position(&tensor.shape, index));
        match &self.parameters {
            Some(names) if !names[flat].is_empty() => (names[flat].clone(), full),
            _ => (full.clone(), full),
        }
    }
}

/// `y`, or `y1, y2`, for the network's outputs, `h1, h2, h3` for all others in the order of the layers.
fn numbered_units(stages: &[Stage]) -> Vec<Vec<String>> {
    let last = stages.len() - 1;
    let mut hidden = 0;
    let mut name = |stage: usize, unit: usize, width: usize| match (stage == last, width) {
        (true, 1) => "y".to_owned(),
        (true, _) => format!("y{}", unit + 1),
        (false, _) => {
            hidden += 1;
            format!("h{hidden}")
        }
    };
    let of_stage = |(index, stage): (usize, &Stage)| {
        (0..stage.width()).map(|unit| name(index, unit, stage.width())).collect()
    };
    stages.iter().enumerate().map(of_stage).collect()
}

/// `w1, w2 ...` for weights and `b1, b2 ...` for biases, in the order of the layers; none for other kinds.
fn numbered_parameters(parameters: &[Parameter]) -> Vec<String> {
    let (mut weights, mut biases) = (0, 0);
    let mut names = Vec::new();
    for tensor in parameters {
        for _ in 0..tensor.shape.len() {
            let (letter, count) = match tensor.role {
                Role::Weight => ("w", &mut weights),
                Role::Bias => ("b", &mut biases),
                _ => {
                    names.push(String::new());
                    continue;
                }
            };
            *count += 1;
            names.push(format!("{letter}{count}"));
        }
    }
    names
}

/// The place of number `index` in a tensor: `[0,1]`.
fn position(shape: &Shape, index: usize) -> String {
    let mut rest = index;
    let mut indices: Vec<String> = Vec::new();
    for axis in shape.axes().iter().rev() {
        indices.push((rest % axis).to_string());
        rest /= axis;
    }
    indices.reverse();
    format!("[{}]", indices.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_counts_the_last_axis_fastest() {
        let shape = Shape::new([2, 3, 4]).unwrap();
        assert_eq!(position(&shape, 0), "[0,0,0]");
        assert_eq!(position(&shape, 23), "[1,2,3]");
        assert_eq!(position(&shape, 5), "[0,1,1]");
    }
}
