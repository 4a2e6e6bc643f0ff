//! The panels on a terminal, side by side.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Borders, Paragraph, Row, Table};

use super::keys::View;
use super::rows::{ACTOR_COLUMNS, LANE_COLUMNS, Panel};

/// Narrowest panel that shows all of its columns.
const NARROWEST: u16 = 56;
/// Widths of the actors' columns; the first takes what is left.
const ACTOR_WIDTHS: [Constraint; 6] = widths([9, 6, 7, 7, 4]);
/// Widths of the lanes' columns.
const LANE_WIDTHS: [Constraint; 6] = widths([7, 6, 8, 7, 7]);

const fn widths([a, b, c, d, e]: [u16; 5]) -> [Constraint; 6] {
    use Constraint::{Length, Min};
    [Min(12), Length(a), Length(b), Length(c), Length(d), Length(e)]
}

/// Draws what fits. States are words: what is wrong is bold and reversed, not only coloured.
pub(super) fn draw(frame: &mut Frame<'_>, panels: &[Panel], view: View) {
    let [body, foot] = Layout::vertical([Constraint::Min(3), Constraint::Length(1)]).areas(frame.area());
    let fit = usize::from((body.width / NARROWEST).max(1));
    // The last panels stay in sight, however often the key is pressed.
    let first = view.first.min(panels.len().saturating_sub(fit));
    let seen = &panels[first..panels.len().min(first + fit)];
    let columns = Layout::horizontal(vec![Constraint::Fill(1); seen.len()]).split(body);
    for (panel, area) in seen.iter().zip(columns.iter()) {
        draw_panel(frame, panel, view.scrolled, *area);
    }
    let hidden = panels.len() - seen.len();
    let more = if hidden > 0 { format!("  {hidden} more nodes: left and right") } else { String::new() };
    let paused = if view.is_paused { "  PAUSED" } else { "" };
    let keys = format!("q quit  p pause  s sort: {}  up and down{more}{paused}", view.sort.as_str());
    frame.render_widget(Paragraph::new(keys), foot);
}

fn draw_panel(frame: &mut Frame<'_>, panel: &Panel, scrolled: usize, area: Rect) {
    let wrong = Style::new().add_modifier(Modifier::BOLD | Modifier::REVERSED);
    let block = Block::new().borders(Borders::ALL).title(panel.title.as_str());
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let (notes, lanes) = (height(panel.notes.len()), height(panel.lanes.len() + 1));
    let notes = notes.min(inner.height / 3);
    let parts = [Constraint::Length(1), Constraint::Min(2), Constraint::Length(lanes), Constraint::Length(notes)];
    let [head, actors, lanes, notes] = Layout::vertical(parts).areas(inner);
    let style = if panel.is_well { Style::new() } else { wrong };
    frame.render_widget(Paragraph::new(panel.status.as_str()).style(style), head);

    let heading = Style::new().add_modifier(Modifier::BOLD);
    let room = usize::from(actors.height.saturating_sub(1));
    let skipped = scrolled.min(panel.actors.len().saturating_sub(room));
    let rows = panel.actors.iter().skip(skipped).map(|(cells, stands_out)| {
        let row = Row::new(cells.iter().map(String::as_str));
        if *stands_out { row.style(wrong) } else { row }
    });
    if !panel.actors.is_empty() {
        frame.render_widget(Table::new(rows, ACTOR_WIDTHS).header(Row::new(ACTOR_COLUMNS).style(heading)), actors);
    }
    if !panel.lanes.is_empty() {
        let rows = panel.lanes.iter().map(|cells| Row::new(cells.iter().map(String::as_str)));
        frame.render_widget(Table::new(rows, LANE_WIDTHS).header(Row::new(LANE_COLUMNS).style(heading)), lanes);
    }
    let lines: Vec<Line<'_>> = panel.notes.iter().map(|note| Line::raw(format!("! {note}"))).collect();
    frame.render_widget(Paragraph::new(lines), notes);
}

fn height(lines: usize) -> u16 {
    u16::try_from(lines).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::commands::top::rows::{Sort, panels, tests::replicas};

    fn drawn(width: u16, height: u16, view: View) -> String {
        let panels = panels(&replicas(), Sort::Order);
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, &panels, view)).unwrap();
        let buffer = terminal.backend().buffer().clone();
        let row = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
        (0..height).map(|y| row(y) + "\n").collect()
    }

    #[test]
    fn nodes_are_side_by_side_where_they_fit() {
        let screen = drawn(120, 14, View::default());
        let line =
            |what: &str| screen.lines().find(|line| line.contains(what)).unwrap_or_else(|| panic!("{what}: {screen}"));
        assert!(line("http://a:8081 pod-a").contains("http://b:8081"), "{screen}");
        assert!(line("not_ready, generation 2, up 61 s").contains("unreachable"), "{screen}");
        assert!(line("writer ").contains("stalled"), "{screen}");
        assert!(line("ingest-workers    ").contains("2.0") || line("LAG s").contains("UNACKED"), "{screen}");
        assert!(line("! postgres: away").len() > 2 && line("! connection refused").len() > 2, "{screen}");
        assert!(line("q quit").starts_with("q quit  p pause  s sort: order  up and down  "), "{screen}");
    }

    #[test]
    fn what_does_not_fit_is_reached_by_keys_and_a_tiny_terminal_is_no_reason_to_fail() {
        let one = drawn(60, 12, View { is_paused: true, ..View::default() });
        assert!(one.contains("http://a") && !one.contains("http://b") && one.contains("1 more nodes"), "{one}");
        let other = drawn(60, 12, View { first: 99, ..View::default() });
        assert!(!other.contains("http://a") && other.contains("http://b"), "{other}");
        let scrolled = drawn(60, 10, View { scrolled: 99, ..View::default() });
        assert!(scrolled.contains("writer"), "{scrolled}");
        for (width, height) in [(1, 1), (5, 3), (20, 4)] {
            drawn(width, height, View::default());
        }
    }
}
