//! Message types, from the topic.

use bytestring::ByteString;

/// The message type, from the topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MsgType {
    /// `telemetry`: becomes a row and a point with its metrics.
    Telemetry,
    /// `heartbeat`: becomes a row and a point with its sequence number alone.
    Heartbeat,
    /// Anything else: becomes a row.
    Other(ByteString),
}

impl MsgType {
    /// The type as text.
    pub fn as_str(&self) -> &str {
        match self {
            MsgType::Telemetry => "telemetry",
            MsgType::Heartbeat => "heartbeat",
            MsgType::Other(text) => text,
        }
    }
}
