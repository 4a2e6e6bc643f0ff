//! The inboxes of a lane over time: each binding opens a new one, and earlier ones may still bring messages.

use crate::source::inbox::Inbox;

/// The current inbox, and which earlier ones still count.
#[derive(Default)]
pub(super) struct Inboxes {
    current: Option<Inbox>,
    /// The number of the newest.
    newest: u64,
    /// How many may still bring messages.
    open: usize,
    /// Whatever an inbox before this one brings belongs to a consumer that no longer exists.
    oldest_valid: u64,
}

impl Inboxes {
    /// The number for the next inbox.
    pub(super) fn next_number(&mut self) -> u64 {
        self.newest += 1;
        self.newest
    }

    /// Makes an opened inbox the current one. The one before is closed; what the broker has sent to it still arrives.
    pub(super) fn opened(&mut self, inbox: Inbox) {
        self.open += 1;
        self.current = Some(inbox);
    }

    /// Closes the current inbox.
    pub(super) fn close(&mut self) {
        self.current = None;
    }

    /// An inbox will bring nothing more; returns whether it was the current one.
    pub(super) fn closed(&mut self, number: u64) -> bool {
        self.open -= 1;
        let was_current = self.is_current(number);
        if was_current {
            self.current = None;
        }
        was_current
    }

    /// Invalidates all inboxes before this one.
    pub(super) fn invalidate_before(&mut self, number: u64) {
        self.oldest_valid = number;
    }

    /// Invalidates all inboxes so far.
    pub(super) fn invalidate_all(&mut self) {
        self.oldest_valid = self.newest + 1;
    }

    pub(super) fn is_valid(&self, number: u64) -> bool {
        number >= self.oldest_valid
    }

    pub(super) fn is_current(&self, number: u64) -> bool {
        self.current.as_ref().is_some_and(|current| current.number == number)
    }

    pub(super) fn all_closed(&self) -> bool {
        self.open == 0
    }

    pub(super) fn current(&self) -> Option<&Inbox> {
        self.current.as_ref()
    }
}
