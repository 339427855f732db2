//! A set of characters that knows the rank of each.

/// Characters of a word of the set.
const BITS: usize = u64::BITS as usize;

/// Words for every character there can be.
const WORDS: usize = (char::MAX as usize + 1).div_ceil(BITS);

/// Some characters, numbered in the order of their code points: a bit a character, and how many there are before each
/// word. A table of numbers would do, but take 4 MiB for the shortest text; this takes 204 KiB and stays in the cache.
pub(super) struct Characters {
    bits: Vec<u64>,
    before: Vec<u32>,
}

impl Characters {
    /// Those of a text.
    pub(super) fn of(text: &str) -> Self {
        let mut bits = vec![0; WORDS];
        for c in text.chars() {
            let (word, bit) = place(c);
            bits[word] |= bit;
        }
        let count = |sum: &mut u32, word: &u64| Some(std::mem::replace(sum, *sum + word.count_ones()));
        let before = bits.iter().scan(0, count).collect();
        Self { bits, before }
    }

    /// All of them in order.
    pub(super) fn in_order(&self) -> String {
        let words = (0..WORDS).filter(|&word| self.bits[word] != 0);
        let codes = words.flat_map(|word| word * BITS..(word + 1) * BITS);
        codes.filter_map(|code| char::from_u32(code as u32)).filter(|&c| self.rank(c).is_some()).collect()
    }

    /// How many there are before this one, if it is one of them.
    pub(super) fn rank(&self, c: char) -> Option<u32> {
        let (word, bit) = place(c);
        let below = self.bits[word] & (bit - 1);
        (self.bits[word] & bit != 0).then(|| self.before[word] + below.count_ones())
    }
}

/// The word of a character, and its bit there.
fn place(c: char) -> (usize, u64) {
    (c as usize / BITS, 1 << (c as usize % BITS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_has_the_rank_of_its_code_point() {
        let mut sorted: Vec<char> = "\0 ?@ZaÿĀ\u{d7ff}\u{e000}→\u{10ffff}".chars().collect();
        sorted.sort_unstable();
        let reversed: String = sorted.iter().rev().collect();
        let characters = Characters::of(&reversed);
        assert_eq!(characters.in_order(), sorted.iter().collect::<String>());
        for (rank, &c) in (0..).zip(&sorted) {
            assert_eq!(characters.rank(c), Some(rank), "{c:?}");
        }
        assert_eq!(characters.rank('b'), None);
    }
}
