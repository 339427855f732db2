//! An experiment file, to the point where training would start.

#![no_main]

use chainrule_tests::measured::Measured;
use chainrule_tests::untrusted;

#[global_allocator]
static ALLOCATOR: Measured = Measured;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    untrusted::experiment(bytes);
});
