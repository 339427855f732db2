//! Hostile experiments and CSV files: reading them, checking them and building what they ask for never takes more
//! memory than their size justifies, whatever numbers stand in them, and never panics.
//!
//! The bounds are wide (a tree of a TOML file takes some dozen bytes a byte of text, three times over); what they find
//! is an allocation of a size that a file *says*: 2^40 units, 10^9 epochs, a batch of 2^60.

use std::time::{Duration, Instant};

use chainrule_runner::registry::Registry;
use chainrule_tests::measured::{Measured, peak};
use chainrule_tests::runner::{GENDER, Runner, XOR, check};

/// What the program takes for itself: the schema, the registry, the text of a hundred messages.
const BASE: usize = 8 << 20;

/// Bytes for each byte of a file.
const PER_BYTE: usize = 400;

/// No file of these takes longer; a slow machine has time enough.
const PATIENCE: Duration = Duration::from_secs(20);

#[global_allocator]
static ALLOCATOR: Measured = Measured;

struct Bench {
    runner: Runner,
    registry: Registry,
}

impl Bench {
    fn new() -> Self {
        Self { runner: Runner::new(), registry: Registry::standard() }
    }

    /// Checks a file, and that it took no more memory than its size and `more` bytes of data files justify.
    #[track_caller]
    fn check(&self, text: &[u8], more: usize) -> u8 {
        self.runner.write("x.toml", text);
        let start = Instant::now();
        let (bytes, code) = peak(|| check(&self.runner.path("x.toml"), &self.registry));
        let allowed = BASE + PER_BYTE * (text.len() + more);
        let shown = String::from_utf8_lossy(&text[..text.len().min(300)]).into_owned();
        assert!(bytes <= allowed, "{bytes} bytes, not {allowed}, for {} bytes:\n{shown}", text.len());
        assert!(start.elapsed() < PATIENCE, "{:?} for\n{shown}", start.elapsed());
        code
    }
}

fn gender(from: &str, to: &str) -> String {
    assert_eq!(GENDER.matches(from).count(), 1, "{from}");
    GENDER.replace(from, to)
}

#[test]
fn numbers_in_a_file_take_no_memory() {
    let bench = Bench::new();
    let cases = [
        ("units = 2", "units = 1099511627776", 2),
        ("units = 2", "units = 9223372036854775807", 2),
        ("epochs     = 1000", "epochs = 1000000000", 0),
        ("epochs     = 1000", "epochs = 9223372036854775807", 0),
        ("batch_size = 1", "batch_size = 1152921504606846976", 0),
        ("log_every  = 10", "log_every = 9223372036854775807", 0),
        ("[model]\n", "[model]\ninput_shape = [4294967296, 4294967296]\n", 2),
        ("[model]\n", "[model]\ninput_shape = [1, 1, 1, 1, 1, 1, 1, 2]\n", 0),
        ("seed  = 42", "seed = 9223372036854775807", 0),
        ("[train]", "[runtime]\nthreads = 1024\n[train]", 0),
        ("y = [[1], [0], [0], [1]]", "y = [4294967295, 0, 0, 1]", 2),
    ];
    for (from, to, code) in cases {
        assert_eq!(bench.check(gender(from, to).as_bytes(), 0), code, "{to}");
    }
    // The number of classes is that of the last layer, not of the largest index.
    let labels = "[\"equal\", \"different\", \"different\", \"equal\"]";
    assert_eq!(bench.check(XOR.replace(labels, "[0, 1, 4294967295, 0]").as_bytes(), 0), 2);
}

#[test]
fn what_is_long_or_deep_takes_what_it_is_long() {
    const MANY: usize = 100_000;
    let bench = Bench::new();
    let name = "x".repeat(1 << 20);
    let layer = "{ type = \"dense\", units = 1 },\n";
    let unknown: String = (0..MANY).map(|index| format!("key_{index} = {index}\n")).collect();
    let tables: String = (0..20_000).map(|index| format!("[table_{index}]\n")).collect();
    let texts = [
        format!("a = {}", "[".repeat(MANY)),
        format!("a = {}", "{ a = ".repeat(MANY)),
        format!("a{} = 1", ".a".repeat(MANY)),
        format!("[{}a]", "a.".repeat(MANY)),
        gender("\"gender\"", &format!("\"{name}\"")),
        gender("\"hidden\"", &format!("\"{name}\"")),
        gender("\"mse\"", &format!("\"{name}\"")),
        gender("learning_rate", &name),
        gender("[train]\n", &format!("[train]\n{unknown}")),
        format!("{GENDER}\n{tables}"),
        gender("[[50, 168], [77, 173]]", &format!("[{}]", "[1],".repeat(MANY))),
        gender("x = [[54, 168], ", &format!("x = [{}", "[1], ".repeat(MANY))),
        gender("x = [[54, 168], ", &format!("x = [[{}], ", "1,".repeat(MANY))),
        gender("[\"female\"]", &format!("[{}]", "\"a\",".repeat(20_000))),
        gender("layers = [\n", &format!("layers = [\n{}", layer.repeat(300))),
        gender("units = 1,", &format!("units = 1, inputs = [{}],", "\"hidden\",".repeat(MANY))),
        "\"".repeat(MANY),
        "=\n".repeat(20_000),
        "=\n".repeat(2 << 20),
        "a".repeat(4 << 20),
        "#".repeat(1 << 20),
        "\u{feff}".repeat(1000),
    ];
    for text in texts {
        bench.check(text.as_bytes(), 0);
    }
}

