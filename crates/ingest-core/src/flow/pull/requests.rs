//! The open requests of one lane, and the next one to be sent.

use std::collections::VecDeque;

use super::limits::Limits;
use crate::flow::in_flight::Window;

/// A pull request to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its number; the last token of its reply subject.
    pub id: u64,
    /// Most messages it asks for.
    pub messages: usize,
    /// Most bytes it asks for; `None` = one message of whatever size.
    pub bytes: Option<usize>,
}

/// The open requests, oldest first. The broker serves them in this order.
#[derive(Debug)]
pub struct Pulls {
    open: VecDeque<Open>,
    next_id: u64,
    limits: Limits,
    /// The next message did not fit into a whole request: it is asked for alone.
    oversized: bool,
}

#[derive(Debug)]
struct Open {
    id: u64,
    left: Window,
    is_untouched: bool,
    is_alone: bool,
    deadline_ms: u64,
}

impl Pulls {
    /// No request.
    pub fn new(limits: Limits) -> Self {
        Self { open: VecDeque::new(), next_id: 0, limits, oversized: false }
    }

    /// Changes the limits of further requests.
    pub fn limit(&mut self, change: impl FnOnce(&mut Limits)) {
        change(&mut self.limits);
    }

    /// The next request, where the credit that no open request has taken suffices for one.
    pub fn next(&mut self, credit: Window, deadline_ms: u64) -> Option<Request> {
        if self.open.len() >= self.limits.requests || credit.bytes == 0 {
            return None;
        }
        let is_first = self.open.is_empty();
        let taken = self.taken();
        let mut messages = credit.messages.saturating_sub(taken.messages).min(self.limits.messages);
        // A small request beside a larger one would only cost a round trip.
        let is_worth_it = if is_first { messages > 0 } else { messages * 2 >= self.limits.messages };
        if !is_worth_it || self.oversized && !is_first {
            return None;
        }
        let share = self.limits.share_bytes();
        let room = credit.bytes.min(self.limits.open_bytes.max(share)).saturating_sub(taken.bytes);
        let least = self.limits.message_bytes.min(share);
        if !is_first && room < least {
            return None;
        }
        // Never less than one message may have, or that message would block the lane: the window is overdrawn by it at most.
        let bytes = room.min(share).max(least);
        if self.oversized {
            messages = 1;
        }
        self.next_id += 1;
        let left = Window { messages, bytes };
        self.open.push_back(Open { id: self.next_id, left, is_untouched: true, is_alone: self.oversized, deadline_ms });
        Some(Request { id: self.next_id, messages, bytes: (!self.oversized).then_some(bytes) })
    }

    /// What the open requests may still bring.
    pub fn taken(&self) -> Window {
        self.open.iter().fold(Window { messages: 0, bytes: 0 }, |sum, open| Window {
            messages: sum.messages + open.left.messages,
            bytes: sum.bytes + open.left.bytes,
        })
    }

    /// A message that the broker counts as so many bytes has arrived: subject, reply subject, headers and body.
    pub fn arrived(&mut self, bytes: usize) {
        // Where one is too large the next one may be so as well: it is tried alone at once.
        self.oversized &= bytes > self.limits.share_bytes();
        let Some(oldest) = self.open.front_mut() else { return };
        oldest.is_untouched = false;
        oldest.left.messages -= 1;
        oldest.left.bytes = oldest.left.bytes.saturating_sub(bytes);
        if oldest.left.messages == 0 {
            self.open.pop_front();
        }
    }

    /// The broker has ended a request.
    pub fn ended(&mut self, id: u64) {
        self.open.retain(|open| open.id != id);
    }

    /// The broker has ended a request because the next message is larger than what is left of it. Where nothing of it was
    /// used, the message is requested alone and without a bound from now on. Returns whether even that failed.
    pub fn too_small(&mut self, id: u64) -> bool {
        let Some(open) = self.open.iter().find(|open| open.id == id) else { return false };
        let (is_untouched, is_alone) = (open.is_untouched, open.is_alone);
        self.oversized |= is_untouched;
        self.ended(id);
        is_alone
    }

    /// Forgets requests past their deadline: the broker must have ended them, and its status message was lost.
    pub fn expire(&mut self, now_ms: u64) {
        self.open.retain(|open| open.deadline_ms > now_ms);
    }

    /// Forgets all of them: their subscription no longer exists.
    pub fn clear(&mut self) {
        self.open.clear();
    }

    /// Whether any is open.
    pub fn is_open(&self) -> bool {
        !self.open.is_empty()
    }
}
