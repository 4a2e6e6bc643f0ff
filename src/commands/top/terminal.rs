//! The terminal: taken over while the screen is shown, and given back however that ends.

use std::io;
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event;

use super::keys::View;
use super::rows::Panel;
use super::screen::draw;

/// A terminal that shows panels.
pub(super) struct Terminal(DefaultTerminal);

impl Terminal {
    /// Takes the terminal over; a panic gives it back, too.
    ///
    /// # Errors
    /// Where it can't be switched.
    pub(super) fn open() -> io::Result<Self> {
        ratatui::try_init().map(Self)
    }

    /// Shows the panels.
    ///
    /// # Errors
    /// Where it can't be written to.
    pub(super) fn show(&mut self, panels: &[Panel], view: View) -> io::Result<()> {
        self.0.draw(|frame| draw(frame, panels, view)).map(drop)
    }

    /// Applies what was pressed since the last time, without waiting; whether anything was.
    ///
    /// # Errors
    /// Where it can't be read.
    pub(super) fn read_keys(&mut self, view: &mut View) -> io::Result<bool> {
        let mut is_new = false;
        while event::poll(Duration::ZERO)? {
            view.apply(&event::read()?);
            is_new = true;
        }
        Ok(is_new)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        ratatui::restore();
    }
}
