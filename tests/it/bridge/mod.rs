//! The gateway between a real Mosquitto and JetStream, with a node behind it.

mod crash;
mod late_answer;
mod messages;
mod outage;
mod recipe;
mod replicas;
mod secured;
mod strange_topics;

use ingest_kit::envelope::{device, payload};
use ingest_kit::seed::{self, Device};
use ingest_kit::{Mosquitto, MqttMessage, Node, NodeBuilder, publish_mqtt, wait_for};
use serde_json::Value;

use crate::soak;
use crate::world::World;

/// Devices of a test, of two tenants.
const DEVICES: usize = 10;

/// A broker beside the servers of a node; gateways and nodes are started upon them.
struct Bridge {
    world: World,
    broker: Mosquitto,
}

impl Bridge {
    /// A broker that logs every packet.
    async fn new() -> Self {
        Self::with_broker(Mosquitto::start_configured(
            "allow_anonymous true\nautosave_on_changes true\nautosave_interval 1\nlog_type all\n",
        ))
        .await
    }

    async fn with_broker(broker: Mosquitto) -> Self {
        Self::around(World::new().await, broker).await
    }

    async fn around(world: World, broker: Mosquitto) -> Self {
        let devices: Vec<Device> = (0..DEVICES).map(|number| device(number, 2)).collect();
        seed::devices(&world.database, &devices).await;
        Self { world, broker }
    }

    /// A gateway between the broker and JetStream, to be started.
    fn gateway(&self) -> NodeBuilder {
        let node = self.world.node().arguments(&["gateway"]).env("INGEST_HTTP_BIND", "127.0.0.1:0");
        node.env("MQTT_HOST", "127.0.0.1").env("MQTT_PORT", self.broker.port())
    }

    /// Publishes to the broker, which has it when this returns.
    async fn publish(&self, messages: impl IntoIterator<Item = MqttMessage>) {
        publish_mqtt(self.broker.port(), None, messages).await;
    }

    /// Waits until so many rows are stored.
    async fn wait_for_rows(&self, count: u64) {
        wait_for(&format!("{count} rows"), soak::deadline(), async || {
            self.world.database.count("raw_events").await >= count
        })
        .await;
    }

    /// Checks that these messages are stored, each of them once, once the node has settled everything.
    async fn assert_stored_once(&self, count: u64) {
        self.wait_for_rows(count).await;
        self.world.wait_settled(crate::world::LANES[0], soak::deadline()).await;
        let rows = self.world.database.count("raw_events").await;
        let different = "(SELECT DISTINCT tenant_id, device_id, seq FROM raw_events) AS messages";
        assert_eq!((rows, self.world.database.count(different).await), (count, count), "rows and different messages");
    }

    /// PUBACKs that the broker has got from clients whose id begins so.
    fn pubacks(&self, client: &str) -> usize {
        let log = std::fs::read_to_string(self.broker.log()).unwrap_or_default();
        log.lines().filter(|line| line.contains(&format!("Received PUBACK from {client}"))).count()
    }
}

/// Good telemetry messages with these numbers, of all devices in turn.
fn telemetry(numbers: impl IntoIterator<Item = u64>) -> Vec<MqttMessage> {
    let message = |number: u64| {
        let device = device(number as usize % DEVICES, 2);
        on(&device, "telemetry", payload(&device, number).to_string())
    };
    numbers.into_iter().map(message).collect()
}

/// A message on a device's topic.
fn on(device: &Device, kind: &str, payload: impl Into<Vec<u8>>) -> MqttMessage {
    MqttMessage::new(format!("tenant/{}/device/{}/{kind}", device.tenant_id, device.device_id), payload)
}

/// What a gateway has counted, by a label.
async fn counted(gateway: &Node, name: &str, label: &str, value: &str) -> u64 {
    gateway.metrics().await.count(name, &[(label, value)])
}

/// A payload with another value for a key.
fn with(number: u64, key: &str, value: Value) -> String {
    let mut payload = payload(&device(0, 2), number);
    payload[key] = value;
    payload.to_string()
}
