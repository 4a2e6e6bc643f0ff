//! Permission violations: parses the NATS server's messages about missing permissions.

/// What the node was not permitted to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// Requesting messages.
    Pull,
    /// Settling deliveries.
    Ack,
    /// Receiving answers: pulled messages arrive at an inbox.
    Inbox,
    /// Reading or creating streams and consumers.
    Api,
    /// Reading a stored message, for the age of the oldest that is not settled: optional.
    Message,
    /// Receiving advisories about deleted streams and consumers: optional.
    Advisory,
    /// Publishing messages: route jobs, and deliveries that are published again.
    Publish,
    /// Anything else.
    Other,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Operation; 8] = [
        Operation::Pull,
        Operation::Ack,
        Operation::Inbox,
        Operation::Api,
        Operation::Message,
        Operation::Advisory,
        Operation::Publish,
        Operation::Other,
    ];

    /// The metric's label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Operation::Pull => "pull",
            Operation::Ack => "ack",
            Operation::Inbox => "inbox",
            Operation::Api => "api",
            Operation::Message => "message",
            Operation::Advisory => "advisory",
            Operation::Publish => "publish",
            Operation::Other => "other",
        }
    }
}

/// A permission violation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What was denied.
    pub operation: Operation,
    /// The subject without what differs from message to message.
    pub subject: String,
}

/// Reads `Permissions Violation for Publish to "subject"` or `... for Subscription to "subject"`; `None` for other messages.
pub fn read(message: &str) -> Option<Violation> {
    // Some client versions put a prefix before it.
    let (_, rest) = message.split_once("ermissions Violation for ")?;
    let (kind, rest) = rest.split_once(" to ")?;
    let subject = rest.strip_prefix('"').and_then(|rest| rest.split('"').next()).unwrap_or(rest);
    let is_publish = kind.eq_ignore_ascii_case("publish");
    let (operation, kept) = match (is_publish, subject) {
        (true, subject) if subject.starts_with("$JS.API.CONSUMER.MSG.NEXT.") => (Operation::Pull, subject.to_owned()),
        (true, subject) if subject.starts_with("$JS.ACK.") => (Operation::Ack, first_tokens(subject, 4)),
        (true, subject) if subject.starts_with("$JS.API.STREAM.MSG.GET.") => (Operation::Message, subject.to_owned()),
        (_, subject) if subject.starts_with("$JS.API.") => (Operation::Api, subject.to_owned()),
        (true, subject) if !subject.starts_with('$') => (Operation::Publish, first_tokens(subject, 1)),
        (false, subject) if subject.starts_with("$JS.EVENT.") => (Operation::Advisory, subject.to_owned()),
        // An inbox, however its prefix is called: the node subscribes to nothing else.
        (false, subject) if !subject.starts_with('$') => (Operation::Inbox, first_tokens(subject, 1)),
        _ => (Operation::Other, subject.chars().take(256).collect()),
    };
    Some(Violation { operation, subject: kept })
}

/// The first tokens of a subject, `>` for the others.
fn first_tokens(subject: &str, count: usize) -> String {
    match subject.match_indices('.').nth(count - 1) {
        Some((end, _)) => format!("{}.>", &subject[..end]),
        None => subject.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_violation_is_parsed_from_the_servers_message() {
        let cases = [
            (
                r#"Permissions Violation for Publish to "$JS.API.CONSUMER.MSG.NEXT.SHADOW.ingest-shadow""#,
                (Operation::Pull, "$JS.API.CONSUMER.MSG.NEXT.SHADOW.ingest-shadow"),
            ),
            (
                r#"Permissions Violation for Publish to "$JS.ACK.TELEMETRY.ingest-workers.1.17.17.1795219200000123456.0""#,
                (Operation::Ack, "$JS.ACK.TELEMETRY.ingest-workers.>"),
            ),
            (r#"Permissions Violation for Subscription to "_INBOX.abc.*""#, (Operation::Inbox, "_INBOX.>")),
            (
                r#"nats: Permissions Violation for Publish to "$JS.API.STREAM.INFO.COMMANDS""#,
                (Operation::Api, "$JS.API.STREAM.INFO.COMMANDS"),
            ),
            (
                r#"Permissions Violation for Publish to "$JS.API.STREAM.MSG.GET.TELEMETRY""#,
                (Operation::Message, "$JS.API.STREAM.MSG.GET.TELEMETRY"),
            ),
            (
                r#"Permissions Violation for Subscription to "$JS.EVENT.ADVISORY.STREAM.DELETED.TELEMETRY""#,
                (Operation::Advisory, "$JS.EVENT.ADVISORY.STREAM.DELETED.TELEMETRY"),
            ),
            (r#"Permissions Violation for Publish to "routes.acme""#, (Operation::Publish, "routes.>")),
            (
                r#"Permissions Violation for Subscription to "_INBOX.abc.*" using queue "q""#,
                (Operation::Inbox, "_INBOX.>"),
            ),
        ];
        for (message, (operation, subject)) in cases {
            let expected = Violation { operation, subject: subject.to_owned() };
            assert_eq!(read(message), Some(expected), "{message}");
        }
    }

    #[test]
    fn other_messages_are_no_violations() {
        for message in ["", "Authorization Violation", "Slow Consumer", "Maximum Payload Violation"] {
            assert_eq!(read(message), None, "{message}");
        }
    }
}
