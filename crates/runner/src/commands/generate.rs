//! `runner generate`: a text model of a run continues a prompt.

use chainrule_core::random::{self, Purpose, Rng};
use ndarray_rand::rand::Rng as _;

use super::print_data;
use crate::cli::GenerateArgs;
use crate::console::Console;
use crate::data::Vocabulary;
use crate::error::Failure;
use crate::memory;
use crate::predictor::{Card, Predictor};
use crate::registry::{Number, Registry};
use crate::session::read_weights;
use crate::spec::Dtype;

/// Continues the prompt, token by token.
///
/// # Errors
/// [`Failure::Run`] if the model is none of a text, [`Failure::Usage`] if the prompt cannot be continued.
pub fn run(arguments: &GenerateArgs, registry: &Registry, console: Console) -> Result<(), Failure> {
    let model = super::predict::model_path(&arguments.run.run)?;
    let unfit =
        |error: &dyn std::fmt::Display| Failure::Run { path: model.clone(), message: error.to_string() };
    let bytes = read_weights(&model, 1 << 32).map_err(|_| unfit(&"there is no readable model"))?;
    let card = Card::of(&bytes).map_err(|error| unfit(&error))?;
    let vocabulary = card.preprocessing.vocabulary.clone();
    let vocabulary = vocabulary.ok_or_else(|| unfit(&"the model was not trained on data of type `text`"))?;
    let prompt = tokens_of(&vocabulary, &arguments.prompt)?;
    let context = card.preprocessing.inputs;
    let text = match card.dtype {
        Dtype::F32 => {
            let predictor = Predictor::<f32>::load(&bytes, registry).map_err(|error| unfit(&error))?;
            Writer::new(predictor, context, vocabulary.len())
                .and_then(|writer| writer.write(prompt, arguments))
        }
        Dtype::F64 => {
            let predictor = Predictor::<f64>::load(&bytes, registry).map_err(|error| unfit(&error))?;
            Writer::new(predictor, context, vocabulary.len())
                .and_then(|writer| writer.write(prompt, arguments))
        }
    };
    let tokens = text.map_err(|message| unfit(&message))?;
    print_data(console, &vocabulary.text(&tokens))
}

/// The tokens of the prompt.
fn tokens_of(vocabulary: &Vocabulary, prompt: &str) -> Result<Vec<usize>, Failure> {
    let usage = |message: String, help: &str| Failure::Usage { message, help: help.into() };
    if prompt.is_empty() {
        let help = "a model foretells what follows: give it a beginning, such as --prompt \"The \"";
        return Err(usage("--prompt is empty".into(), help));
    }
    vocabulary.tokens(prompt).map_err(|unknown| {
        let help =
            format!("the model knows {} characters: {}", vocabulary.len(), vocabulary.names().concat());
        let message = format!("--prompt has {unknown:?}, which is none of the characters of the model");
        usage(message, &crate::diagnostic::visible(&help))
    })
}

/// A model that foretells the token after every position of its context.
struct Writer<F> {
    predictor: Predictor<F>,
    context: usize,
    tokens: usize,
}

impl<F: Number> Writer<F> {
    fn new(predictor: Predictor<F>, context: usize, tokens: usize) -> Result<Self, String> {
        if context.checked_mul(tokens) != Some(predictor.width()) {
            return Err(format!(
                "the model gives {} numbers a sample, not the probabilities of {tokens} tokens after each of {context} positions",
                predictor.width()
            ));
        }
        memory::require(predictor.memory(1)).map_err(|needs| format!("a token needs {needs}"))?;
        Ok(Self { predictor, context, tokens })
    }

    /// The prompt and what follows it; what is wrong, if the network has fewer indices than the vocabulary has tokens.
    fn write(mut self, prompt: Vec<usize>, arguments: &GenerateArgs) -> Result<Vec<usize>, String> {
        let mut rng = random::generator(arguments.seed, Purpose::Generate, 0, 0);
        let mut text = prompt;
        for _ in 0..arguments.tokens {
            let probabilities = self.next(&text)?;
            text.push(choose(
                &probabilities,
                arguments.temperature,
                arguments.top_k.map(|k| k as usize),
                &mut rng,
            ));
        }
        Ok(text)
    }

    /// The probabilities of the token after `text`, of which the model sees the end that fits its context.
    ///
    /// What stands behind the text in the context does not matter to a causal network: no position sees later ones.
    fn next(&mut self, text: &[usize]) -> Result<Vec<f64>, String> {
        let seen = &text[text.len().saturating_sub(self.context)..];
        let mut row: Vec<f64> = seen.iter().map(|&token| token as f64).collect();
        row.resize(self.context, 0.0);
        let outputs = self.predictor.predict(row).map_err(|error| error.to_string())?;
        let last = seen.len() - 1;
        Ok(outputs[last * self.tokens..(last + 1) * self.tokens].to_vec())
    }
}

/// Draws a token from `p^(1/temperature)`, the softmax of the scores divided by the temperature, among the `top_k` most
/// probable; at temperature 0 it is the most probable, the first of equal ones.
fn choose(probabilities: &[f64], temperature: f64, top_k: Option<usize>, rng: &mut Rng) -> usize {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
    order.truncate(top_k.unwrap_or(usize::MAX).max(1));
    if temperature == 0.0 {
        return order[0];
    }
    // Relative to the highest, so that no power of all of them is zero.
    let highest = probabilities[order[0]];
    let weight = |&token: &usize| (probabilities[token] / highest).powf(temperature.recip());
    let weights: Vec<f64> = order.iter().map(weight).collect();
    let mut left = rng.random::<f64>() * weights.iter().sum::<f64>();
    for (&token, weight) in order.iter().zip(weights) {
        left -= weight;
        if left < 0.0 {
            return token;
        }
    }
    // Rounding can leave a rest; the most probable is never wrong.
    order[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    const P: [f64; 4] = [0.1, 0.6, 0.3, 0.0];

    fn shares(temperature: f64, top_k: Option<usize>) -> [f64; 4] {
        let mut rng = random::generator(1, Purpose::Generate, 0, 0);
        let mut counts = [0.0; 4];
        for _ in 0..20_000 {
            counts[choose(&P, temperature, top_k, &mut rng)] += 1.0 / 20_000.0;
        }
        counts
    }

    fn assert_near(found: [f64; 4], expected: [f64; 4]) {
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 0.02, "{found} for {expected}");
        }
    }

    #[test]
    fn draws_by_probability_sharpened_by_temperature() {
        assert_near(shares(1.0, None), P);
        // Squares: 0.01, 0.36, 0.09 of 0.46.
        assert_near(shares(0.5, None), [0.01 / 0.46, 0.36 / 0.46, 0.09 / 0.46, 0.0]);
        assert_near(shares(1e-3, None), [0.0, 1.0, 0.0, 0.0]);
        assert_eq!(shares(0.0, None)[0], 0.0);
    }

    #[test]
    fn draws_among_the_most_probable() {
        assert_near(shares(1.0, Some(2)), [0.0, 2.0 / 3.0, 1.0 / 3.0, 0.0]);
        assert_near(shares(1.0, Some(1)), [0.0, 1.0, 0.0, 0.0]);
    }
}
