//! Where bugs can be planted in a source file.

/// A file with one bug.
#[derive(Debug)]
pub(super) struct Mutant {
    /// The whole file with the bug.
    pub(super) text: String,
    /// The function that it is in.
    pub(super) function: String,
    /// The line, counted from 1.
    pub(super) number: usize,
    /// The line as it was, without its indentation.
    pub(super) line: String,
    /// What was changed: `+= to -=`.
    pub(super) change: String,
}

/// Functions with these words in their names compute gradients.
const GRADIENTS: [&str; 8] =
    ["backward", "accumulate", "gradient", "derivative", "df", "scatter", "col2im", "slope"];

/// What is changed into what, the first time it stands in a line.
const CHANGES: [(&str, &str); 9] = [
    (" += ", " -= "),
    (" -= ", " += "),
    (" *= ", " /= "),
    (" += ", " = "),
    (" * ", " + "),
    (" + ", " - "),
    (" - ", " + "),
    (" / ", " * "),
    ("F::one()", "F::zero()"),
];

/// Up to `each` bugs in every function of `text` that computes gradients, evenly spread over it.
pub(super) fn mutants_of(text: &str, each: usize) -> Vec<Mutant> {
    let lines: Vec<&str> = text.lines().collect();
    let end = lines.iter().position(|line| line.trim() == "#[cfg(test)]").unwrap_or(lines.len());
    let mut found = Vec::new();
    let mut at = 0;
    while at < end {
        match gradient_function(lines[at]) {
            Some(name) => {
                let last = end_of_function(&lines, at);
                let all = bugs(&lines, at, last, &name);
                let step = all.len().div_ceil(each.max(1)).max(1);
                found.extend(all.into_iter().step_by(step));
                at = last + 1;
            }
            None => at += 1,
        }
    }
    found
}

/// The name of the function that starts in a line, if it computes gradients.
fn gradient_function(line: &str) -> Option<String> {
    let line = line.trim_start();
    let start =
        line.find("fn ").filter(|&at| !line.starts_with("//") && (at == 0 || line[..at].ends_with(' ')))?;
    let name: String = line[start + 3..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    // `df` is a whole name; the others are found inside longer ones.
    let is_gradient = |word: &str| name == word || word.len() > 2 && name.contains(word);
    GRADIENTS.into_iter().any(is_gradient).then_some(name)
}

/// The line in which the braces of the function that starts in line `start` are closed.
fn end_of_function(lines: &[&str], start: usize) -> usize {
    let mut depth = 0usize;
    let mut opened = false;
    for (index, line) in lines.iter().enumerate().skip(start) {
        let code = line.split("//").next().unwrap_or_default();
        for c in code.chars() {
            match c {
                '{' => (depth, opened) = (depth + 1, true),
                '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        // A declaration without a body; a semicolon within a line is that of an array's type.
        if !opened && code.trim_end().ends_with(';') {
            return index;
        }
        if opened && depth == 0 {
            return index;
        }
    }
    lines.len() - 1
}

fn bugs(lines: &[&str], first: usize, last: usize, function: &str) -> Vec<Mutant> {
    let mut found = Vec::new();
    for index in first + 1..=last {
        let line = lines[index];
        let code = line.split("//").next().unwrap_or_default();
        // Signatures, bounds and texts are not arithmetic, and where work is cut changes no number.
        let cuts = ["for_each_tile", "WORK", "work"].iter().any(|word| code.contains(word));
        if cuts || code.contains("fn ") || code.contains('"') || code.trim_start().starts_with("where") {
            continue;
        }
        for (from, to) in CHANGES {
            let Some(at) = code.find(from) else { continue };
            let changed = format!("{}{to}{}", &line[..at], &line[at + from.len()..]);
            let mut text: Vec<&str> = lines.to_vec();
            text[index] = &changed;
            found.push(Mutant {
                text: text.join("\n") + "\n",
                function: function.to_owned(),
                number: index + 1,
                line: line.trim().to_owned(),
                change: format!("{} to {}", from.trim(), to.trim()),
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "impl A {
    fn forward(&self) {
        a += 1;
    }

    fn backward(&self, w: [F; 2]) -> [F; 2] {
        // x += 1
        for a in b {
            *x += a * b;
        }
    }

    fn declared_backward(&self);
}

#[cfg(test)]
mod tests {
    fn backward() {
        a += 1;
    }
}
";

    #[test]
    fn bugs_are_planted_in_gradients_only() {
        let mutants = mutants_of(SOURCE, 10);
        let changes: Vec<&str> = mutants.iter().map(|mutant| mutant.change.as_str()).collect();
        assert_eq!(changes, ["+= to -=", "+= to =", "* to +"]);
        assert!(mutants.iter().all(|mutant| mutant.number == 9 && mutant.function == "backward"));
        assert!(mutants[0].text.contains("*x -= a * b;") && mutants[0].text.contains("// x += 1"));
        assert_eq!(mutants[0].text.lines().count(), SOURCE.lines().count());
    }

    #[test]
    fn a_few_are_spread_over_a_function() {
        assert_eq!(mutants_of(SOURCE, 1).len(), 1);
        assert_eq!(mutants_of(SOURCE, 2).len(), 2);
    }
}
