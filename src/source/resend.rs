//! Resending: publishes a delivery to its stream again when `max_deliver` is used up and this node drains, because the
//! broker would not deliver it again.
//!
//! The copy carries a signed replay header with the original's stream, sequence and time, so what is stored of it has the
//! original's keys. The original is terminated only after the stream has acknowledged the copy.

use async_nats::jetstream::Context;
use async_nats::{HeaderMap, Subject, header};
use bytes::Bytes;

use crate::delivery::Origin;
use ingest_core::reprocess::proof::{self, Key};

/// A delivery's message, kept in memory where the consumer has a finite `max_deliver`.
#[derive(Debug)]
pub(super) struct RetainedMessage {
    /// The origin of this delivery, even where the message is a replay.
    pub origin: Origin,
    /// The message as received.
    pub body: Bytes,
    /// The subject it was published to.
    pub subject: Subject,
    /// Its replay header, where it has one.
    pub replay: Option<String>,
}

impl RetainedMessage {
    /// The headers of a copy.
    fn headers(&self, key: &Key) -> HeaderMap {
        let Origin { stream, stream_seq, received_us } = &self.origin;
        // A copy of a copy keeps the first original's facts.
        let proven =
            self.replay.as_ref().filter(|header| proof::FirstDelivery::proven(header, key, &self.body).is_some());
        let facts = proven.cloned().unwrap_or_else(|| {
            let (stream, stream_seq, received_us) = (stream.to_string(), *stream_seq, *received_us);
            proof::FirstDelivery { stream, stream_seq, received_us, trusted: false }.header(key, &self.body)
        });
        let mut headers = HeaderMap::new();
        headers.insert(proof::HEADER, facts.as_str());
        // Names this delivery: two nodes that resend it make one copy, and a copy of the copy has another id.
        headers.insert(header::NATS_MESSAGE_ID, format!("resend:{stream}:{stream_seq}:{received_us}").as_str());
        headers
    }
}

/// Publishes a copy of each; returns, in the same order, whether the stream has acknowledged it.
pub(super) async fn resend(context: &Context, key: &Key, deliveries: &[RetainedMessage]) -> Vec<bool> {
    let mut published = Vec::with_capacity(deliveries.len());
    for retained in deliveries {
        let (subject, headers) = (retained.subject.clone(), retained.headers(key));
        published.push(context.publish_with_headers(subject, headers, retained.body.clone()).await);
    }
    let confirmed = published.into_iter().map(async |published| match published {
        Ok(confirmation) => confirmation.await.is_ok(),
        Err(_) => false,
    });
    futures_util::future::join_all(confirmed).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retained(replay: Option<String>) -> RetainedMessage {
        RetainedMessage {
            origin: Origin { stream: "TELEMETRY".into(), stream_seq: 7, received_us: 9 },
            body: Bytes::from_static(b"{}"),
            subject: Subject::from_static("telemetry.acme"),
            replay,
        }
    }

    fn facts(retained: &RetainedMessage, key: &Key) -> proof::FirstDelivery {
        let headers = retained.headers(key);
        proof::FirstDelivery::proven(headers.get(proof::HEADER).unwrap().as_str(), key, &retained.body).unwrap()
    }

    #[test]
    fn a_copy_has_the_keys_of_the_original_and_is_trusted_no_more_than_it() {
        let key = Key::new(&[7; 32]).unwrap();
        let first =
            proof::FirstDelivery { stream: "TELEMETRY".to_owned(), stream_seq: 7, received_us: 9, trusted: false };
        assert_eq!(facts(&retained(None), &key), first);
        assert_eq!(facts(&retained(Some("forged".to_owned())), &key), first);
    }

    #[test]
    fn a_copy_of_a_replay_has_the_keys_of_the_first_original() {
        let key = Key::new(&[7; 32]).unwrap();
        let first = proof::FirstDelivery { stream: "SHADOW".to_owned(), stream_seq: 1, received_us: 2, trusted: true };
        assert_eq!(facts(&retained(Some(first.header(&key, b"{}"))), &key), first);
    }
}
