//! What the broker says.

/// The stream of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stream {
    /// It could not be asked.
    Unknown,
    /// There is none of this name.
    Missing,
    /// It is there.
    Found(StreamFacts),
}

/// A stream that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamFacts {
    /// When it was made, Unix microseconds.
    pub created_us: i64,
    /// The number of its first message.
    pub first_seq: u64,
    /// The number of its last one.
    pub last_seq: u64,
    /// Age at which it drops messages, in seconds; 0 = never.
    pub max_age_secs: u64,
    /// Whether it drops what all of its consumers have settled, as nats-server's own stream of MQTT messages does.
    pub drops_settled: bool,
    /// The message.
    pub message: Message,
}

/// A message in its stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// It could not be asked.
    Unknown,
    /// It is not there.
    Absent,
    /// It is there.
    Present(MessageFacts),
}

/// A message that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageFacts {
    /// When the broker took it, Unix microseconds.
    pub received_us: i64,
    /// The subject it was published to.
    pub subject: String,
    /// Bytes of its body.
    pub bytes: usize,
}

/// The node's consumer of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Consumer {
    /// It could not be asked.
    Unknown,
    /// The node reads no stream of this name.
    NotOurs,
    /// There is none yet.
    Missing(&'static str),
    /// It is there.
    Found(ConsumerFacts),
}

/// A consumer that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerFacts {
    /// Its name.
    pub name: &'static str,
    /// When it was made, Unix microseconds.
    pub created_us: i64,
    /// The highest number that it has delivered.
    pub delivered: u64,
    /// All up to this number is settled.
    pub ack_floor: u64,
    /// Messages that are delivered and not settled.
    pub ack_pending: u64,
    /// Messages that were not delivered yet.
    pub pending: u64,
    /// Messages that were delivered more than once and are not settled.
    pub redelivered: u64,
    /// Most deliveries of a message; 0 = any number.
    pub max_deliver: u64,
}

/// How far a consumer is with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::explain) enum Progress {
    /// Not delivered; so many are before it, not settled or not delivered.
    Waiting(u64),
    /// Delivered, and perhaps not settled.
    Delivered,
    /// Settled.
    Settled,
}

impl ConsumerFacts {
    /// How far it is with the message of this number.
    pub(in crate::explain) fn progress(&self, seq: u64) -> Progress {
        if seq > self.delivered {
            // Numbers may be missing in between, and the last message to come is the one asked for or a later one.
            let before = (seq - self.delivered - 1).min(self.pending.saturating_sub(1));
            Progress::Waiting(before + self.ack_pending)
        } else if seq > self.ack_floor && self.ack_pending > 0 {
            Progress::Delivered
        } else {
            Progress::Settled
        }
    }
}
