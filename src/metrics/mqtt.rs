//! Metrics of the session at the MQTT broker.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use super::exposition::Exposition;
use super::label::{Label, Per};

/// The quality of service with which a message came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MqttQos {
    /// 0: the broker keeps no copy of it.
    AtMostOnce,
    /// 1: the broker keeps it until it is acknowledged.
    AtLeastOnce,
}

impl Label for MqttQos {
    const NAME: &'static str = "qos";
    const ALL: &'static [Self] = &[MqttQos::AtMostOnce, MqttQos::AtLeastOnce];

    fn index(self) -> usize {
        self as usize
    }

    fn value(self) -> &'static str {
        match self {
            MqttQos::AtMostOnce => "0",
            MqttQos::AtLeastOnce => "1",
        }
    }
}

/// Why a message is acknowledged and not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MqttDrop {
    /// The platform itself published it, to a device.
    Own,
    /// A retained copy, which the broker repeats with every subscription.
    Retained,
    /// No stream takes a message of this size.
    TooLarge,
}

impl Label for MqttDrop {
    const NAME: &'static str = "reason";
    const ALL: &'static [Self] = &[MqttDrop::Own, MqttDrop::Retained, MqttDrop::TooLarge];

    fn index(self) -> usize {
        self as usize
    }

    fn value(self) -> &'static str {
        match self {
            MqttDrop::Own => "own",
            MqttDrop::Retained => "retained",
            MqttDrop::TooLarge => "too_large",
        }
    }
}

/// The session at the MQTT broker.
#[derive(Clone, Debug)]
pub(crate) struct MqttMetrics {
    /// `ingest_gateway_mqtt_received_total{qos}`: messages from the broker, each as often as it was sent.
    pub received: Per<MqttQos, Counter>,
    /// `ingest_gateway_mqtt_dropped_total{reason}`: messages that are acknowledged and not taken in.
    pub dropped: Per<MqttDrop, Counter>,
    /// `ingest_gateway_mqtt_reconnects_total`: connections after the first.
    pub reconnects: Counter,
    /// `ingest_gateway_mqtt_sessions_lost_total`: reconnects to a broker that did not know the session any more.
    pub sessions_lost: Counter,
    /// `ingest_gateway_mqtt_connected`: 1 while the subscription stands.
    pub connected: Gauge,
}

impl MqttMetrics {
    pub(super) fn new(exposition: &mut Exposition) -> Self {
        Self {
            received: exposition
                .default("gateway_mqtt_received", "Messages from the MQTT broker, repetitions included"),
            dropped: exposition.default("gateway_mqtt_dropped", "MQTT messages acknowledged and not taken in"),
            reconnects: exposition.default("gateway_mqtt_reconnects", "Connections to the MQTT broker after the first"),
            sessions_lost: exposition
                .default("gateway_mqtt_sessions_lost", "Reconnects to an MQTT broker that had forgotten the session"),
            connected: exposition.default("gateway_mqtt_connected", "1 while the MQTT subscription stands"),
        }
    }
}
