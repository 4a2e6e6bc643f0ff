//! The panels as lines, for whatever is no terminal.

use std::fmt::Write;

use super::rows::{ACTOR_COLUMNS, LANE_COLUMNS, Panel};

/// A block: each node with its actors, lanes and notes; columns are as wide as their widest cell.
pub(super) fn block(panels: &[Panel], when: &str) -> String {
    let mut block = String::new();
    for panel in panels {
        // Writing to a String never fails.
        let _ = writeln!(block, "{when} {}: {}", panel.title, panel.status);
        table(&mut block, ACTOR_COLUMNS, panel.actors.iter().map(|(row, _)| row));
        table(&mut block, LANE_COLUMNS, panel.lanes.iter());
        panel.notes.iter().for_each(|note| block.extend(["  ! ", note, "\n"]));
    }
    block.push('\n');
    block
}

fn table<'a>(block: &mut String, headings: [&str; 6], rows: impl Iterator<Item = &'a [String; 6]> + Clone) {
    if rows.clone().next().is_none() {
        return;
    }
    let mut widths = headings.map(str::len);
    for row in rows.clone() {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut line = |cells: [&str; 6]| {
        let cells = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        block.extend(["  ", line.trim_end(), "\n"]);
    };
    line(headings);
    rows.for_each(|row| line(row.each_ref().map(String::as_str)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::top::rows::{Sort, panels, tests::replicas};

    #[test]
    fn a_block_names_every_node_and_what_is_wrong_with_it() {
        let block = block(&panels(&replicas(), Sort::Order), "12:00:00");
        assert!(block.starts_with("12:00:00 http://a:8081 pod-a: not_ready, generation 2, up 61 s\n"), "{block}");
        assert!(block.contains("\n  ACTOR                    STATE             QUEUE  IN/s  OUT/s  RST\n"), "{block}");
        assert!(block.contains("\n  writer                   stalled\\u{1b}[2J  7      -     -      1\n"), "{block}");
        assert!(block.contains("\n12:00:00 http://b:8081: unreachable\n  ! connection refused\n\n"), "{block}");
    }
}
