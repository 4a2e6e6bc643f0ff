//! Space in a stream that drops its oldest messages for new ones: such a stream is full most of its life, and only what is not
//! settled must not be dropped.

/// Part of a limit, in percent, from which on there is no space.
const FULL_PERCENT: u128 = 95;

/// What a stream holds, beside its limits. A limit that is not positive is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holding {
    /// Messages.
    pub messages: u64,
    /// Bytes of all of them.
    pub bytes: u64,
    /// The sequence of the last one.
    pub last_seq: u64,
    /// Most messages.
    pub max_messages: i64,
    /// Most bytes.
    pub max_bytes: i64,
}

impl Holding {
    /// Whether it is near one of its limits.
    pub fn is_nearly_full(&self) -> bool {
        self.is_near(self.messages)
    }

    /// Whether it is near one of them with what is not settled, where everything up to `floor` is: a message more may drop one of
    /// those. Messages are taken to be of one size.
    pub fn is_nearly_full_of_unsettled(&self, floor: u64) -> bool {
        self.is_near(self.last_seq.saturating_sub(floor).min(self.messages))
    }

    fn is_near(&self, messages: u64) -> bool {
        let near = |used: u128, most: i64| most > 0 && used * 100 >= most.unsigned_abs() as u128 * FULL_PERCENT;
        let bytes = u128::from(self.bytes) * u128::from(messages) / u128::from(self.messages.max(1));
        near(messages.into(), self.max_messages) || near(bytes, self.max_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_is_full_of_settled_messages_has_space() {
        let full = Holding { messages: 1_000, bytes: 500_000, last_seq: 5_000, max_messages: 1_000, max_bytes: -1 };
        let unsettled =
            |holding: Holding| [5_000, 4_051, 4_050, 0].map(|floor| holding.is_nearly_full_of_unsettled(floor));
        assert_eq!((full.is_nearly_full(), unsettled(full)), (true, [false, false, true, true]));
        let by_bytes = Holding { max_messages: -1, max_bytes: 500_000, ..full };
        assert_eq!((by_bytes.is_nearly_full(), unsettled(by_bytes)), (true, [false, false, true, true]));
        let unlimited = Holding { max_messages: -1, ..full };
        assert_eq!((unlimited.is_nearly_full(), unsettled(unlimited)), (false, [false; 4]));
        assert!(!Holding::default().is_nearly_full_of_unsettled(0));
    }
}
