//! Whether a network fits into this machine, asked before anything is allocated.

use chainrule_core::{Float, Layer};

/// The bytes of `copies` vectors of the parameters and the memory of a pass over `rows` samples.
pub(crate) fn needed<F: Float>(
    network: &dyn Layer<F>,
    parameters: usize,
    copies: usize,
    rows: usize,
) -> u128 {
    let tape = network.tape();
    let pass = (tape.per_row.saturating_add(2 * network.output_shape().len()) as u128) * rows as u128
        + tape.per_batch as u128;
    (parameters as u128 * copies as u128 + pass) * F::BYTES as u128
}

/// Checks that as much can be had.
///
/// # Errors
/// A message with both sizes.
pub(crate) fn check<F: Float>(
    network: &dyn Layer<F>,
    parameters: usize,
    copies: usize,
    rows: usize,
) -> Result<(), String> {
    let needed = needed(network, parameters, copies, rows);
    let available = available();
    if needed <= u128::from(available) {
        return Ok(());
    }
    Err(format!(
        "the network needs {} of memory for {parameters} parameters and batches of {rows}, but this machine has {} free",
        in_words(needed),
        in_words(u128::from(available)),
    ))
}

/// Checks that so many bytes can be had.
///
/// # Errors
/// Words with both sizes: "3.0 TiB of memory, but this machine has 16.0 GiB free".
pub(crate) fn require(bytes: u128) -> Result<(), String> {
    let available = u128::from(available());
    if bytes <= available {
        return Ok(());
    }
    Err(format!("{} of memory, but this machine has {} free", in_words(bytes), in_words(available)))
}

/// What is taken for free where the system does not say: what a large desk machine has. Elsewhere than on Linux an
/// allocation may be granted that no memory stands behind, so something must refuse.
const ASSUMED: u64 = 16 << 30;

/// Bytes that can be had, as the system says.
pub(crate) fn available() -> u64 {
    said_by_system().unwrap_or(ASSUMED)
}

/// Only Linux has this file.
fn said_by_system() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemAvailable:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok()?.checked_mul(1024)
}

/// A size in the largest unit that leaves at least 1.
pub(crate) fn in_words(bytes: u128) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut size = bytes as f64;
    let mut unit = 0;
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{size:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sizes_as_people_do() {
        assert_eq!(in_words(72), "72 B");
        assert_eq!(in_words(3 << 30), "3.0 GiB");
        assert_eq!(in_words(1 << 44), "16.0 TiB");
    }
}
