//! `[lr_schedule]`, clipping, `trainable` and `lr_mult` as a run shows them.

use chainrule_tests::runner::{GENDER, Runner};
use safetensors::SafeTensors;
use serde_json::Value as Json;

/// `gender.toml` with its optimiser's and its hidden layer's keys added to, and tables at its end.
fn gender(optimizer: &str, hidden: &str, tables: &str) -> String {
    let text = GENDER
        .replace("learning_rate = 0.1", &format!("learning_rate = 0.1\n{optimizer}"))
        .replace("name = \"hidden\",", &format!("name = \"hidden\", {hidden}"));
    assert!(text.contains(optimizer) && text.contains(hidden));
    format!("{text}\n{tables}\n")
}

struct Run {
    metrics: Vec<Json>,
    model: Vec<u8>,
}

impl Run {
    /// Trains the text for a few epochs.
    fn of(text: &str, epochs: u64) -> Self {
        let runner = Runner::new();
        runner.write("x.toml", text);
        let epochs = format!("train.epochs={epochs}");
        runner.done(["train", "x.toml", "--out", "run", "--set", &epochs, "--set", "train.log_every=1"]);
        let lines = std::fs::read_to_string(runner.path("run/metrics.jsonl")).expect("metrics");
        let metrics = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        Self { metrics, model: std::fs::read(runner.path("run/model.safetensors")).expect("a model") }
    }

    fn tensor(&self, name: &str) -> Vec<f64> {
        let tensors = SafeTensors::deserialize(&self.model).expect("safetensors");
        let (chunks, _) = tensors.tensor(name).expect(name).data().as_chunks::<8>();
        chunks.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect()
    }

    fn rates(&self) -> Vec<f64> {
        self.metrics.iter().map(|line| line["learning_rate"].as_f64().expect("a number")).collect()
    }
}

/// How far a tensor of `one` is from that of `other`.
fn distance(one: &Run, other: &Run, name: &str) -> f64 {
    let pairs = one.tensor(name).into_iter().zip(other.tensor(name));
    pairs.map(|(one, other)| (one - other).powi(2)).sum::<f64>().sqrt()
}

#[test]
fn the_logged_learning_rate_is_that_of_the_epochs_last_step() {
    // Four samples in batches of one: four steps an epoch.
    let schedule = "[lr_schedule]\ntype = \"step\"\nevery_epochs = 1\nfactor = 0.5\nwarmup_steps = 4";
    let rates = Run::of(&gender("", "", schedule), 4).rates();
    assert_eq!(rates, [0.1 * 0.75, 0.1, 0.05, 0.025]);
    let rates = Run::of(&gender("", "", "[lr_schedule]\ntype = \"linear\""), 2).rates();
    assert_eq!(rates.len(), 2);
    for (found, expected) in rates.iter().zip([0.1 * 5.0 / 8.0, 0.1 / 8.0]) {
        assert!((found - expected).abs() < 1e-15, "{rates:?}");
    }
}

#[test]
fn a_constant_schedule_is_none() {
    let plain = Run::of(GENDER, 3);
    let constant = Run::of(&gender("", "", "[lr_schedule]\ntype = \"constant\""), 3);
    assert_eq!(plain.tensor("hidden.weight"), constant.tensor("hidden.weight"));
}

#[test]
fn a_frozen_layer_stays_as_it_was_drawn_whatever_the_optimizer() {
    let other = |optimizer: &str| gender(optimizer, "trainable = false,", "");
    let start = Run::of(&gender("", "lr_mult = 1e-300,", ""), 1);
    let adamw = other("").replace("type = \"sgd\"", "type = \"adamw\"");
    assert!(adamw.contains("adamw"));
    for text in [other("weight_decay = 0.1"), other("momentum = 0.9\nclip_grad_norm = 0.1"), adamw] {
        let trained = Run::of(&text, 5);
        for name in ["hidden.weight", "hidden.bias"] {
            assert_eq!(trained.tensor(name), start.tensor(name), "{name}");
        }
        assert!(distance(&trained, &start, "output.weight") > 1e-3);
    }
}

