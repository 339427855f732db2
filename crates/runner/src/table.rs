//! Text in columns.

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
        Self { rows: vec![headings] }
    }

    /// Adds a row.
    pub(crate) fn row<const N: usize>(&mut self, cells: [&str; N]) {
        self.push(cells.map(str::to_owned).to_vec());
    }

    /// Adds a row of as many cells as there are headings.
    pub(crate) fn push(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// The table as lines, columns two blanks apart.
    pub(crate) fn render(&self) -> String {
        let columns = self.rows[0].len();
        let cell_width = |cell: &String| cell.chars().count();
        let widths: Vec<usize> = (0..columns)
            .map(|column| self.rows.iter().map(|row| cell_width(&row[column])).max().unwrap_or(0))
            .collect();
        let is_number = |column: usize| {
            let digits = |cell: &String| cell.is_empty() || cell.bytes().all(|byte| byte.is_ascii_digit());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aligns_words_left_and_numbers_right() {
        let mut table = Table::new(&["layer", "parameters"]);
        table.row(["hidden", "6"]);
        table.row(["output", "1234"]);
        assert_eq!(table.render(), "layer   parameters\nhidden           6\noutput        1234");
    }
}