/// A `[data]` table of a CSV file, in the place of the notebook's.
fn with_csv(keys: &str) -> String {
    let (before, rest) = GENDER.split_once("[data]\n").expect("data");
    let (_, after) = rest.split_once("[model]\n").expect("model");
    let (after, _) = after.split_once("[predict]").expect("predict");
    format!("{before}[data]\ntype = \"csv\"\npath = \"x.csv\"\n{keys}\n[model]\n{after}")
}

#[test]
fn a_csv_file_takes_what_it_is_long() {
    const WIDE: usize = 1_000_000;
    let bench = Bench::new();
    let header: String = (0..WIDE).map(|column| format!("c{column},")).collect::<String>() + "y\n";
    let row = "1,".repeat(WIDE) + "1\n";
    let csvs = [
        (format!("{header}{row}"), "target = \"y\"\nfeatures = [\"c0\", \"c999999\"]", 0),
        (format!("{header}{row}"), "target = \"z\"", 2),
        (format!("{}\n", ",".repeat(WIDE)), "target = \"y\"", 3),
        (format!("a,y\n{}", "1,1\n".repeat(100_000)), "target = \"y\"", 0),
        (format!("a,y\n1,\"{}", "7".repeat(1 << 20)), "target = \"y\"", 3),
        ("a,y\n".to_owned(), "target = \"y\"", 3),
        ("\"".repeat(100_000), "target = \"y\"", 2),
        ("\n".repeat(1 << 20), "target = \"y\"", 3),
    ];
    for (csv, keys, code) in csvs {
        bench.runner.write("x.csv", &csv);
        let found = bench.check(with_csv(keys).as_bytes(), csv.len());
        assert_eq!(found, code, "{keys}: {}", &csv[..csv.len().min(40)]);
    }
}

/// Numerical Recipes' generator (Press et al., 1992): any will do that is the same everywhere.
struct Random(u32);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((u64::from(self.0) * bound as u64) >> 32) as usize
    }

    /// A few changes of a text: bytes changed, taken out, put in, repeated.
    fn spoil(&mut self, text: &[u8], pieces: &[&str]) -> Vec<u8> {
        let mut bytes = text.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            let end = (at + self.below(20)).min(bytes.len());
            let piece = pieces[self.below(pieces.len())].as_bytes();
            match self.below(4) {
                0 => bytes[at] = self.below(256) as u8,
                1 => drop(bytes.drain(at..end)),
                2 => drop(bytes.splice(at..end, piece.iter().copied())),
                _ => {
                    let copy = bytes[at..end].repeat(1 + self.below(4));
                    bytes.splice(at..at, copy);
                }
            }
            if bytes.is_empty() {
                bytes.push(b'\n');
            }
        }
        bytes
    }
}

#[test]
fn spoilt_experiments_take_what_they_are_long() {
    let pieces = [
        "[",
        "]",
        "{",
        "}",
        "\"",
        "=",
        "9223372036854775807",
        "-1",
        "1e308",
        "nan",
        "\0",
        "é",
        "[[a]]\n",
        "type",
    ];
    let (bench, mut random) = (Bench::new(), Random(1));
    for round in 0..150 {
        let text = if round % 2 == 0 { GENDER } else { XOR };
        let code = bench.check(&random.spoil(text.as_bytes(), &pieces), 0);
        assert!(code == 0 || code == 2, "{code}");
    }
    for _ in 0..100 {
        let noise: Vec<u8> = (0..random.below(300)).map(|_| random.below(256) as u8).collect();
        assert_eq!(bench.check(&noise, 0), 2);
    }
}

#[test]
fn spoilt_csv_files_take_what_they_are_long() {
    let pieces =
        ["\"", ",", "\n", "\r\n", "\0", ";", "1e999", "nan", "-", "é", "y", "\u{feff}", "\x1f\u{8b}"];
    let csv = "a,b,y\n1,2,0\n3.5,-4e2,1\n\"5\", 6 ,0\n7,8,1\n".repeat(3);
    let (bench, mut random) = (Bench::new(), Random(2));
    let text = with_csv("target = \"y\"\nscale = \"standard\"\nvalidation = 0.25");
    for _ in 0..150 {
        let spoilt = random.spoil(csv.as_bytes(), &pieces);
        bench.runner.write("x.csv", &spoilt);
        let code = bench.check(text.as_bytes(), spoilt.len());
        assert!(matches!(code, 0 | 2 | 3), "{code}");
    }
    for _ in 0..100 {
        let noise: Vec<u8> = (0..1 + random.below(300)).map(|_| random.below(256) as u8).collect();
        // Half of them look compressed.
        let noise = if random.below(2) == 0 { [&[0x1f, 0x8b, 8, 0][..], &noise].concat() } else { noise };
        bench.runner.write("x.csv", &noise);
        assert!(matches!(bench.check(text.as_bytes(), noise.len()), 2 | 3));
    }
}
