//! What is known of the streams that the gateway publishes to, for all ways in.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use ingest_core::message::intake::IntakeStream;

/// Of each stream what the last look has shown. Until the first one none takes anything.
#[derive(Debug, Default)]
pub(crate) struct Streams([Known; IntakeStream::ALL.len()]);

#[derive(Debug, Default)]
struct Known {
    takes: AtomicBool,
    /// 0: no bound.
    max_message_bytes: AtomicUsize,
}

impl Streams {
    /// Streams that take everything, where nobody looks at them.
    pub(crate) fn taking() -> Self {
        let streams = Self::default();
        for stream in IntakeStream::ALL {
            streams.set(stream, true);
        }
        streams
    }

    /// Whether this one takes messages.
    pub(crate) fn takes(&self, stream: IntakeStream) -> bool {
        self.of(stream).takes.load(Ordering::Relaxed)
    }

    /// Whether each of them does: a session with a broker brings messages of all of them, in their order.
    pub(crate) fn all_take(&self) -> bool {
        IntakeStream::ALL.into_iter().all(|stream| self.takes(stream))
    }

    /// The largest message that this one takes, in bytes with its headers, where it has a bound of its own.
    pub(crate) fn max_message_bytes(&self, stream: IntakeStream) -> Option<usize> {
        Some(self.of(stream).max_message_bytes.load(Ordering::Relaxed)).filter(|bytes| *bytes > 0)
    }

    /// Says whether it takes messages; whether it did before.
    pub(super) fn set(&self, stream: IntakeStream, takes: bool) -> bool {
        self.of(stream).takes.swap(takes, Ordering::Relaxed)
    }

    /// Says how large a message may be; not positive: there is no bound.
    pub(super) fn set_max_message_bytes(&self, stream: IntakeStream, bytes: i64) {
        self.of(stream).max_message_bytes.store(usize::try_from(bytes).unwrap_or(0), Ordering::Relaxed);
    }

    fn of(&self, stream: IntakeStream) -> &Known {
        &self.0[stream as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stream_is_known_on_its_own() {
        let streams = Streams::default();
        assert!(!streams.takes(IntakeStream::Telemetry));
        assert!(!streams.set(IntakeStream::Telemetry, true) && streams.takes(IntakeStream::Telemetry));
        assert!(!streams.all_take() && Streams::taking().all_take());
        streams.set_max_message_bytes(IntakeStream::Commands, 512);
        let bounds = IntakeStream::ALL.map(|stream| streams.max_message_bytes(stream));
        assert_eq!(bounds, [None, None, Some(512)]);
        streams.set_max_message_bytes(IntakeStream::Commands, -1);
        assert_eq!(streams.max_message_bytes(IntakeStream::Commands), None);
    }
}
