//! Large vectors in huge pages, where the system has them.
//!
//! A processor keeps the places of some thousand pages at hand. Of pages of 4 KiB that is a few megabytes: less than the
//! parameters of a net of middle size, and far less than a data set, whose samples are taken from all over it. Linux
//! has pages of 2 MiB for whoever asks.

/// Bytes below which nothing is asked for: a huge page would be half empty.
const LARGE: usize = 4 << 20;

/// Room for `len` numbers, in huge pages if it is large and the system has them.
///
/// # Panics
/// As [`Vec::with_capacity`]: whoever was given `len` by a user asks for the free memory before.
pub fn with_capacity<T: Copy>(len: usize) -> Vec<T> {
    let vec = Vec::with_capacity(len);
    advise(vec.as_ptr(), vec.capacity(), Moment::BeforeUse);
    vec
}

/// Moves what is there already to huge pages, if it is large and the system has them.
pub(crate) fn collapse<T: Copy>(numbers: &[T]) {
    advise(numbers.as_ptr(), numbers.len(), Moment::InUse);
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Moment {
    BeforeUse,
    InUse,
}

#[cfg(all(target_os = "linux", target_env = "gnu", not(miri)))]
#[allow(unsafe_code)]
fn advise<T: Copy>(start: *const T, len: usize, moment: Moment) {
    const PAGE: usize = 1 << 12;
    let bytes = len * size_of::<T>();
    if bytes < LARGE {
        return;
    }
    let first = start.addr().next_multiple_of(PAGE);
    let whole = (start.addr() + bytes - first) / PAGE * PAGE;
    let first = start.with_addr(first).cast_mut().cast();
    // SAFETY: `first` and `whole` are of pages that lie within one allocation, whole. Neither advice changes, moves or
    // frees a number in them: both are about which physical pages hold them. An advice that is not followed is an
    // error that changes nothing.
    unsafe {
        libc::madvise(first, whole, libc::MADV_HUGEPAGE);
        if moment == Moment::InUse {
            libc::madvise(first, whole, libc::MADV_COLLAPSE);
        }
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu", not(miri))))]
fn advise<T: Copy>(_: *const T, _: usize, _: Moment) {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of lengths about those of pages, and of numbers in the middle of one.
    #[test]
    fn no_number_changes() {
        for len in [0, 1, LARGE / 8 - 1, LARGE / 8, LARGE / 8 + 513, (9 << 20) / 8] {
            let mut numbers = with_capacity::<u64>(len);
            assert!(numbers.is_empty() && numbers.capacity() >= len);
            numbers.extend(0..len as u64);
            collapse(&numbers);
            collapse(&numbers[len.min(3)..]);
            assert!(numbers.iter().copied().eq(0..len as u64));
        }
    }
}