#[test]
fn a_layers_factor_scales_its_steps_alone() {
    let once = |hidden: &str| {
        Run::of(&gender("clip_grad_value = 1e9", hidden, "").replace("batch_size = 1", "batch_size = 4"), 1)
    };
    let start = Run::of(
        &gender("", "lr_mult = 1e-300,", "").replace("learning_rate = 0.1", "learning_rate = 1e-300"),
        1,
    );
    let (whole, half) = (once(""), once("lr_mult = 0.5,"));
    let ratio = distance(&half, &start, "hidden.weight") / distance(&whole, &start, "hidden.weight");
    assert!((ratio - 0.5).abs() < 1e-9, "{ratio}");
    assert_eq!(half.tensor("output.weight"), whole.tensor("output.weight"));
}

#[test]
fn a_clipped_step_is_no_longer_than_the_norm() {
    let once = |optimizer: &str, rate: &str| {
        let text = gender(optimizer, "", "").replace("batch_size = 1", "batch_size = 4");
        Run::of(&text.replace("learning_rate = 0.1", &format!("learning_rate = {rate}")), 1)
    };
    let start = once("", "1e-300");
    let length = |run: &Run| {
        let names = ["hidden.weight", "hidden.bias", "output.weight", "output.bias"];
        names.map(|name| distance(run, &start, name).powi(2)).iter().sum::<f64>().sqrt()
    };
    let (free, clipped) = (length(&once("", "0.1")), length(&once("clip_grad_norm = 0.001", "0.1")));
    assert!(free > 2e-4, "{free}");
    assert!((clipped / 1e-4 - 1.0).abs() < 2e-3, "{clipped}");
}

#[test]
fn a_group_has_the_rate_and_the_decay_that_it_names() {
    let group = |keys: &str| format!("[[optimizer.groups]]\nlayers = [\"hidden\"]\n{keys}");
    let tables =
        |optimizer: &str, hidden: &str, keys: &str| Run::of(&gender(optimizer, hidden, &group(keys)), 5);
    let names = ["hidden.weight", "hidden.bias", "output.weight", "output.bias"];
    let (own, factor) =
        (tables("", "", "learning_rate = 0.05"), Run::of(&gender("", "lr_mult = 0.5,", ""), 5));
    names.iter().for_each(|name| assert_eq!(own.tensor(name), factor.tensor(name), "{name}"));
    let all = Run::of(&gender("weight_decay = 1e-3", "", ""), 5);
    let without = tables("weight_decay = 1e-3", "", "weight_decay = 0.0");
    assert!(distance(&without, &all, "hidden.weight") > 0.0);
    let of_hidden = tables("", "", "weight_decay = 1e-3");
    let decayed = group("weight_decay = 1e-3");
    let each = format!("{decayed}\n{}", decayed.replace("hidden", "output"));
    let of_both = Run::of(&gender("", "", &each), 5);
    names.iter().for_each(|name| assert_eq!(of_both.tensor(name), all.tensor(name), "{name}"));
    assert!(distance(&of_hidden, &all, "output.weight") > 0.0);
}

#[test]
fn no_row_of_a_weight_is_longer_than_the_limit() {
    let run = Run::of(&gender("max_norm = 0.3", "", ""), 5);
    for name in ["hidden.weight", "output.weight"] {
        for row in run.tensor(name).chunks(2) {
            let norm = row.iter().map(|w| w * w).sum::<f64>().sqrt();
            assert!(norm <= 0.3 * (1.0 + 1e-12), "{name}: {norm}");
        }
    }
    let free = Run::of(&gender("", "", ""), 5);
    assert!(distance(&run, &free, "hidden.weight") > 0.1);
}

#[test]
fn an_l1_norm_pulls_weights_towards_zero() {
    let sum = |optimizer: &str| {
        let run = Run::of(&gender(optimizer, "", ""), 50);
        let weights = ["hidden.weight", "output.weight"].map(|name| run.tensor(name)).concat();
        (weights.iter().map(|w| w.abs()).sum::<f64>(), run.tensor("output.bias")[0])
    };
    let (plain, some, much) = (sum(""), sum("l1 = 0.01"), sum("l1 = 1.0\nweight_decay_on = \"weights\""));
    assert!(some.0 < plain.0 && much.0 < 2.0, "{plain:?} {some:?} {much:?}");
}
