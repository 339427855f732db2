//! The equations of attention as text.

use super::MultiHeadAttention;
use crate::{Derivation, Layer, Shape, Symbol};

/// What each projection is called: its result, its input, its part of the weight.
const PROJECTIONS: [[&str; 3]; 3] = [["Q", "x_q", "W_q"], ["K", "x_k", "W_k"], ["V", "x_v", "W_v"]];

pub(super) fn of(layer: &MultiHeadAttention) -> Derivation {
    // Which of the inputs each projection reads.
    let (inputs, reads): (&[&str], [usize; 3]) = match layer.inputs.len() {
        1 => (&["x"], [0, 0, 0]),
        2 => (&["x", "m"], [0, 1, 1]),
        _ => (&["x_q", "x_k", "x_v"], [0, 1, 2]),
    };
    let input = |projection: usize| inputs[reads[projection]];
    let mut derivation = Derivation { symbols: symbols(layer, inputs), ..Derivation::default() };

    let bias = |letter: &str| if layer.bias { format!(" + {letter}") } else { String::new() };
    for (index, [p, _, w]) in PROJECTIONS.into_iter().enumerate() {
        let b = bias(["b_q", "b_k", "b_v"][index]);
        derivation.forward.push(format!("{p} = {} {w}ᵀ{b}", input(index)));
    }
    let seen = if layer.heads.is_causal { "over the keys j ≤ i" } else { "over all keys j" };
    derivation.forward.extend([
        "S = σ Q Kᵀ a head,  σ = 1/√c".to_owned(),
        format!("a_ij = exp(s_ij) / Σ_l exp(s_il), {seen} that are no padding"),
        "O = A V a head".to_owned(),
        format!("y = O Uᵀ{}", bias("u")),
    ]);
    derivation.local = vec![
        "∂a_il/∂s_ij = a_il ([l = j] - a_ij)".into(),
        "∂o_ic/∂a_ij = v_jc   ∂o_ic/∂v_jc = a_ij".into(),
        "∂s_ij/∂q_ic = σ k_jc   ∂s_ij/∂k_jc = σ q_ic".into(),
    ];
    derivation.between = vec![
        "dO = dy U".into(),
        "dA = dO Vᵀ,  dV = Aᵀ dO".into(),
        "ds_ij = σ a_ij (da_ij - Σ_c do_ic o_ic)".into(),
        "dQ = dS K,  dK = dSᵀ Q".into(),
    ];
    for (index, name) in inputs.iter().enumerate() {
        let term = |(projection, [p, _, w]): (usize, [&str; 3])| {
            (reads[projection] == index).then(|| format!("d{p} {w}"))
        };
        let terms: Vec<String> = PROJECTIONS.into_iter().enumerate().filter_map(term).collect();
        derivation.inputs.push(format!("d{name} = {}", terms.join(" + ")));
    }
    let stacked = |term: &dyn Fn(usize, &str) -> String| {
        let terms = PROJECTIONS.into_iter().enumerate().map(|(index, [p, ..])| term(index, p));
        terms.collect::<Vec<_>>().join("; ")
    };
    derivation.parameters.push(format!("dW = [{}]", stacked(&|index, p| format!("d{p}ᵀ {}", input(index)))));
    if layer.bias {
        derivation.parameters.push(format!("db = [{}]", stacked(&|_, p| format!("Σ_rows d{p}"))));
    }
    derivation.parameters.push("dU = dyᵀ O".into());
    if layer.bias {
        derivation.parameters.push("du = Σ_rows dy".into());
    }
    derivation
}

fn symbols(layer: &MultiHeadAttention, inputs: &[&'static str]) -> Vec<Symbol> {
    let heads = &layer.heads;
    let shape = |axes: &[usize]| Shape::new(axes).expect("checked by new");
    let symbol = |(&name, shape): (&&'static str, &Shape)| Symbol { name, shape: shape.clone() };
    let mut symbols: Vec<Symbol> = inputs.iter().zip(&layer.inputs).map(symbol).collect();
    let letters: &[&'static str] = if layer.bias { &["W", "b", "U", "u"] } else { &["W", "U"] };
    let tensors = Layer::<f64>::parameters(layer);
    symbols.extend(
        letters.iter().zip(&tensors).map(|(&name, tensor)| Symbol { name, shape: tensor.shape.clone() }),
    );
    let output = layer.inputs[0].clone();
    symbols.push(Symbol { name: "A", shape: shape(&[heads.count, heads.queries, heads.keys]) });
    symbols.extend(["O", "y"].map(|name| Symbol { name, shape: output.clone() }));
    symbols
}
