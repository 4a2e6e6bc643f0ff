//! Results of validation: an [`Event`], [`ShadowReport`] or [`CommandAck`] to be stored, or a [`QuarantineRecord`].

use std::sync::Arc;

use bytestring::ByteString;

use crate::message::device::Device;
use crate::message::msg_type::MsgType;
use crate::message::quarantine_content::Content;
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
    /// The sender's time, else the broker's; Unix microseconds.
    pub event_us: i64,
    /// The payload as the row holds it: JSON text, metrics under their mapped names, no provision token.
    /// Shared by the sinks.
    pub payload: ByteString,
    /// The point as line protocol, without its line feed; `None` where the type makes no point or no InfluxDB is configured.
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

/// What the quarantine (dead letter store) keeps of a rejected message. Holds no provision token.
#[derive(Clone, Debug)]
pub struct QuarantineRecord {
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
    /// Whether no device of that tenant is registered: all such tenants are counted as one.
    pub of_unknown_tenant: bool,
    /// The sender's time, where it could be read; Unix microseconds.
    pub event_us: Option<i64>,
    /// The retained content.
    pub content: Content,
}

impl QuarantineRecord {
    /// The tenant under which the rejection is counted and capped: `unknown` where the message can't be attributed, or its
    /// tenant has no registered device. Senders choose the tenant in a topic, so all of these share one count and one cap.
    pub fn counted_tenant(&self) -> &str {
        match &self.tenant_id {
            Some(tenant) if !self.of_unknown_tenant && !self.rejection.reason.is_unattributed() => tenant,
            _ => "unknown",
        }
    }
}
