//! Which events can be sent through again.

use super::event::Event;
use crate::delivery::Lane;
use ingest_core::message::rejection::Reason;
use ingest_core::message::topic::Topic;

/// What is sent through again of an event.
#[derive(Debug)]
pub(in crate::commands) struct Replayable<'a> {
    /// Its topic.
    pub topic_text: &'a str,
    /// What that names.
    pub topic: Topic<'a>,
    /// Its payload, JSON text.
    pub payload: &'a str,
    /// The lane that it goes through.
    pub lane: Lane,
    /// Its stream.
    pub stream: &'a str,
    /// Its number there.
    pub stream_seq: u64,
    /// The broker's time of it, Unix microseconds.
    pub received_us: i64,
}

impl<'a> Replayable<'a> {
    /// Of an event. `trust`: an operator vouches for its sender; `asks_token`: senders must prove who they are.
    ///
    /// # Errors
    /// Why it can't be sent through again.
    pub(in crate::commands) fn of(event: &'a Event, trust: bool, asks_token: bool) -> Result<Self, &'static str> {
        if event.reason == Reason::PointRefused.as_str() {
            return Err("InfluxDB refused the point; the row is stored");
        }
        let Some(payload) = &event.payload else { return Err("its payload is kept as bytes, as jsonb can't hold it") };
        let Some(topic_text) = event.topic.as_deref() else { return Err("its topic is not known") };
        let Some(topic) = Topic::parse(topic_text) else { return Err("its topic names no device") };
        let (Some(stream), Some(stream_seq), Some(received_us)) = (&event.stream, event.stream_seq, event.received_us)
        else {
            return Err("it has no stream and sequence: an earlier system stored it");
        };
        let Some(lane) = Lane::of_stream(stream).and_then(|lane| lane.for_replay(topic_text)) else {
            return Err("its stream is none that the node reads");
        };
        if event.is_mirrored {
            return Err("raw_events holds it as a mirrored reject; delete that row first");
        }
        if event.reason == Reason::SubjectMismatch.as_str() && !trust {
            return Err("it came on another's subject; --trust replays it all the same");
        }
        if lane.has_rows() && asks_token && !event.authenticated {
            return Err("its sender had not proven who it is; --trust replays it all the same");
        }
        let (payload, stream_seq) = (payload.get(), stream_seq as u64);
        Ok(Self { topic_text, topic, payload, lane, stream, stream_seq, received_us })
    }
}
