//! The explanation as text, for a terminal of 100 columns.

use std::fmt::Write;

use super::numbers::{LayerNumbers, ParameterNumbers, SampleNumbers, Target, TensorNumbers, Vector};
use super::product::{Derivative, Term};
use super::{Equations, Explanation, LayerFormulas, LossFormulas};

const WIDTH: usize = 100;

/// Where the equations of a layer start.
const INDENT: usize = 13;

/// The explanation as text, without a last newline.
pub fn render(explanation: &Explanation) -> String {
    let mut text = String::new();
    heading(&mut text, explanation);
    let numbers = explanation.sample.as_ref();
    for (index, layer) in explanation.layers.iter().enumerate() {
        layer_text(&mut text, layer, numbers.map(|numbers| &numbers.layers[index]));
    }
    loss_text(&mut text, explanation);
    if let Some(numbers) = numbers {
        chain_text(&mut text, numbers);
    }
    text.trim_end().to_owned()
}

fn heading(text: &mut String, explanation: &Explanation) {
    let Explanation { name, parameters, layers, input, .. } = explanation;
    let path: Vec<&str> = layers.iter().map(|layer| layer.name.as_str()).collect();
    line(text, 0, &format!("{name}: input {input:?}, {} layers, {parameters} parameters", layers.len()));
    match explanation.sample.as_ref() {
        Some(sample) => {
            line(
                text,
                0,
                &format!(
                    "training sample {} (of 0 to {}), at the start weights:",
                    sample.index,
                    sample.of - 1
                ),
            );
            equation(text, "", &format!("x = {}", vector(&sample.x)));
            for (target, loss) in sample.targets.iter().zip(&explanation.losses) {
                let of = loss.output.as_ref().map_or_else(String::new, |output| format!(" of {output}"));
                let target = match target {
                    Target::Values(values) => vector(values),
                    Target::Classes { indices, labels } if labels.is_empty() => format!("class {indices:?}"),
                    Target::Classes { indices, labels } => format!("class {indices:?} {labels:?}"),
                };
                equation(text, "", &format!("t{of} = {target}"));
            }
        }
        None => line(text, 0, "`--sample N` puts in the numbers of training sample N."),
    }
    text.push('\n');
    line(
        text,
        0,
        "`d` before a name is the derivative of the loss by it: dx = dL/dx. `⊙` is number by number.",
    );
    if path.len() > 1 && path.len() <= 8 {
        line(text, 0, &format!("Forward {}, loss; backward the other way round.", path.join(", ")));
    }
    text.push('\n');
}

fn layer_text(text: &mut String, layer: &LayerFormulas, numbers: Option<&LayerNumbers>) {
    let wiring = format!("reads {}; read by {}", layer.reads.join(", "), layer.read_by.join(", "));
    line(text, 0, &format!("== {} ({})   {wiring}", layer.name, layer.kind));
    if let Some(outputs) = &layer.outputs {
        equation(text, "outputs", outputs);
    }
    equations_text(text, &layer.equations, 0);
    if let Some(numbers) = numbers {
        let several = numbers.inputs.len() > 1;
        let mut lines: Vec<String> = Vec::new();
        for (index, input) in numbers.inputs.iter().enumerate() {
            let number = if several { format!("_{}", index + 1) } else { String::new() };
            lines.push(format!("x{number} = {}", vector(input)));
        }
        lines.push(format!("y = {}", vector(&numbers.y)));
        lines.push(format!("dy = {}", vector(&numbers.dy)));
        lines.extend(numbers.dx.as_ref().map(|dx| format!("dx = {}", vector(dx))));
        group(text, "numbers", &lines);
    }
    text.push('\n');
}

fn equations_text(text: &mut String, equations: &Equations, depth: usize) {
    let symbols: Vec<String> =
        equations.symbols.iter().map(|(name, shape)| format!("{name} {shape:?}")).collect();
    if !symbols.is_empty() {
        equation(text, "shapes", &symbols.join("   "));
    }
    group(text, "forward", &equations.forward);
    group(text, "local", &equations.local);
    let gradients = equations.inputs.iter().chain(&equations.parameters);
    let with_shape = |(equation, shape): &(String, Vec<usize>)| match shape.is_empty() {
        true => equation.clone(),
        false => format!("{}  {shape:?}", pad(equation, 24)),
    };
    let lines: Vec<String> = equations.between.iter().cloned().chain(gradients.map(with_shape)).collect();
    group(text, "backward", &lines);
    for (name, part) in &equations.parts {
        line(text, 2, &format!("{} {name}", "-".repeat(depth + 1)));
        equations_text(text, part, depth + 1);
    }
}

