//! An IDX file, compressed or not, as images and as labels.

#![no_main]

use chainrule_tests::measured::Measured;
use chainrule_tests::untrusted;

#[global_allocator]
static ALLOCATOR: Measured = Measured;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    untrusted::idx(bytes);
});
