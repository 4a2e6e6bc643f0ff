//! Metrics of the gateway.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use super::exposition::Exposition;
use super::label::{Label, Per};

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

/// Messages on their way into JetStream.
#[derive(Clone, Debug)]
pub(crate) struct GatewayMetrics {
    /// `ingest_gateway_http_published_total{result}`: messages that came over HTTP.
    pub http_published: Per<Publication, Counter>,
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
            mqtt_published: exposition.default("gateway_mqtt_published", "Messages from MQTT, by what the stream did"),
            window_messages: exposition.default("gateway_window_messages", "Messages that wait for the stream"),
            window_bytes: exposition.default("gateway_window_bytes", "Bytes of messages that wait for the stream"),
        }
    }
}
