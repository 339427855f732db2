//! Texts as data: vocabulary, parts in order, prediction of the next character, mistakes.

use chainrule_tests::runner::{Ended, Runner};

#[track_caller]
fn assert_fails(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!(ended.code, code, "{}", ended.stderr);
    for word in words {
        assert!(ended.stderr.contains(word), "`{word}` is not in: {}", ended.stderr);
    }
}

const LETTERS: &str = r#"name = "letters"

[data]
type = "text"
path = "letters.txt"
context = 4

[model]
input_shape = [4, 1]
layers = [{ type = "dense", units = 3 }]

[loss]
type = "cross_entropy"

[optimizer]
type = "sgd"
learning_rate = 0.1

[train]
epochs = 3
batch_size = 8

[metrics]
report = ["accuracy"]
"#;

fn letters() -> Runner {
    let runner = Runner::new();
    runner.write("letters.toml", LETTERS);
    runner.write("letters.txt", "aab".repeat(33) + "é");
    runner
}

fn check(runner: &Runner, changes: &[&str]) -> Ended {
    runner.run(
        ["check", "letters.toml"].into_iter().chain(changes.iter().flat_map(|&change| ["--set", change])),
    )
}

#[test]
fn parts_are_cut_from_the_end_in_order() {
    let runner = letters();
    // 100 characters: 70, 20 and 10, in samples of 4 and one more to foretell.
    let ended = check(&runner, &["data.validation=0.2", "data.test=0.1"]);
    assert!(ended.stdout.contains("17 training samples, 4 validation, 2 test"), "{}", ended.stdout);
    let ended = check(&runner, &["data.stride=1"]);
    assert!(ended.stdout.contains("96 training samples"), "{}", ended.stdout);
    let ended = check(&runner, &["data.limit=9"]);
    assert!(ended.stdout.contains("2 training samples"), "{}", ended.stdout);
    let ended = check(&runner, &["data.test=0.04"]);
    assert_fails(&ended, 2, &["the test part has 4 of the 100 tokens, but a sample and its target take 5"]);
}

#[test]
fn predict_names_the_next_character() {
    let runner = letters();
    runner.done(["train", "letters.toml", "--out", "run"]);
    let model = String::from_utf8_lossy(&runner.bytes("run/model.safetensors")).into_owned();
    assert!(model.contains("abé"), "{model}");
    runner.write("new.txt", "abaabbabéa");
    let ended = runner.done(["predict", "run", "--input", "new.txt"]);
    assert!(ended.stdout.starts_with("class,p_a,p_b,p_é\n"), "{}", ended.stdout);
    assert_eq!(ended.stdout.lines().count(), 3, "{}", ended.stdout);
    assert!(ended.stderr.contains("the last 2 tokens"), "{}", ended.stderr);
    runner.write("new.txt", "abaxbb");
    assert_fails(&runner.run(["predict", "run", "--input", "new.txt"]), 3, &["character 4 is 'x'"]);
    runner.write("new.txt", "ab");
    assert_fails(
        &runner.run(["predict", "run", "--input", "new.txt"]),
        3,
        &["there are 2 tokens, but the model takes 4"],
    );
    // The text has another character now.
    runner.write("letters.txt", "aabc".repeat(25));
    assert_fails(&runner.run(["eval", "run"]), 5, &["trained on a text of other characters"]);
}

#[test]
fn bytes_are_a_vocabulary_of_256_and_paths_are_one_text() {
    let runner = letters();
    runner.write("more.txt", [0xff, 0x00, 0x61]);
    let changes = [
        "data={ type = \"text\", paths = [\"letters.txt\", \"more.txt\"], level = \"byte\", context = 4 }",
        "model.layers.0.units=256",
    ];
    let ended = check(&runner, &changes);
    // 100 characters, of which one has two bytes, and three bytes more.
    assert!(ended.stdout.contains("25 training samples"), "{}{}", ended.stdout, ended.stderr);
}

#[test]
fn what_does_not_fit_is_named() {
    let runner = letters();
    let units = check(&runner, &["model.layers.0.units=5"]);
    assert_fails(&units, 2, &["the text has 3 different tokens", "units = 3", "letters.toml:6:11"]);
    let flat = check(&runner, &["model.input_shape=[4]"]);
    assert_fails(&flat, 2, &["its shape must be [4, 3]: a score for every token at every position"]);
    let scaled = check(&runner, &["data.scale=\"center\"", "loss.type=\"mse\""]);
    assert_fails(&scaled, 2, &["cannot be scaled", "remove `scale`", "use the loss `cross_entropy`"]);
    assert_fails(&check(&runner, &["data.paths=[\"b\"]"]), 2, &["data.path and data.paths are both there"]);
    runner.write("letters.txt", b"ab\xffab".as_slice());
    assert_fails(&check(&runner, &[]), 3, &["the byte after the first 2 is not UTF-8"]);
    runner.write("letters.txt", "");
    assert_fails(&check(&runner, &[]), 3, &["there is no text"]);
    runner.write("letters.txt", "ab");
    assert_fails(&check(&runner, &[]), 2, &["the training part has 2 of the 2 tokens"]);
}