fn loss_text(text: &mut String, explanation: &Explanation) {
    for loss in &explanation.losses {
        let of = loss.output.as_ref().map_or_else(String::new, |output| format!(" of {output}"));
        line(text, 0, &format!("== loss{of} ({})", loss.kind));
        equation(text, "forward", &loss.function);
        equation(text, "local", &loss.derivative);
        equation(text, "backward", &loss.gradient);
        if let Some(note) = &loss.note {
            equation(text, "note", note);
        }
    }
    if let [_, _, ..] = &explanation.losses[..] {
        let weighted = |loss: &LossFormulas| {
            format!("{} L_{}", number(loss.weight), loss.output.as_deref().unwrap_or_default())
        };
        let terms: Vec<String> = explanation.losses.iter().map(weighted).collect();
        line(text, 0, "== loss");
        equation(text, "forward", &format!("L = {}", terms.join(" + ")));
        equation(text, "backward", "dy of each output = its weight · that of its loss");
    }
    if let Some(sample) = &explanation.sample {
        let dy = sample.layers.last().map(|layer| format!("dy = {}", vector(&layer.dy)));
        let lines = [format!("y = {}", vector(&sample.y)), format!("L = {}", number(sample.loss))];
        group(text, "numbers", &lines.into_iter().chain(dy).collect::<Vec<_>>());
    }
    text.push('\n');
}

fn chain_text(text: &mut String, sample: &SampleNumbers) {
    line(text, 0, "== chain rule, factor by factor, from the loss down");
    for layer in sample.layers.iter().rev() {
        if layer.units.is_empty() {
            continue;
        }
        text.push('\n');
        layer.units.iter().for_each(|unit| derivative_text(text, unit));
        if layer.left_out > 0 {
            line(text, 2, &format!("... and {} more outputs of {}", layer.left_out, layer.name));
        }
    }
    for tensor in &sample.tensors {
        text.push('\n');
        tensor_text(text, tensor, sample.learning_rate);
    }
}

fn tensor_text(text: &mut String, tensor: &TensorNumbers, learning_rate: f64) {
    let TensorNumbers { name, shape, norm, parameters, left_out } = tensor;
    line(text, 0, &format!("-- {name} {shape:?}, |dL/d{name}| = {}", number(*norm)));
    for parameter in parameters {
        text.push('\n');
        parameter_text(text, parameter, learning_rate);
    }
    if *left_out > 0 {
        let shown = parameters.len();
        text.push('\n');
        line(
            text,
            2,
            &format!("... and {left_out} more; the {shown} with the largest derivatives are shown"),
        );
    }
}

fn parameter_text(text: &mut String, parameter: &ParameterNumbers, learning_rate: f64) {
    let ParameterNumbers { symbol, name, value, backward, difference, updated, .. } = parameter;
    if symbol != name {
        line(text, 2, &format!("{symbol} = {name} = {}", number(*value)));
    } else {
        line(text, 2, &format!("{name} = {}", number(*value)));
    }
    match &parameter.derivative {
        Some(derivative) => derivative_text(text, derivative),
        None => {
            let message = "the layer has too many outputs to write out its factors";
            line(text, 2, &format!("dL/d{symbol}: {message}"));
        }
    }
    line(text, 4, &format!("matrix backward pass  {}", number(*backward)));
    line(text, 4, &format!("central difference    {}", number(*difference)));
    let step = format!("update                {symbol} - η dL/d{symbol}");
    let slope = factor(parameter.slope());
    let numbers = format!("= {} - {} * {slope}", number(*value), number(learning_rate));
    if step.chars().count() + numbers.chars().count() + 5 <= WIDTH {
        line(text, 4, &format!("{step} {numbers}"));
    } else {
        line(text, 4, &step);
        line(text, 26, &numbers);
    }
    line(text, 26, &format!("= {}", number(*updated)));
    if let Some(stepped) = parameter.optimizer {
        line(text, 4, &format!("optimizer's step      {}", number(stepped)));
    }
}

