//! Consumer identity: whether the consumer at the broker is still the one that the deliveries came from.
//!
//! An acknowledgement names stream, consumer and sequence only. Once a stream or consumer is deleted and created again under
//! its name, an acknowledgement of the old one settles an unread message of the new one. They differ in the time of
//! creation, so no ack is sent unless that time was confirmed recently.

/// How long an answer counts. Measured from its arrival, not from the question: with a broker that takes longer to answer
/// than this, nothing would ever be settled.
const FRESH_MS: u64 = 1_500;

/// What an answer of the broker means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The first consumer that was ever seen.
    First,
    /// The same as before.
    Same,
    /// Another one of the same name, created later.
    Replaced {
        /// When the one before was created, in nanoseconds as the broker reports them.
        before: i128,
    },
    /// The question was sent before the latest doubt, so its answer resolves nothing.
    Outdated,
}

/// A question to the broker; its answer goes to [`Identity::seen`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    doubts: u64,
}

/// The consumer's identity as last confirmed. Times are milliseconds of any monotonic clock.
#[derive(Debug, Default)]
pub struct Identity {
    created: Option<i128>,
    confirmed_ms: Option<u64>,
    doubts: u64,
}

impl Identity {
    /// Taken before the broker is asked.
    pub fn question(&self) -> Question {
        Question { doubts: self.doubts }
    }

    /// The broker's answer: when the consumer was created.
    pub fn seen(&mut self, created: i128, Question { doubts }: Question, now_ms: u64) -> Seen {
        if doubts != self.doubts {
            return Seen::Outdated;
        }
        let before = self.created.replace(created);
        self.confirmed_ms = Some(now_ms);
        match before {
            None => Seen::First,
            Some(before) if before == created => Seen::Same,
            Some(before) => Seen::Replaced { before },
        }
    }

    /// Something indicates another consumer: the identity is uncertain until the broker has answered again.
    pub fn doubt(&mut self) {
        self.doubts += 1;
        self.confirmed_ms = None;
    }

    /// Whether acks may be sent.
    pub fn is_certain(&self, now_ms: u64) -> bool {
        self.confirmed_ms.is_some_and(|confirmed_ms| now_ms.saturating_sub(confirmed_ms) <= FRESH_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_certain_before_the_first_answer_nor_long_after_it() {
        let mut identity = Identity::default();
        assert!(!identity.is_certain(0));
        let question = identity.question();
        assert_eq!(identity.seen(7, question, 1_000), Seen::First);
        assert!(identity.is_certain(1_000 + FRESH_MS));
        assert!(!identity.is_certain(1_001 + FRESH_MS));
    }

    #[test]
    fn after_a_doubt_only_a_later_question_counts() {
        let mut identity = Identity::default();
        let question = identity.question();
        identity.seen(7, question, 0);
        let earlier = identity.question();
        identity.doubt();
        assert!(!identity.is_certain(10));
        assert_eq!(identity.seen(7, earlier, 10), Seen::Outdated);
        assert!(!identity.is_certain(10));
        let later = identity.question();
        assert_eq!(identity.seen(7, later, 10), Seen::Same);
        assert!(identity.is_certain(10));
    }

    #[test]
    fn another_time_of_creation_is_another_consumer() {
        let mut identity = Identity::default();
        let question = identity.question();
        identity.seen(7, question, 0);
        assert_eq!(identity.seen(9, question, 5), Seen::Replaced { before: 7 });
        assert_eq!(identity.seen(9, question, 6), Seen::Same);
    }
}
