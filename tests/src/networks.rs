//! Networks of every family of layers, smooth and wide enough that their work is cut into pieces.

use chainrule_core::layers::Chain;
use chainrule_core::{Layer, Shape};
use chainrule_runner::gradcheck::build_layer;
use chainrule_runner::registry::{Number, Registry};

/// What a sample of [`attentive`] consists of: so many tokens below [`VOCABULARY`].
pub const TOKENS: usize = 24;

/// Tokens of [`attentive`] are below it.
pub const VOCABULARY: usize = 90;

/// Strided, grouped, dilated and transposed convolutions over 32 x 32 images of three channels, and a norm over the batch.
pub fn convolutional<F: Number>() -> Box<dyn Layer<F>> {
    let layers = [
        r#"type = "conv2d", filters = 24, kernel_size = 3, padding = "same""#,
        r#"type = "batch_norm""#,
        r#"type = "avg_pool2d", pool_size = 2"#,
        r#"type = "conv2d", filters = 48, kernel_size = [3, 5], stride = [2, 1], groups = 3, padding = 1"#,
        r#"type = "conv_transpose2d", filters = 12, kernel_size = 3, stride = 2"#,
        r#"type = "conv2d", filters = 20, kernel_size = 3, dilation = 2"#,
        r#"type = "flatten""#,
        r#"type = "dense", units = 40"#,
    ];
    stacked(&layers, &[3, 32, 32])
}

/// The three cells, stacked and in both directions, over 17 steps of 33 numbers.
pub fn recurrent<F: Number>() -> Box<dyn Layer<F>> {
    let layers = [
        r#"type = "lstm", units = 90, layers = 2, bidirectional = true, return_sequences = true"#,
        r#"type = "gru", units = 130, return_sequences = true"#,
        r#"type = "simple_rnn", units = 70, return_sequences = true"#,
        r#"type = "layer_norm""#,
        r#"type = "dense", units = 60"#,
    ];
    stacked(&layers, &[17, 33])
}

/// A small GPT.
pub fn attentive<F: Number>() -> Box<dyn Layer<F>> {
    let block = r#"type = "transformer_block", heads = 6, feed_forward = 384, causal = true, dropout = 0.0, norm = "pre""#;
    let embedding = format!("type = \"embedding\", vocabulary = {VOCABULARY}, units = 96");
    let head = format!("type = \"dense\", units = {VOCABULARY}");
    let layers =
        [&embedding, r#"type = "positional_embedding""#, block, block, r#"type = "rms_norm""#, &head];
    stacked(&layers, &[TOKENS])
}

/// Layers, as a file would have them, one after the other.
fn stacked<F: Number>(layers: &[&str], input: &[usize]) -> Box<dyn Layer<F>> {
    let registry = Registry::standard();
    let mut shape = Shape::new(input.to_vec()).expect("a shape");
    let mut links = Vec::new();
    for (index, keys) in layers.iter().enumerate() {
        let text = toml_lines(keys);
        let layer: Box<dyn Layer<F>> = build_layer(&registry, &text, std::slice::from_ref(&shape))
            .unwrap_or_else(|error| panic!("{keys}: {error}"));
        shape = layer.output_shape().clone();
        links.push((format!("layer_{index}"), layer));
    }
    Box::new(Chain::new(links).expect("layers that fit"))
}

/// Keys of an inline table, each on a line of its own; commas within brackets stay.
fn toml_lines(keys: &str) -> String {
    let mut depth = 0;
    let line = |character: char| {
        depth += i32::from(character == '[') - i32::from(character == ']');
        if character == ',' && depth == 0 { '\n' } else { character }
    };
    keys.chars().map(line).collect()
}
