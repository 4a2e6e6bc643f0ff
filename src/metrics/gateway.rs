//! Metrics of the gateway.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use super::exposition::Exposition;
use super::label::{Label, Per};
use ingest_core::message::rejection::Reason;

/// What came of publishing a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Publication {
    /// The stream has it.
    Stored,
    /// The stream had it already, by its message id.
    Duplicate,
    /// The stream did not acknowledge it; its sender knows.
    Failed,
}

impl Label for Publication {
    const NAME: &'static str = "result";
    const ALL: &'static [Self] = &[Publication::Stored, Publication::Duplicate, Publication::Failed];

    fn index(self) -> usize {
        self as usize
    }

    fn value(self) -> &'static str {
        match self {
            Publication::Stored => "stored",
            Publication::Duplicate => "duplicate",
            Publication::Failed => "failed",
        }
    }
}

/// Why a request, or a message of one, was refused at the door. Its client has the answer; nothing is in the quarantine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureReason {
    /// A check of the pipeline.
    Check(Reason),
    /// Anything else.
    Request(RequestFault),
}

/// What is wrong with a request beside its messages, or why there is no answer about them now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestFault {
    /// A type that is neither telemetry nor heartbeat.
    InvalidMsgType,
    /// An `Idempotency-Key` that is none.
    InvalidIdempotencyKey,
    /// A batch of no or too many messages, or none at all.
    InvalidBatch,
    /// A `Content-Encoding` other than gzip, or a body that is not what it says.
    InvalidEncoding,
    /// The body did not come in time, or not whole.
    BodyTimeout,
    /// Too many requests of one address.
    AddressLimit,
    /// Too many requests in all.
    TotalLimit,
    /// The bodies that are being read take all the space there is for them.
    Overloaded,
    /// The stream did not acknowledge.
    StreamUnavailable,
    /// As many messages wait for the stream as may.
    WindowFull,
    /// The registry can't be asked.
    RegistryUnavailable,
    /// No such command, document or path.
    NotFound,
}

impl RequestFault {
    /// Every one.
    const ALL: [RequestFault; 12] = [
        RequestFault::InvalidMsgType,
        RequestFault::InvalidIdempotencyKey,
        RequestFault::InvalidBatch,
        RequestFault::InvalidEncoding,
        RequestFault::BodyTimeout,
        RequestFault::AddressLimit,
        RequestFault::TotalLimit,
        RequestFault::Overloaded,
        RequestFault::StreamUnavailable,
        RequestFault::WindowFull,
        RequestFault::RegistryUnavailable,
        RequestFault::NotFound,
    ];

    /// Its code, in answers and as a label.
    const fn as_str(self) -> &'static str {
        match self {
            RequestFault::InvalidMsgType => "INVALID_MSG_TYPE",
            RequestFault::InvalidIdempotencyKey => "INVALID_IDEMPOTENCY_KEY",
            RequestFault::InvalidBatch => "INVALID_BATCH",
            RequestFault::InvalidEncoding => "INVALID_ENCODING",
            RequestFault::BodyTimeout => "BODY_TIMEOUT",
            RequestFault::AddressLimit => "ADDRESS_RATE_LIMITED",
            RequestFault::TotalLimit => "TOTAL_RATE_LIMITED",
            RequestFault::Overloaded => "OVERLOADED",
            RequestFault::StreamUnavailable => "STREAM_UNAVAILABLE",
            RequestFault::WindowFull => "WINDOW_FULL",
            RequestFault::RegistryUnavailable => "REGISTRY_UNAVAILABLE",
            RequestFault::NotFound => "NOT_FOUND",
        }
    }
}

/// The reasons of the checks, then the others.
const REFUSED: [FailureReason; Reason::ALL.len() + RequestFault::ALL.len()] = {
    let mut all = [FailureReason::Request(RequestFault::NotFound); Reason::ALL.len() + RequestFault::ALL.len()];
    let mut at = 0;
    while at < all.len() {
        all[at] = match at < Reason::ALL.len() {
            true => FailureReason::Check(Reason::ALL[at]),
            false => FailureReason::Request(RequestFault::ALL[at - Reason::ALL.len()]),
        };
        at += 1;
    }
    all
};

impl Label for FailureReason {
    const NAME: &'static str = "reason";
    const ALL: &'static [Self] = &REFUSED;

    fn index(self) -> usize {
        match self {
            FailureReason::Check(reason) => reason.index(),
            FailureReason::Request(fault) => Reason::ALL.len() + fault as usize,
        }
    }

    fn value(self) -> &'static str {
        match self {
            FailureReason::Check(reason) => reason.as_str(),
            FailureReason::Request(fault) => fault.as_str(),
        }
    }
}

/// Messages on their way into JetStream.
#[derive(Debug)]
pub(crate) struct GatewayMetrics {
    /// `ingest_gateway_http_published_total{result}`: messages that came over HTTP.
    pub http_published: Per<Publication, Counter>,
    /// `ingest_gateway_refusals_total{reason}`: requests, and messages of batches, that were refused.
    pub refusals: Per<FailureReason, Counter>,
    /// `ingest_gateway_http_connections`: open connections.
    pub http_connections: Gauge,
    /// `ingest_gateway_http_connections_closed_total`: connections that were closed to make room, or for they stood still.
    pub http_connections_closed: Counter,
    /// `ingest_gateway_mqtt_published_total{result}`: messages that came from the MQTT broker.
    pub mqtt_published: Per<Publication, Counter>,
    /// `ingest_gateway_window_messages`: messages that wait for the stream's acknowledgement.
    pub window_messages: Gauge,
    /// `ingest_gateway_window_bytes`: their bytes.
    pub window_bytes: Gauge,
}

impl GatewayMetrics {
    pub(super) fn new(exposition: &mut Exposition) -> Self {
        Self {
            http_published: exposition.default("gateway_http_published", "Messages from HTTP, by what the stream did"),
            refusals: exposition.default("gateway_refusals", "Requests and messages refused at the door, by reason"),
            http_connections: exposition.default("gateway_http_connections", "Open connections"),
            http_connections_closed: exposition
                .default("gateway_http_connections_closed", "Connections closed for another, or as they stood still"),
            mqtt_published: exposition.default("gateway_mqtt_published", "Messages from MQTT, by what the stream did"),
            window_messages: exposition.default("gateway_window_messages", "Messages that wait for the stream"),
            window_bytes: exposition.default("gateway_window_bytes", "Bytes of messages that wait for the stream"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_of_a_refusal_has_its_place() {
        for (at, refused) in FailureReason::ALL.iter().enumerate() {
            assert_eq!(refused.index(), at, "{refused:?}");
        }
    }
}
