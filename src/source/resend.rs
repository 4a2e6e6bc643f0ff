//! Sending a delivery to its stream again, where the broker would give it up: its last attempt is over, and this node ends.
//!
//! The copy is signed as a replay with the broker's facts of the original, so everything that is stored of it has the
//! original's keys. The original may be terminated once the stream has the copy, not before.

use async_nats::jetstream::Context;
use async_nats::{HeaderMap, Subject, header};
use bytes::Bytes;

use crate::delivery::Origin;
use ingest_core::reprocess::proof::{self, Key};

/// What the consumer keeps of a delivery that the broker delivers only so often.
#[derive(Debug)]
pub(super) struct Kept {
    /// Where it comes from: this delivery, also where the message is a replay.
    pub origin: Origin,
    /// The message as received.
    pub body: Bytes,
    /// The subject it was published to.
    pub subject: Subject,
    /// Its replay header, where it has one.
    pub replay: Option<String>,
}

impl Kept {
    /// The headers of a copy.
    fn headers(&self, key: &Key) -> HeaderMap {
        let Origin { stream, stream_seq, received_us } = &self.origin;
        // Of a copy of a copy the first life counts.
        let proven = self.replay.as_ref().filter(|header| proof::Origin::proven(header, key, &self.body).is_some());
        let facts = proven.cloned().unwrap_or_else(|| {
            let (stream, stream_seq, received_us) = (stream.to_string(), *stream_seq, *received_us);
            proof::Origin { stream, stream_seq, received_us, trusted: false }.header(key, &self.body)
        });
        let mut headers = HeaderMap::new();
        headers.insert(proof::HEADER, facts.as_str());
        // Of this very delivery: two nodes that send it again make one copy, and a copy of the copy is another one.
        headers.insert(header::NATS_MESSAGE_ID, format!("resend:{stream}:{stream_seq}:{received_us}").as_str());
        headers
    }
}

/// Publishes a copy of each; the answer is, in the same order, whether the stream has it.
pub(super) async fn resend(context: &Context, key: &Key, deliveries: &[Kept]) -> Vec<bool> {
    let mut published = Vec::with_capacity(deliveries.len());
    for kept in deliveries {
        let (subject, headers) = (kept.subject.clone(), kept.headers(key));
        published.push(context.publish_with_headers(subject, headers, kept.body.clone()).await);
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

    fn kept(replay: Option<String>) -> Kept {
        Kept {
            origin: Origin { stream: "TELEMETRY".into(), stream_seq: 7, received_us: 9 },
            body: Bytes::from_static(b"{}"),
            subject: Subject::from_static("telemetry.acme"),
            replay,
        }
    }

    fn facts(kept: &Kept, key: &Key) -> proof::Origin {
        let headers = kept.headers(key);
        proof::Origin::proven(headers.get(proof::HEADER).unwrap().as_str(), key, &kept.body).unwrap()
    }

    #[test]
    fn a_copy_has_the_keys_of_the_original_and_is_trusted_no_more_than_it() {
        let key = Key::new(&[7; 32]).unwrap();
        let first = proof::Origin { stream: "TELEMETRY".to_owned(), stream_seq: 7, received_us: 9, trusted: false };
        assert_eq!(facts(&kept(None), &key), first);
        assert_eq!(facts(&kept(Some("forged".to_owned())), &key), first);
    }

    #[test]
    fn a_copy_of_a_replay_has_the_keys_of_its_first_life() {
        let key = Key::new(&[7; 32]).unwrap();
        let first = proof::Origin { stream: "SHADOW".to_owned(), stream_seq: 1, received_us: 2, trusted: true };
        assert_eq!(facts(&kept(Some(first.header(&key, b"{}"))), &key), first);
    }
}
