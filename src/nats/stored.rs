//! Stored messages: reads the time of a message of a stream.

use async_nats::jetstream::Context;
use serde::Deserialize;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::provision::{ApiError, request};
use crate::delivery::Lane;

#[derive(Deserialize)]
struct Answer {
    message: Message,
}

/// What of a message is of interest; its content comes along, as the API has no request without it.
#[derive(Deserialize)]
struct Message {
    seq: u64,
    /// RFC 3339.
    time: String,
}

/// When the first message of a lane's stream with this sequence number or a higher one was stored whose subject one of the
/// filters matches, Unix microseconds; `None` where there is none. One request for each filter.
///
/// # Errors
/// A message for people, where the server does not answer or refuses.
pub(crate) async fn first_stored_us(
    context: &Context,
    lane: Lane,
    seq: u64,
    filters: &[String],
) -> Result<Option<i64>, String> {
    let subject = format!("STREAM.MSG.GET.{}", lane.stream());
    let mut first: Option<Message> = None;
    for filter in filters {
        let found = match request(context, &subject, &json!({"seq": seq, "next_by_subj": filter})).await {
            Ok(Answer { message }) => message,
            Err(ApiError::Server(error)) if error.code() == 404 => continue,
            Err(error) => return Err(error.to_string()),
        };
        if first.as_ref().is_none_or(|first| found.seq < first.seq) {
            first = Some(found);
        }
    }
    first.map(|message| unix_us(&message.time)).transpose()
}

/// A time as the server writes it, in Unix microseconds.
///
/// # Errors
/// A sentence, where it is none.
pub(crate) fn unix_us(time: &str) -> Result<i64, String> {
    let parsed = OffsetDateTime::parse(time, &Rfc3339).map_err(|error| format!("the server's time {time}: {error}"))?;
    Ok((parsed.unix_timestamp_nanos() / 1_000) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_times_are_read_to_the_microsecond() {
        assert_eq!(unix_us("2026-11-21T00:00:00.123456789Z"), Ok(1_795_219_200_123_456));
        assert_eq!(unix_us("2026-11-21T00:00:00Z"), Ok(1_795_219_200_000_000));
        assert!(unix_us("yesterday").is_err());
    }
}
