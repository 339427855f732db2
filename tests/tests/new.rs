//! `runner new`: every template is a file that trains, and no file of the user's is lost.

use chainrule_runner::registry::Registry;
use chainrule_runner::schema;
use chainrule_tests::runner::Runner;

fn templates() -> Vec<String> {
    let listed = Runner::new().done(["list", "templates"]).stdout;
    listed.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn every_template_checks_and_learns() {
    let templates = templates();
    assert!(templates.len() >= 4, "{templates:?}");
    for template in &templates {
        let runner = Runner::new();
        let ended = runner.done(["new", "mine.toml", "--template", template]);
        assert_eq!(ended.stdout, "", "{template}");
        assert!(ended.stderr.starts_with("wrote mine.toml\n"), "{template}: {}", ended.stderr);
        runner.done(["check", "mine.toml"]);
        runner.done(["mine.toml", "--progress", "none", "--out", "run"]);
        let lines = runner.json_lines("run/metrics.jsonl");
        let loss = |index: usize| lines[index]["running_loss"].as_f64().expect("a loss");
        assert!(
            loss(lines.len() - 1) < loss(0) / 5.0,
            "{template}: from {} to {}",
            loss(0),
            loss(lines.len() - 1)
        );
    }
}

#[test]
fn every_template_validates_against_the_schema() {
    let schema = schema::published(&Registry::standard());
    let validator = jsonschema::draft202012::new(&schema).expect("a schema that compiles");
    for template in templates() {
        let runner = Runner::new();
        runner.done(["new", "mine.toml", "-q", "--template", &template]);
        let file = toml::from_str(&runner.text("mine.toml")).expect("TOML");
        assert!(validator.is_valid(&file), "{template}");
    }
}

#[test]
fn a_file_that_is_there_is_replaced_by_force_only() {
    let runner = Runner::new();
    runner.write("mine.toml", "mine");
    let ended = runner.run(["new", "mine.toml"]);
    assert_eq!(ended.code, 2);
    assert!(
        ended.stderr.contains("mine.toml exists") && ended.stderr.contains("--force"),
        "{}",
        ended.stderr
    );
    assert_eq!(runner.text("mine.toml"), "mine");
    runner.done(["new", "mine.toml", "--force"]);
    assert!(runner.text("mine.toml").starts_with("#:schema "));
}

#[test]
fn an_unknown_template_and_a_missing_folder_are_errors() {
    let runner = Runner::new();
    let ended = runner.run(["new", "mine.toml", "--template", "regresion"]);
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("'regression'"), "{}", ended.stderr);
    assert_eq!(runner.run(["new", "nowhere/mine.toml"]).code, 1);
    assert_eq!(runner.entries(), [""; 0]);
}
