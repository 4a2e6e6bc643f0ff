//! What validation makes of a message: an [`Event`] to be stored, or a [`Refusal`] for the quarantine.

use std::sync::Arc;

use bytestring::ByteString;

use crate::message::device::Device;
use crate::message::kept::Content;
use crate::message::msg_type::MsgType;
use crate::message::rejection::Rejection;
use crate::routes::route::Matched;

/// A validated value of the telemetry lane.
#[derive(Clone, Debug)]
pub struct Event {
    /// The registered device it came from; tenant and site are those of the registry.
    pub device: Arc<Device>,
    /// The topic as received.
    pub topic: ByteString,
    /// The message type.
    pub msg_type: MsgType,
    /// The sender's sequence number; 0 when absent.
    pub seq: i64,
    /// When it happened, by the sender's word, else the broker's; Unix microseconds.
    pub event_us: i64,
    /// The payload as the row holds it: JSON text, metrics under their mapped names, no provision token.
    /// Shared with whoever goes on with it after its row.
    pub payload: ByteString,
    /// The point as line protocol, without its line feed; `None` where the type makes no point or no target wants one.
    pub line: Option<String>,
    /// Latitude and longitude in degrees, where the message holds both.
    pub location: Option<(f64, f64)>,
    /// A hash of the metrics' names in their order: equal for messages that report the same sensors.
    pub metrics_signature: u64,
    /// The routes it matches; `None` where there are none.
    pub routes: Option<Matched>,
}

/// A shadow report that may be applied.
#[derive(Clone, Debug)]
pub struct ShadowReport {
    /// The device it came from.
    pub device: Arc<Device>,
    /// The reported state, a JSON object.
    pub reported: String,
    /// The version it claims; applied when not lower than the stored one.
    pub version: i64,
}

/// A command acknowledgement that may be applied.
#[derive(Clone, Debug)]
pub struct CommandAck {
    /// The device it came from.
    pub device: Arc<Device>,
    /// Which command.
    pub command_id: String,
    /// `{"status":..,"details":..}` as `device_commands.ack_details` holds it.
    pub ack_details: String,
}

/// A refused message as the quarantine keeps it. Holds no provision token.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// Why.
    pub rejection: Rejection,
    /// The topic as far as it is known, else empty.
    pub topic: String,
    /// From the topic, where it names one.
    pub tenant_id: Option<String>,
    /// From the payload, where it could be read.
    pub site_id: Option<String>,
    /// From the topic, where it names one.
    pub device_id: Option<String>,
    /// From the topic, where it names one.
    pub msg_type: Option<String>,
    /// No device of that tenant is registered: all such tenants are counted as one.
    pub of_stranger: bool,
    /// The sender's time, where it could be read; Unix microseconds.
    pub event_us: Option<i64>,
    /// What was refused.
    pub content: Content,
}

impl Refusal {
    /// The tenant that the refusal is counted and capped for: `unknown` where nobody knows whose message it was, or its tenant
    /// has no registered device. Senders choose the tenant in a topic, so the rest shares one count and one cap.
    pub fn counted_tenant(&self) -> &str {
        match &self.tenant_id {
            Some(tenant) if !self.of_stranger && !self.rejection.reason.is_of_nobody() => tenant,
            _ => "unknown",
        }
    }
}
