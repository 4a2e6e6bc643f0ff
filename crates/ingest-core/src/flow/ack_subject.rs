//! Ack subject: the reply subject of a JetStream message, which carries the metadata of this delivery.
//!
//! `$JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time ns>.<pending>` or, since ADR-15 of the
//! NATS project, with `<domain>.<account hash>` after `ACK` and further tokens at the end.

/// The metadata of a delivery.
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
    let mut tokens = Tokens(subject.strip_prefix("$JS.ACK.")?);
    if tokens.0.bytes().filter(|byte| *byte == b'.').count() >= 8 {
        tokens.nth(1)?;
    }
    let stream = tokens.next()?;
    let delivered = tokens.nth(1)?.parse().ok()?;
    let stream_seq = tokens.next()?.parse().ok()?;
    let nanoseconds: i64 = tokens.nth(1)?.parse().ok()?;
    Some(Facts { stream, delivered, stream_seq, received_us: nanoseconds.div_euclid(1_000) })
}

/// Tokens of a subject. Each is a few bytes long, for which a search by bytes is quicker than `str::split`; it is parsed
/// for every message.
struct Tokens<'a>(&'a str);

impl<'a> Iterator for Tokens<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let (token, rest) = match self.0.bytes().position(|byte| byte == b'.') {
            Some(dot) => (&self.0[..dot], &self.0[dot + 1..]),
            None if self.0.is_empty() => return None,
            None => (self.0, ""),
        };
        self.0 = rest;
        Some(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_hold_the_same_facts() {
        let facts = Facts { stream: "TELEMETRY", delivered: 2, stream_seq: 17, received_us: 1_795_219_200_000_123 };
        assert_eq!(parse("$JS.ACK.TELEMETRY.ingest-workers.2.17.30.1795219200000123456.9"), Some(facts));
        assert_eq!(parse("$JS.ACK._.hash.TELEMETRY.ingest-workers.2.17.30.1795219200000123456.9.token"), Some(facts));
    }

    #[test]
    fn other_subjects_are_none() {
        for subject in ["", "_INBOX.1", "$JS.ACK.", "$JS.ACK.S.c.x.1.1.1.0", "$JS.ACK.S.c.1.1"] {
            assert_eq!(parse(subject), None, "{subject}");
        }
    }
}
