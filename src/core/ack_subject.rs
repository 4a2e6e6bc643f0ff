//! The reply subject of a JetStream message: the broker's facts about this delivery.
//!
//! `$JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time ns>.<pending>` or, since ADR-15 of the
//! NATS project, with `<domain>.<account hash>` after `ACK` and further tokens at the end.

/// What the broker says of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts<'a> {
    /// The stream's name.
    pub stream: &'a str,
    /// How often it has been delivered, this time included.
    pub delivered: u32,
    /// Its sequence number in the stream.
    pub stream_seq: u64,
    /// When the broker stored it, Unix microseconds.
    pub received_us: i64,
}

/// Reads a reply subject; `None` where it is none of JetStream's.
pub fn parse(subject: &str) -> Option<Facts<'_>> {
    let tokens = subject.strip_prefix("$JS.ACK.")?;
    let short = tokens.bytes().filter(|byte| *byte == b'.').count() < 8;
    let mut tokens = tokens.split('.').skip(if short { 0 } else { 2 });
    let stream = tokens.next()?;
    let delivered = tokens.nth(1)?.parse().ok()?;
    let stream_seq = tokens.next()?.parse().ok()?;
    let nanoseconds: i64 = tokens.nth(1)?.parse().ok()?;
    Some(Facts { stream, delivered, stream_seq, received_us: nanoseconds.div_euclid(1_000) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_say_the_same() {
        let facts = Facts { stream: "TELEMETRY", delivered: 2, stream_seq: 17, received_us: 1_795_219_200_000_123 };
        assert_eq!(parse("$JS.ACK.TELEMETRY.ingest-workers.2.17.30.1795219200000123456.9"), Some(facts));
        assert_eq!(parse("$JS.ACK._.hash.TELEMETRY.ingest-workers.2.17.30.1795219200000123456.9.token"), Some(facts));
    }

    #[test]
    fn anything_else_is_refused() {
        for subject in ["", "_INBOX.1", "$JS.ACK.", "$JS.ACK.S.c.x.1.1.1.0", "$JS.ACK.S.c.1.1"] {
            assert_eq!(parse(subject), None, "{subject}");
        }
    }
}
