//! Experiment files changed at random.

use chainrule_runner::registry::Registry;
use chainrule_tests::runner::{GENDER, Runner, XOR, check};

#[test]
fn no_mutation_of_an_experiment_is_more_than_a_mistake() {
    const PIECES: [&str; 24] = [
        "[",
        "]",
        "{",
        "}",
        "\"",
        "=",
        ",",
        ".",
        "-",
        "0",
        "9",
        "1e308",
        "nan",
        "\n",
        "\0",
        "é",
        "\u{feff}",
        "type",
        "[[model.layers]]\n",
        "inputs = [\"hidden\"]",
        "units",
        "\"\"\"",
        "9223372036854775807",
        "softmax",
    ];
    let runner = Runner::new();
    let registry = Registry::standard();
    // Numerical Recipes' generator (Press et al., 1992): any will do that is the same everywhere.
    let mut state = 1u32;
    let mut random = |below: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((u64::from(state) * below as u64) >> 32) as usize
    };
    let mut codes = [0; 3];
    for round in 0..300 {
        let mut bytes = if round % 2 == 0 { GENDER } else { XOR }.as_bytes().to_vec();
        for _ in 0..=random(3) {
            let at = random(bytes.len());
            let end = (at + random(12)).min(bytes.len());
            match random(4) {
                0 => bytes[at] = random(256) as u8,
                1 => drop(bytes.drain(at..end)),
                2 => drop(bytes.splice(at..at, PIECES[random(PIECES.len())].bytes())),
                _ => drop(bytes.splice(at..end, PIECES[random(PIECES.len())].bytes())),
            }
        }
        runner.write("x.toml", &bytes);
        let code = check(&runner.path("x.toml"), &registry);
        assert!(code == 0 || code == 2, "{code}: {}", String::from_utf8_lossy(&bytes));
        codes[usize::from(code)] += 1;
    }
    assert!(codes[0] > 10 && codes[2] > 100, "the mutations are too wild or too tame: {codes:?}");
    assert_eq!(runner.entries(), ["x.toml"]);
}
