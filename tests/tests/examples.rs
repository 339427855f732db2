//! The examples, run as a user runs them.

use std::path::Path;
use std::process::Command;

#[test]
fn the_rust_program_prints_its_losses_and_predictions() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the workspace");
    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--package", "chainrule-example-rust-api"])
        .current_dir(root)
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "\
epoch    1  loss 0.2873
epoch  101  loss 0.0277
epoch  201  loss 0.0133
epoch  301  loss 0.0085
epoch  401  loss 0.0062
epoch  501  loss 0.0048
epoch  601  loss 0.0039
epoch  701  loss 0.0033
epoch  801  loss 0.0029
epoch  901  loss 0.0025
epoch 1000  loss 0.0023
50 kg, 168 cm: 0.9451, a woman
77 kg, 173 cm: 0.0451, a man
"
    );
}
