//! Indices that no embedding has: refused where they come from, before anything is computed with them.

use chainrule_tests::runner::Runner;

const WORDS: &str = r#"
[data]
type = "inline"
x = [[0, 1], [1, 2], [2, 0], [1, 1]]
y = [0, 1, 1, 0]

[model]
layers = [
  { type = "embedding", vocabulary = 3, units = 2 },
  { type = "flatten" },
  { type = "dense", units = 2 },
]

[loss]
type = "cross_entropy"

[optimizer]
type = "sgd"
learning_rate = 0.1

[train]
epochs = 1
"#;

#[test]
fn a_sample_to_predict_is_refused_before_training() {
    for (x, index, found) in [("[[0, 1], [0, 3]]", 1, "3"), ("[[0.5, 1]]", 0, "0.5"), ("[[-1, 1]]", 0, "-1")]
    {
        let runner = Runner::new();
        runner.write("x.toml", format!("{WORDS}\n[predict]\nx = {x}\n"));
        let ended = runner.run(["train", "x.toml", "--out", "run"]);
        assert_eq!(ended.code, 2, "{}", ended.stderr);
        let expected = format!("predict.x[{index}] holds {found} where the network takes an index");
        assert!(ended.stderr.contains(&expected) && ended.stderr.contains("x.toml:25:"), "{}", ended.stderr);
        assert_eq!(runner.entries(), ["x.toml"]);
    }
}

#[test]
fn a_row_of_a_file_to_predict_is_refused_by_its_number() {
    let runner = Runner::new();
    runner.write("x.toml", WORDS);
    runner.done(["train", "x.toml", "--out", "run"]);
    runner.write("good.csv", "0,1\n2,2\n");
    runner.done(["predict", "run", "--input", "good.csv"]);
    for bad in ["0,1\n0,3\n", "0,1\n0,0.5\n", "0,1\n-1,0\n"] {
        runner.write("bad.csv", bad);
        let ended = runner.run(["predict", "run", "--input", "bad.csv"]);
        assert_eq!(ended.code, 3, "{}", ended.stderr);
        let names = ended.stderr.contains("bad.csv") && ended.stderr.contains("sample 1 holds");
        assert!(names && ended.stderr.contains("a whole number from 0 to 2"), "{}", ended.stderr);
        assert_eq!(ended.stdout, "");
    }
}
