//! A checkpoint, as it comes and with a digest that fits it.

#![no_main]

use chainrule_tests::measured::Measured;
use chainrule_tests::untrusted;

#[global_allocator]
static ALLOCATOR: Measured = Measured;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    untrusted::checkpoint(bytes);
});
