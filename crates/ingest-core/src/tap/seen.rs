//! A message as it passes by, decided.

use crate::message::envelope::Envelope;
use crate::message::rejection::Rejection;

/// What the checks decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It has passed; its row, report or acknowledgement is on its way.
    Accepted,
    /// It was rejected.
    Rejected,
    /// It is none of a device's.
    Ignored,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Outcome; 3] = [Outcome::Accepted, Outcome::Rejected, Outcome::Ignored];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Outcome::Accepted => "accepted",
            Outcome::Rejected => "rejected",
            Outcome::Ignored => "ignored",
        }
    }

    /// The outcome of this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == name)
    }
}

/// What the checks decided, with the reason.
#[derive(Clone, Copy, Debug)]
pub enum Decision<'a> {
    /// It has passed.
    Accepted,
    /// It was rejected.
    Rejected(&'a Rejection),
    /// It is none of a device's.
    Ignored,
}

impl Decision<'_> {
    /// Its outcome.
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Decision::Accepted => Outcome::Accepted,
            Decision::Rejected(_) => Outcome::Rejected,
            Decision::Ignored => Outcome::Ignored,
        }
    }
}

/// A message that was decided just now.
#[derive(Clone, Copy, Debug)]
pub struct TappedMessage<'a> {
    /// Its stream.
    pub stream: &'a str,
    /// Its number there.
    pub stream_seq: u64,
    /// How often the broker has delivered it.
    pub attempt: u32,
    /// When the broker took it, Unix microseconds.
    pub received_us: i64,
    /// The message as received.
    pub body: &'a [u8],
    /// What it was opened to; `None` where it could not be.
    pub envelope: Option<&'a Envelope>,
    /// What was decided.
    pub verdict: Decision<'a>,
}
