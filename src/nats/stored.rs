//! Stored messages: reads the time of a message of a stream.

use std::time::Duration;

use async_nats::jetstream::Context;
use serde::Deserialize;
use serde_json::json;
use thiserror::Error;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::provision::{ApiError, request};
use crate::delivery::Lane;

/// Why a stored message's time is not known.
#[derive(Debug, Error)]
pub(crate) enum StoredError {
    /// The server does not answer, or refuses.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The server writes times in another way.
    #[error("the server's time {0}: {1}")]
    Time(String, time::error::Parse),
    /// The look-up took longer than its bound.
    #[error("no answer within {} s", .0.as_secs())]
    Silent(Duration),
}

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
/// See [`StoredError`].
pub(crate) async fn first_stored_us(
    context: &Context,
    lane: Lane,
    seq: u64,
    filters: &[String],
) -> Result<Option<i64>, StoredError> {
    let subject = format!("STREAM.MSG.GET.{}", lane.stream());
    let mut first: Option<Message> = None;
    for filter in filters {
        let found = match request(context, &subject, &json!({"seq": seq, "next_by_subj": filter})).await {
            Ok(Answer { message }) => message,
            Err(ApiError::Server(error)) if error.code() == 404 => continue,
            Err(error) => return Err(error.into()),
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
/// Where it is none.
pub(crate) fn unix_us(time: &str) -> Result<i64, StoredError> {
    let parsed = OffsetDateTime::parse(time, &Rfc3339).map_err(|error| StoredError::Time(time.to_owned(), error))?;
    Ok((parsed.unix_timestamp_nanos() / 1_000) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_times_are_read_to_the_microsecond() {
        assert_eq!(unix_us("2026-11-21T00:00:00.123456789Z").unwrap(), 1_795_219_200_123_456);
        assert_eq!(unix_us("2026-11-21T00:00:00Z").unwrap(), 1_795_219_200_000_000);
        assert!(unix_us("yesterday").is_err());
    }
}
