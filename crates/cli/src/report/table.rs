//! Tables and paragraphs for people.

use comfy_table::{Cell, CellAlignment, LineStyle, Table, TableStyle};

/// A table whose first columns are names and whose other columns are figures.
pub struct Figures {
    table: Table,
    names: usize,
}

impl Figures {
    /// A table with these columns, the first `names` of which hold no figures.
    pub fn new(names: usize, header: &[&str]) -> Self {
        let mut table = Table::new();
        table.load_style(STYLE);
        let mut figures = Self { table, names };
        let header = figures.cells(header.iter().copied());
        figures.table.set_header(header);
        figures
    }

    /// Adds a row.
    pub fn row(&mut self, cells: Vec<String>) {
        let row = self.cells(cells);
        self.table.add_row(row);
    }

    /// The text, with a line end.
    pub fn text(&self) -> String {
        self.table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
    }

    fn cells(&self, texts: impl IntoIterator<Item = impl ToString>) -> Vec<Cell> {
        texts
            .into_iter()
            .enumerate()
            .map(|(place, text)| {
                let cell = Cell::new(text);
                if place < self.names { cell } else { cell.set_alignment(CellAlignment::Right) }
            })
            .collect()
    }
}

/// Breaks a paragraph into lines that fit a terminal, with a line end after each.
pub fn wrapped(paragraph: &str) -> String {
    let mut text = String::new();
    let mut width = 0;
    for word in paragraph.split_whitespace() {
        let word_width = word.chars().count();
        if width > 0 && width + 1 + word_width > WIDTH {
            text.push('\n');
            width = 0;
        } else if width > 0 {
            text.push(' ');
            width += 1;
        }
        text.push_str(word);
        width += word_width;
    }
    text.push('\n');
    text
}

const STYLE: TableStyle =
    TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

const WIDTH: usize = 98;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_are_broken_between_words_and_lose_none() {
        let paragraph = "word ".repeat(100) + &"x".repeat(200);
        let text = wrapped(&paragraph);
        assert_eq!(text.split_whitespace().count(), 101);
        let long = text.lines().filter(|line| line.chars().count() > WIDTH);
        assert_eq!(long.count(), 1, "only the word that is longer than a line");
    }

    #[test]
    fn figures_stand_at_the_right_and_names_at_the_left() {
        let mut table = Figures::new(1, &["name", "figure"]);
        table.row(vec!["a".to_owned(), "1".to_owned()]);
        assert_eq!(table.text(), " name   figure\n───────────────\n a           1\n");
    }
}