/// `dL/dw1 = dL/dy * dy/dh1 * dh1/dw1`, the numbers below, the value below that; a term a line in a sum.
fn derivative_text(text: &mut String, derivative: &Derivative) {
    let Derivative { name, terms, rest, value } = derivative;
    let margin = 2 + name.chars().count();
    let names = |term: &Term| term.factors.iter().map(|factor| factor.name.clone()).collect::<Vec<_>>();
    let values = |term: &Term| term.factors.iter().map(|each| factor(each.value)).collect::<Vec<_>>();
    match (terms.as_slice(), rest) {
        ([], _) if *value == 0.0 => line(text, 2, &format!("{name} = 0, as there is no path to the loss")),
        ([], _) => line(text, 2, &format!("{name} = {}, from the loss", number(*value))),
        ([only], None) => {
            product(text, &format!("  {name} = "), margin, &names(only));
            product(text, &format!("{} = ", " ".repeat(margin)), margin, &values(only));
            line(text, margin, &format!(" = {}", number(*value)));
        }
        (several, rest) => {
            for (index, term) in several.iter().enumerate() {
                let lead = match index {
                    0 => format!("  {name} = "),
                    _ => format!("{} + ", " ".repeat(margin)),
                };
                let both = format!("{} = {}", names(term).join(" * "), values(term).join(" * "));
                if lead.chars().count() + both.chars().count() <= WIDTH {
                    line(text, 0, &format!("{lead}{both}"));
                } else {
                    product(text, &lead, margin, &names(term));
                    product(text, &format!("{} = ", " ".repeat(margin + 2)), margin + 2, &values(term));
                }
            }
            if let Some(rest) = rest {
                line(text, margin, &format!(" + {} smaller terms = {}", rest.terms, factor(rest.value)));
            }
            line(text, margin, &format!(" = {}", number(*value)));
        }
    }
}

/// Factors joined by ` * `, broken before one that does not fit.
fn product(text: &mut String, lead: &str, margin: usize, factors: &[String]) {
    let mut current = lead.to_owned();
    for (index, factor) in factors.iter().enumerate() {
        let joined = if index == 0 { factor.clone() } else { format!(" * {factor}") };
        if index > 0 && current.chars().count() + joined.chars().count() > WIDTH {
            line(text, 0, &current);
            current = format!("{} * {factor}", " ".repeat(margin));
        } else {
            current.push_str(&joined);
        }
    }
    line(text, 0, &current);
}

/// A labelled list of equations, the label on the first line.
fn group(text: &mut String, label: &str, equations: &[String]) {
    for (index, content) in equations.iter().enumerate() {
        equation(text, if index == 0 { label } else { "" }, content);
    }
}

/// One equation, broken at blanks where it is too long.
fn equation(text: &mut String, label: &str, content: &str) {
    let mut current = format!("  {}", pad(label, INDENT - 2));
    let mut is_empty = true;
    for word in content.split(' ') {
        if !is_empty && current.chars().count() + 1 + word.chars().count() > WIDTH {
            line(text, 0, &current);
            current = " ".repeat(INDENT + 2);
            is_empty = true;
        }
        if !is_empty {
            current.push(' ');
        }
        current.push_str(word);
        is_empty = false;
    }
    line(text, 0, &current);
}

fn pad(text: &str, width: usize) -> String {
    format!("{text:<width$}")
}

fn line(text: &mut String, indent: usize, content: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{}{}", " ".repeat(indent), content.trim_end());
}

/// All digits: read back, it is the same number.
fn number(value: f64) -> String {
    let size = value.abs();
    match value {
        _ if value == 0.0 => "0".into(),
        _ if (1e-4..1e16).contains(&size) || !value.is_finite() => format!("{value}"),
        _ => format!("{value:e}"),
    }
}

fn factor(value: f64) -> String {
    format!("({})", number(value))
}

/// Six digits of each number; a long vector is cut off and has its norm.
fn vector(vector: &Vector) -> String {
    let rounded = |&value: &f64| number(format!("{value:.5e}").parse().unwrap_or(value));
    let values: Vec<String> = vector.values.iter().map(rounded).collect();
    match vector.len > values.len() {
        true => {
            format!("[{}, ...] ({} numbers, norm {})", values.join(", "), vector.len, rounded(&vector.norm))
        }
        false => format!("[{}]", values.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_back_as_they_were() {
        for value in [0.1, -3.0, 1e-9, 123456789.125, 1.0 / 3.0, 5e-324, 1e300, -0.0] {
            assert_eq!(number(value).parse::<f64>().unwrap(), value);
        }
    }

    #[test]
    fn a_long_product_breaks_before_a_factor() {
        let mut text = String::new();
        product(&mut text, "  dL/dw = ", 7, &vec!["(0.12345678901234567)".to_owned(); 6]);
        assert_eq!(text.lines().count(), 2);
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH));
        assert!(text.lines().nth(1).unwrap().starts_with("        * ("), "{text}");
    }

    #[test]
    fn a_long_vector_says_how_long_it_is() {
        let long = Vector { len: 784, values: vec![0.5, 1.0 / 3.0], norm: 2.0 };
        assert_eq!(vector(&long), "[0.5, 0.333333, ...] (784 numbers, norm 2)");
    }
}
