//! Commands to be pasted into a shell.

use std::borrow::Cow;

/// The words as one line, each quoted where a shell would take it apart.
pub(crate) fn line<'a>(words: impl IntoIterator<Item = Cow<'a, str>>) -> String {
    words.into_iter().map(quoted).collect::<Vec<_>>().join(" ")
}

/// In single quotes nothing has a meaning but the quote itself.
fn quoted(word: Cow<'_, str>) -> String {
    let is_plain = |character: char| character.is_alphanumeric() || "_-+./,:=@%".contains(character);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.into_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_what_a_shell_would_take_apart() {
        let words = ["runs/a-1", "a b", "x=\"1\"", "it's", "", "$HOME", "größe"].map(Cow::Borrowed);
        assert_eq!(line(words), "runs/a-1 'a b' 'x=\"1\"' 'it'\\''s' '' '$HOME' größe");
    }
}
