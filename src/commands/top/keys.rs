//! What keys do.

use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::rows::Sort;

/// What the keys have chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct View {
    /// By what the actors are sorted.
    pub sort: Sort,
    /// Nothing is asked until it is pressed again.
    pub is_paused: bool,
    /// The first panel that is shown, where not all fit.
    pub first: usize,
    /// The first actor that is shown, where not all fit.
    pub scrolled: usize,
    /// It is enough.
    pub has_quit: bool,
}

impl View {
    /// What an event of the terminal changes.
    pub(super) fn apply(&mut self, event: &Event) {
        let Event::Key(KeyEvent { code, modifiers, kind, .. }) = event else { return };
        if *kind == KeyEventKind::Release {
            return;
        }
        match code {
            KeyCode::Char('c') if modifiers.contains(KeyModifiers::CONTROL) => self.has_quit = true,
            KeyCode::Char('q') | KeyCode::Esc => self.has_quit = true,
            KeyCode::Char('p') => self.is_paused = !self.is_paused,
            KeyCode::Char('s') => self.sort = self.sort.next(),
            KeyCode::Right => self.first = self.first.saturating_add(1),
            KeyCode::Left => self.first = self.first.saturating_sub(1),
            KeyCode::Down => self.scrolled = self.scrolled.saturating_add(1),
            KeyCode::Up => self.scrolled = self.scrolled.saturating_sub(1),
            _ => {}
        }
    }

    /// No further than the last of so many panels and actors: the other way begins at once.
    pub(super) fn keep_within(&mut self, panels: usize, actors: usize) {
        self.first = self.first.min(panels.saturating_sub(1));
        self.scrolled = self.scrolled.min(actors.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_pause_sort_move_and_quit() {
        let mut view = View::default();
        let mut press = |code, modifiers| {
            view.apply(&Event::Key(KeyEvent::new(code, modifiers)));
            view
        };
        let none = KeyModifiers::NONE;
        assert!(press(KeyCode::Char('p'), none).is_paused && !press(KeyCode::Char('p'), none).is_paused);
        assert_eq!(press(KeyCode::Char('s'), none).sort, Sort::Queue);
        assert_eq!((press(KeyCode::Left, none).first, press(KeyCode::Right, none).first), (0, 1));
        assert_eq!(press(KeyCode::Down, none).scrolled, 1);
        assert!(!press(KeyCode::Char('c'), none).has_quit);
        assert!(press(KeyCode::Char('c'), KeyModifiers::CONTROL).has_quit);
        view.keep_within(1, 0);
        assert_eq!((view.first, view.scrolled), (0, 0));
        view = View::default();
        view.apply(&Event::Key(KeyEvent::new(KeyCode::Char('q'), none)));
        assert!(view.has_quit);
    }
}
