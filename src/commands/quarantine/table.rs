//! Text for a terminal.

use ingest_core::message::visible::visible;

/// Longest cell; `show` and `--json` have the whole.
const WIDEST: usize = 60;

/// Columns as wide as their widest cell, under their headings.
pub(super) fn table<const N: usize>(headings: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let rows: Vec<[String; N]> = std::iter::once(headings.map(str::to_owned))
        .chain(rows.map(|row| row.map(|cell| cut(&visible(&cell)))))
        .collect();
    let mut widths = [0; N];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for row in &rows {
        let line: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(line.join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn cut(cell: &str) -> String {
    if cell.chars().count() <= WIDEST {
        return cell.to_owned();
    }
    cell.chars().take(WIDEST - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["a".to_owned(), "1".to_owned()], ["long one".to_owned(), "22".to_owned()]];
        assert_eq!(table(["T", "COUNT"], rows.into_iter()), "T         COUNT\na         1\nlong one  22\n");
    }

    #[test]
    fn a_cell_that_is_too_long_is_cut() {
        let text = table(["X"], [["é".repeat(100)]].into_iter());
        assert_eq!(text.lines().nth(1).unwrap(), format!("{}…", "é".repeat(59)));
    }
}
