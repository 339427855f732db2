//! Text in columns.

use crate::terminal::in_one_line;

/// Rows of cells; the first column is aligned left, numbers right.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings.
    pub(crate) fn new(headings: &[&str]) -> Self {
        Self::of(headings.iter().map(|&heading| heading.to_owned()).collect())
    }

    /// A table with as many columns as there are headings.
    pub(crate) fn of(headings: Vec<String>) -> Self {
        let mut table = Self::without_headings();
        table.push(headings);
        table
    }

    /// Rows without headings, to be read as a list.
    pub(crate) fn without_headings() -> Self {
        Self { rows: Vec::new() }
    }

    /// Adds a row.
    pub(crate) fn row<const N: usize>(&mut self, cells: [&str; N]) {
        self.push(cells.map(str::to_owned).to_vec());
    }

    /// Adds a row of as many cells as there are headings. Names may come from files.
    pub(crate) fn push(&mut self, cells: Vec<String>) {
        self.rows.push(cells.iter().map(|cell| in_one_line(cell).into_owned()).collect());
    }

    /// The table as lines, columns two blanks apart.
    pub(crate) fn render(&self) -> String {
        let columns = self.rows.first().map_or(0, Vec::len);
        let cell_width = |cell: &String| cell.chars().count();
        let widths: Vec<usize> = (0..columns)
            .map(|column| self.rows.iter().map(|row| cell_width(&row[column])).max().unwrap_or(0))
            .collect();
        let is_number = |column: usize| {
            let digit = |byte: u8| byte.is_ascii_digit() || byte == b',';
            let digits = |cell: &String| cell.bytes().all(digit);
            self.rows.len() > 1 && self.rows[1..].iter().all(|row| digits(&row[column]))
        };
        let right: Vec<bool> = (0..columns).map(is_number).collect();
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).zip(&right).map(|((cell, &width), &right)| match right {
                true => format!("{cell:>width$}"),
                false => format!("{cell:<width$}"),
            });
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        self.rows.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

/// A count with a comma between every three digits.
pub(crate) fn grouped(count: usize) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aligns_words_left_and_numbers_right() {
        let mut table = Table::new(&["layer", "parameters"]);
        table.row(["hidden", "6"]);
        table.row(["output", "1234"]);
        assert_eq!(table.render(), "layer   parameters\nhidden           6\noutput        1234");
        assert_eq!(Table::without_headings().render(), "");
    }

    #[test]
    fn groups_digits_by_three() {
        let texts = [0, 999, 1_000, 123_456, 1_234_567].map(grouped);
        assert_eq!(texts, ["0", "999", "1,000", "123,456", "1,234,567"]);
        let mut table = Table::new(&["n"]);
        table.row([&grouped(1_000)]);
        table.row(["7"]);
        assert_eq!(table.render(), "n\n1,000\n    7".replace("n\n", "    n\n"));
    }
}
