//! The pull requests that are open at the broker: how much of the credit they have taken.

use std::collections::VecDeque;

/// A pull request to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its number; the last token of its reply subject.
    pub id: u64,
    /// Most messages it asks for.
    pub messages: usize,
}

/// The open requests, oldest first. The broker serves them in this order.
#[derive(Debug)]
pub struct Pulls {
    open: VecDeque<Open>,
    next_id: u64,
    most: usize,
}

#[derive(Debug)]
struct Open {
    id: u64,
    left: usize,
    deadline_ms: u64,
}

/// Requests at most open at once: while one is being filled, the next is there already.
const MAX_OPEN: usize = 2;

impl Pulls {
    /// No request, each to ask for `most` messages at most.
    pub fn new(most: usize) -> Self {
        Self { open: VecDeque::new(), next_id: 0, most: most.max(1) }
    }

    /// The next request, where the credit that no open request has taken is worth one.
    pub fn next(&mut self, credit: usize, deadline_ms: u64) -> Option<Request> {
        let taken: usize = self.open.iter().map(|open| open.left).sum();
        let messages = credit.saturating_sub(taken).min(self.most);
        // A small request beside a larger one would only cost a round trip.
        let is_worth_it = if self.open.is_empty() { messages > 0 } else { messages * 2 >= self.most };
        if self.open.len() >= MAX_OPEN || !is_worth_it {
            return None;
        }
        self.next_id += 1;
        self.open.push_back(Open { id: self.next_id, left: messages, deadline_ms });
        Some(Request { id: self.next_id, messages })
    }

    /// So many messages have arrived.
    pub fn arrived(&mut self, mut messages: usize) {
        while let Some(oldest) = self.open.front_mut() {
            if messages < oldest.left {
                oldest.left -= messages;
                return;
            }
            messages -= oldest.left;
            self.open.pop_front();
        }
    }

    /// The broker has ended a request.
    pub fn ended(&mut self, id: u64) {
        self.open.retain(|open| open.id != id);
    }

    /// Forgets requests past their deadline: the broker must have ended them, its word was lost.
    pub fn expire(&mut self, now_ms: u64) {
        self.open.retain(|open| open.deadline_ms > now_ms);
    }

    /// Forgets all of them (the connection was lost, and the broker forgets with it).
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

    #[test]
    fn open_requests_never_exceed_the_credit() {
        let mut pulls = Pulls::new(10);
        assert_eq!(pulls.next(15, 1), Some(Request { id: 1, messages: 10 }));
        assert_eq!(pulls.next(15, 1), Some(Request { id: 2, messages: 5 }));
        assert_eq!(pulls.next(100, 1), None, "two are enough");
        pulls.arrived(12);
        assert_eq!(pulls.next(3, 1), None, "the credit is taken");
        assert_eq!(pulls.next(13, 1), Some(Request { id: 3, messages: 10 }));
    }

    #[test]
    fn ended_and_expired_requests_give_their_credit_back() {
        let mut pulls = Pulls::new(10);
        pulls.next(10, 100);
        pulls.ended(1);
        assert!(!pulls.is_open());
        pulls.next(10, 100);
        pulls.expire(99);
        assert!(pulls.is_open());
        pulls.expire(100);
        assert!(!pulls.is_open());
    }

    #[test]
    fn a_little_credit_is_enough_when_nothing_is_open() {
        let mut pulls = Pulls::new(10);
        assert_eq!(pulls.next(1, 1), Some(Request { id: 1, messages: 1 }));
        assert_eq!(pulls.next(4, 1), None);
        assert_eq!(pulls.next(0, 1), None);
    }
}
