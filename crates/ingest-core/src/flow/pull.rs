//! The pull requests that are open at the broker: how much of the credit they have taken, in messages and in bytes.

use std::collections::VecDeque;

use crate::flow::in_flight::Window;
use crate::flow::pull_status::RequestLimit;

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

/// What requests may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most messages of one request.
    pub messages: usize,
    /// Most bytes of all open requests together, unless a single message takes more.
    pub open_bytes: usize,
    /// Bytes that any one message fits into.
    pub message_bytes: usize,
    /// Most bytes of one request, where the consumer has such a limit.
    pub request_bytes: Option<usize>,
    /// Most open requests. With two, one is being filled while the next is there already.
    pub requests: usize,
}

impl Limits {
    /// Obeys a limit that the server has named; whether that changes anything.
    pub fn obey(&mut self, limit: RequestLimit) -> bool {
        let before = *self;
        match limit {
            RequestLimit::Messages(most) => self.messages = self.messages.min(most).max(1),
            RequestLimit::Bytes(most) => {
                self.request_bytes = Some(self.request_bytes.map_or(most, |bytes| bytes.min(most)).max(1));
            }
            // Requests don't know of time.
            RequestLimit::Expires(_) => {}
        }
        *self != before
    }

    /// Bytes of one request among as many as may be open.
    fn share_bytes(&self) -> usize {
        let share = (self.open_bytes / self.requests.max(1)).max(self.message_bytes);
        self.request_bytes.map_or(share, |most| share.min(most))
    }
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

    /// What requests may ask for from now on.
    pub fn limit(&mut self, change: impl FnOnce(&mut Limits)) {
        change(&mut self.limits);
    }

    /// The next request, where the credit that no open request has taken is worth one.
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

    /// A message of so many bytes has arrived.
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

    /// The broker has ended a request because the next message is larger than what is left of it. Where that was all of it,
    /// the message is asked for alone and without a bound from now on. Whether even that did not help.
    pub fn too_small(&mut self, id: u64) -> bool {
        let Some(open) = self.open.iter().find(|open| open.id == id) else { return false };
        let (is_untouched, is_alone) = (open.is_untouched, open.is_alone);
        self.oversized |= is_untouched;
        self.ended(id);
        is_alone
    }

    /// Forgets requests past their deadline: the broker must have ended them, its message was lost.
    pub fn expire(&mut self, now_ms: u64) {
        self.open.retain(|open| open.deadline_ms > now_ms);
    }

    /// Forgets all of them: nobody listens any more to what they would bring.
    pub fn clear(&mut self) {
        self.open.clear();
    }

    /// Whether any is open.
    pub fn is_open(&self) -> bool {
        !self.open.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AMPLE: usize = 1 << 40;

    fn limits() -> Limits {
        Limits { messages: 10, open_bytes: 1_000, message_bytes: 100, request_bytes: None, requests: 2 }
    }

    fn credit(messages: usize) -> Window {
        Window { messages, bytes: AMPLE }
    }

    fn asked(request: Option<Request>) -> Option<(usize, Option<usize>)> {
        request.map(|request| (request.messages, request.bytes))
    }

    #[test]
    fn open_requests_never_exceed_the_credit_in_messages() {
        let mut pulls = Pulls::new(limits());
        assert_eq!(asked(pulls.next(credit(15), 1)), Some((10, Some(500))));
        assert_eq!(asked(pulls.next(credit(15), 1)), Some((5, Some(500))));
        assert_eq!(pulls.next(credit(100), 1), None, "two are enough");
        (0..12).for_each(|_| pulls.arrived(1));
        assert_eq!(pulls.next(credit(3), 1), None, "the credit is taken");
        assert_eq!(asked(pulls.next(credit(13), 1)), Some((10, Some(500))));
    }

    #[test]
    fn open_requests_never_exceed_the_credit_nor_their_bound_in_bytes() {
        let mut pulls = Pulls::new(limits());
        let credit = |bytes| Window { messages: 100, bytes };
        assert_eq!(asked(pulls.next(credit(700), 1)), Some((10, Some(500))));
        assert_eq!(asked(pulls.next(credit(700), 1)), Some((10, Some(200))));
        pulls.clear();
        assert_eq!(asked(pulls.next(credit(550), 1)), Some((10, Some(500))));
        assert_eq!(pulls.next(credit(550), 1), None, "no room for any message");
    }

    #[test]
    fn one_message_of_any_size_is_always_possible() {
        let mut pulls = Pulls::new(Limits { message_bytes: 5_000, ..limits() });
        assert_eq!(asked(pulls.next(credit(10), 1)), Some((10, Some(5_000))));
        assert_eq!(pulls.next(credit(100), 1), None, "a second one would exceed the bound");
        pulls.clear();
        assert_eq!(asked(pulls.next(Window { messages: 10, bytes: 1 }, 1)), Some((10, Some(5_000))));
        pulls.clear();
        assert_eq!(pulls.next(Window { messages: 10, bytes: 0 }, 1), None, "the window is full");
    }

    #[test]
    fn a_message_larger_than_a_whole_request_is_asked_for_alone_and_without_a_bound() {
        let mut pulls = Pulls::new(Limits { request_bytes: Some(50), ..limits() });
        assert_eq!(asked(pulls.next(credit(10), 1)), Some((10, Some(50))));
        assert!(!pulls.too_small(1));
        assert_eq!(asked(pulls.next(credit(10), 1)), Some((1, None)));
        assert_eq!(pulls.next(credit(10), 1), None);
        pulls.arrived(90);
        assert_eq!(asked(pulls.next(credit(10), 1)), Some((1, None)), "the next one may be as large");
        assert!(pulls.too_small(3), "nothing is left to be tried");
        pulls.next(credit(10), 1);
        pulls.arrived(40);
        assert_eq!(asked(pulls.next(credit(10), 1)), Some((10, Some(50))));
    }

    #[test]
    fn limits_that_the_server_names_are_obeyed() {
        let mut pulls = Pulls::new(limits());
        pulls.limit(|limits| assert!(limits.obey(RequestLimit::Messages(4))));
        pulls.limit(|limits| assert!(limits.obey(RequestLimit::Bytes(120))));
        pulls.limit(|limits| assert!(!limits.obey(RequestLimit::Bytes(120)), "known already"));
        assert_eq!(asked(pulls.next(credit(100), 1)), Some((4, Some(120))));
    }

    #[test]
    fn ended_and_expired_requests_give_their_credit_back() {
        let mut pulls = Pulls::new(limits());
        pulls.next(credit(10), 100);
        pulls.ended(1);
        assert!(!pulls.is_open());
        pulls.next(credit(10), 100);
        pulls.expire(99);
        assert!(pulls.is_open());
        pulls.expire(100);
        assert!(!pulls.is_open());
    }

    #[test]
    fn a_little_credit_is_enough_when_nothing_is_open() {
        let mut pulls = Pulls::new(limits());
        assert_eq!(asked(pulls.next(credit(1), 1)), Some((1, Some(500))));
        assert_eq!(pulls.next(credit(4), 1), None);
        assert_eq!(pulls.next(credit(0), 1), None);
    }
}
