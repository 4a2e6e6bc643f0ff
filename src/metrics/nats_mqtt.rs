//! Messages that MQTT clients of nats-server have published. No series where the node does not read them.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;

use crate::delivery::{Lanes, RunWhen};

/// Labels of the qualities of service; the last is that of a message without the header, which no MQTT client has published.
const QOS: [&str; 4] = ["0", "1", "2", "none"];

/// `ingest_nats_mqtt_messages_total{qos}` and `ingest_nats_mqtt_ignored_total`.
#[derive(Debug)]
pub struct NatsMqttMessages {
    is_shown: bool,
    received: [AtomicU64; QOS.len()],
    ignored: AtomicU64,
}

impl NatsMqttMessages {
    /// Of a node that runs these lanes, at zero.
    pub(super) fn new(lanes: Lanes) -> Self {
        let is_shown = lanes.iter().any(|lane| lane.activation() == RunWhen::NatsMqtt);
        Self { is_shown, received: Default::default(), ignored: AtomicU64::new(0) }
    }

    /// A delivery whose message was published with this quality of service; `None` where it does not say.
    pub(crate) fn received(&self, qos: Option<u8>) {
        let unknown = QOS.len() - 1;
        let place = qos.map_or(unknown, |qos| unknown.min(qos.into()));
        self.received[place].fetch_add(1, Ordering::Relaxed);
    }

    /// Deliveries of topics that are not the node's.
    pub(crate) fn ignored(&self, count: usize) {
        self.ignored.fetch_add(count as u64, Ordering::Relaxed);
    }
}

impl Collector for NatsMqttMessages {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        if !self.is_shown {
            return Ok(());
        }
        let help = "Deliveries of messages of MQTT clients of nats-server, by their quality of service.";
        let mut family = encoder.encode_descriptor("nats_mqtt_messages", help, None, MetricType::Counter)?;
        for (qos, count) in QOS.iter().zip(&self.received) {
            let count = ConstCounter::new(count.load(Ordering::Relaxed));
            count.encode(family.encode_family(&[("qos", *qos)])?)?;
        }
        let help = "Those of topics that the platform itself publishes to devices, or of no device: acknowledged without an effect.";
        let ignored = encoder.encode_descriptor("nats_mqtt_ignored", help, None, MetricType::Counter)?;
        ConstCounter::new(self.ignored.load(Ordering::Relaxed)).encode(ignored)
    }
}
