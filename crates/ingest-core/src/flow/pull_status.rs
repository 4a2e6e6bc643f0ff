//! Status messages of the broker about a pull request.

use std::time::Duration;

/// A parsed status message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PullStatus {
    /// The request is open, the connection works.
    Heartbeat,
    /// The request has ended normally: served in full, expired, no messages.
    Ended,
    /// The request has ended because the next message does not fit into its bytes.
    TooSmall,
    /// The consumer or its stream does not exist, or the server that leads it shuts down.
    Gone,
    /// The request was rejected for its form; with the limit, where the server names it.
    Rejected(Option<RequestLimit>),
}

/// A limit on pull requests, as the server names it when it rejects one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestLimit {
    /// Most messages of one request.
    Messages(usize),
    /// Most bytes of one request.
    Bytes(usize),
    /// Longest time that a request may wait.
    Expires(Duration),
}

/// Reads a status code and its description.
pub fn read(status: u16, description: &str) -> PullStatus {
    match status {
        100 => PullStatus::Heartbeat,
        404 | 408 => PullStatus::Ended,
        503 => PullStatus::Gone,
        409 if description.contains("Deleted") || description.contains("Shutdown") => PullStatus::Gone,
        409 if description.contains("Exceeds MaxBytes") => PullStatus::TooSmall,
        409 if ["Batch Completed", "Leadership Change"].iter().any(|end| description.contains(end)) => {
            PullStatus::Ended
        }
        _ => PullStatus::Rejected(limit(description)),
    }
}

/// `Exceeded MaxRequestBatch of 100`, `Exceeded MaxRequestExpires of 1m5s`, `Exceeded MaxRequestMaxBytes of 1024`.
fn limit(description: &str) -> Option<RequestLimit> {
    let (name, value) = description.strip_prefix("Exceeded ")?.split_once(" of ")?;
    match name {
        "MaxRequestBatch" => value.parse().ok().map(RequestLimit::Messages),
        "MaxRequestMaxBytes" => value.parse().ok().map(RequestLimit::Bytes),
        "MaxRequestExpires" => go_duration(value).map(RequestLimit::Expires),
        _ => None,
    }
}

/// A duration as Go writes it: `1h2m3.5s`, `250ms`, `10µs`.
fn go_duration(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(digits);
        let unit_end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_end);
        let seconds = match unit {
            "h" => 3_600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "µs" | "us" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        total += Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()?;
        rest = next;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_ends_are_no_rejections() {
        for (status, description) in [
            (404, "No Messages"),
            (408, "Request Timeout"),
            (408, "Requests Pending"),
            (409, "Batch Completed"),
            (409, "Leadership Change"),
        ] {
            assert_eq!(read(status, description), PullStatus::Ended, "{status} {description}");
        }
        assert_eq!(read(100, "Idle Heartbeat"), PullStatus::Heartbeat);
        assert_eq!(read(409, "Message Size Exceeds MaxBytes"), PullStatus::TooSmall);
    }

    #[test]
    fn a_consumer_that_is_gone_is_recognised() {
        for (status, description) in [(503, ""), (409, "Consumer Deleted"), (409, "Server Shutdown")] {
            assert_eq!(read(status, description), PullStatus::Gone, "{status} {description}");
        }
    }

    #[test]
    fn a_rejection_names_its_limit_where_the_server_does() {
        for (description, limit) in [
            ("Exceeded MaxRequestBatch of 100", Some(RequestLimit::Messages(100))),
            ("Exceeded MaxRequestMaxBytes of 1024", Some(RequestLimit::Bytes(1_024))),
            ("Exceeded MaxRequestExpires of 5s", Some(RequestLimit::Expires(Duration::from_secs(5)))),
            ("Exceeded MaxRequestExpires of 1m0.5s", Some(RequestLimit::Expires(Duration::from_millis(60_500)))),
            ("Exceeded MaxRequestBatch of a lot", None),
            ("Exceeded MaxWaiting", None),
            ("Consumer is push based", None),
            ("", None),
        ] {
            assert_eq!(read(409, description), PullStatus::Rejected(limit), "{description}");
        }
        assert_eq!(read(400, "Bad Request"), PullStatus::Rejected(None));
        assert_eq!(read(423, "Nats-Wrong-Pin-Id"), PullStatus::Rejected(None));
    }
}
