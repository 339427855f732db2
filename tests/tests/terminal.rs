//! What stands in files, in their names and in arguments reaches a person as words: no sequence moves a cursor, sets a
//! title or turns a line round. Data for programs are exact.

use chainrule_tests::runner::{Ended, GENDER, Runner, XOR};
use chainrule_tests::untrusted::is_harmless;

/// Clears the screen, rings, colours by a C1 control, reverses.
const HOSTILE: &str = "\u{1b}[2J\u{7}\u{9b}31m\u{202e}";

/// The same in a TOML or JSON string.
const ESCAPED: &str = "\\u001b[2J\\u0007\\u009b31m\\u202e";

/// XOR whose labels, features and names of samples are hostile.
fn hostile_labels() -> String {
    let text = XOR.replace("\"equal\"", &format!("\"{ESCAPED}equal\""));
    let text = text.replace("[\"a\", \"b\"]", &format!("[\"{ESCAPED}a\", \"b\\nc\"]"));
    let text = text.replace("\"0 xor 0\"", &format!("\"{ESCAPED}\\n0 xor 0\""));
    let text = text.replace("name = \"xor\"", "name = \"x\\u202eor\"");
    assert_eq!(text.matches(ESCAPED).count(), 4, "{text}");
    format!("{text}\n[metrics]\nreport = [\"accuracy\", \"confusion_matrix\"]\n")
}

#[track_caller]
fn assert_harmless(ended: &Ended) {
    assert!(is_harmless(&ended.stdout), "{:?}", ended.stdout);
    assert!(is_harmless(&ended.stderr), "{:?}", ended.stderr);
}

#[test]
fn every_verb_shows_hostile_names_as_words() {
    let runner = Runner::new();
    let (file, run) = (format!("{HOSTILE}.toml"), format!("{HOSTILE}run"));
    runner.write(&file, hostile_labels());
    let verbs: [&[&str]; 8] = [
        &["check", &file],
        &["summary", &file],
        &["explain", &file],
        &["explain", &file, "--sample", "0"],
        &["gradcheck", &file],
        &["train", &file, "--out", &run, "-v"],
        &["train", &file, "--out", &format!("{run}2"), "--progress", "json"],
        &["eval", &run],
    ];
    for arguments in verbs {
        assert_harmless(&runner.done(arguments));
    }
    let ended = runner.done(["eval", &run]);
    assert!(ended.stdout.contains("\\u{1b}[2J\\u{7}\\u{9b}31m\\u{202e}equal"), "{}", ended.stdout);
}

#[test]
fn every_mistake_shows_hostile_text_as_words() {
    let runner = Runner::new();
    let texts = [
        format!("{GENDER}\n[\"{ESCAPED}\"]\n"),
        GENDER.replace("\"hidden\"", &format!("\"{ESCAPED}\"")),
        GENDER.replace("\"gender\"", &format!("\"{ESCAPED}\"")),
        GENDER.replace("\"sigmoid\"", &format!("\"{ESCAPED}\"")),
        GENDER.replace("[loss]", &format!("# {HOSTILE}\nx = 1 # {HOSTILE}\n[loss]")),
        format!("extends = \"{ESCAPED}\"\n{GENDER}"),
        GENDER.replace("[model]", &format!("[model]\ninitial_weights = \"{ESCAPED}\"")),
        HOSTILE.to_owned(),
    ];
    for text in texts {
        runner.write("x.toml", &text);
        for verb in ["check", "summary", "train", "explain"] {
            if !matches!(verb, "check" | "train") && text.contains("initial_weights") {
                continue; // They take no start weights.
            }
            let ended = runner.run([verb, "x.toml"]);
            assert_ne!(ended.code, 0, "{verb} {text}");
            assert_harmless(&ended);
        }
    }
    for arguments in [
        vec!["list", "layers", HOSTILE],
        vec!["list", HOSTILE],
        vec!["check", HOSTILE],
        vec!["check", "x.toml", HOSTILE],
        vec!["check", "x.toml", "--set", HOSTILE],
        vec![HOSTILE],
        vec!["predict", HOSTILE, "--input", HOSTILE],
        vec!["eval", HOSTILE],
        vec!["new", "x.toml", "--template", HOSTILE],
    ] {
        let ended = runner.run(&arguments);
        assert_ne!(ended.code, 0, "{arguments:?}");
        assert_harmless(&ended);
    }
}

#[test]
fn names_of_tensors_and_pieces_of_a_header_are_shown_as_words() {
    let runner = Runner::new();
    let text = "[model]\ninitial_weights = \"w.safetensors\"";
    runner.write("x.toml", GENDER.replace("[model]", text));
    for header in [
        format!("{{\"{ESCAPED}\":{{\"dtype\":\"F64\",\"shape\":[],\"data_offsets\":[0,8]}}}}"),
        format!("{{\"hidden.weight\":{{\"dtype\":\"{ESCAPED}\",\"shape\":[],\"data_offsets\":[0,8]}}}}"),
        format!("{{\"__metadata__\":{{\"chainrule\":\"{ESCAPED}\"}}}}"),
        HOSTILE.to_owned(),
    ] {
        let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 8]].concat();
        runner.write("w.safetensors", bytes);
        for arguments in [&["check", "x.toml"][..], &["predict", "w.safetensors", "--input", "x.toml"]] {
            let ended = runner.run(arguments);
            assert_ne!(ended.code, 0, "{header}");
            assert_harmless(&ended);
        }
    }
}

/// A run on a CSV file whose columns and labels are hostile.
fn csv_run() -> Runner {
    let runner = Runner::new();
    let rows = format!("{HOSTILE}a,b,y\n1,2,{HOSTILE}\n3,4,dog\n5,6,{HOSTILE}\n7,8,dog\n");
    runner.write("x.csv", rows);
    let (_, rest) = XOR.split_once("[model]\n").expect("model");
    let (rest, _) = rest.split_once("[predict]").expect("predict");
    let metrics = "[metrics]\nreport = [\"confusion_matrix\"]\n";
    let data = "[data]\ntype = \"csv\"\npath = \"x.csv\"\ntarget = \"y\"\nscale = \"standard\"\n";
    runner.write("x.toml", format!("{data}[model]\n{rest}{metrics}"));
    assert_harmless(&runner.done(["train", "x.toml", "--out", "run"]));
    runner
}

#[test]
fn what_a_csv_file_says_is_shown_as_words_and_predicted_as_it_is() {
    let runner = csv_run();
    assert_harmless(&runner.done(["eval", "run"]));
    let ended = runner.done(["predict", "run", "--input", "x.csv"]);
    assert!(is_harmless(&ended.stderr), "{:?}", ended.stderr);
    // A program that reads the table must find the label that it knows.
    assert!(ended.stdout.lines().nth(1).is_some_and(|row| row.starts_with(HOSTILE)), "{:?}", ended.stdout);
    let ended = runner.done(["predict", "run", "--input", "x.csv", "--format", "jsonl"]);
    assert_harmless(&ended);
    let rows = chainrule_tests::runner::json_lines(&ended.stdout);
    assert_eq!(rows[0]["class"], HOSTILE);
    for rows in [format!("{HOSTILE}c,b\n1,2\n"), format!("{HOSTILE}a,b\n{HOSTILE},2\n")] {
        runner.write("bad.csv", rows);
        let ended = runner.run(["predict", "run", "--input", "bad.csv"]);
        assert_eq!(ended.code, 3, "{}", ended.stderr);
        assert_harmless(&ended);
    }
}
