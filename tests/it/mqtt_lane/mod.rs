//! What MQTT clients of nats-server itself publish, read as a lane.
//!
//! - `messages`: what becomes of each kind of message. `crash`: the server is killed. `kills`: the node is. `unexpected`: streams and consumers that are
//!   missing or not what they should be. `documentation`: the page that operators copy from.

mod crash;
mod documentation;
mod kills;
mod messages;
mod unexpected;

use ingest_kit::jetstream::consumer_info;
use ingest_kit::seed::Device;
use ingest_kit::{MqttDevice, Nats, NodeBuilder, free_port, wait_for};
use serde_json::Value;

use crate::world::{DEADLINE, World};

/// The lane: stream and durable consumer.
const LANE: (&str, &str) = ("$MQTT_msgs", "ingest-mqtt");

/// A world whose nats-server takes MQTT, and the port for that.
pub(crate) async fn mqtt_world() -> (World, u16) {
    let port = free_port();
    let config = format!("server_name: mqtt\nmqtt {{ listen: \"127.0.0.1:{port}\" }}\n");
    (World::with_nats(Nats::start_configured(&config)).await, port)
}

/// A node of this world that reads the lane.
pub(crate) fn node(world: &World) -> NodeBuilder {
    world.node().env("NATS_MQTT", 1)
}

/// The topic of a device's message.
fn topic(device: &Device, kind: &str) -> String {
    format!("tenant/{}/device/{}/{kind}", device.tenant_id, device.device_id)
}

/// A message of a device.
pub(crate) fn message(device: &Device, kind: &str, payload: &Value) -> (String, Vec<u8>) {
    (topic(device, kind), payload.to_string().into_bytes())
}

/// Publishes messages with QoS 1, and returns when the server has acknowledged each.
pub(crate) fn publish(port: u16, messages: impl IntoIterator<Item = (String, Vec<u8>)>) {
    tokio::task::block_in_place(|| {
        let mut device = MqttDevice::connect(port, "device", None).expect("a connection");
        device.publish(messages, |_| ()).expect("acknowledgements");
    });
}

/// Waits until the server has nothing more for the lane.
pub(crate) async fn wait_settled(world: &World) {
    wait_for("every message of the lane to be settled", 3 * DEADLINE, async || {
        let info = consumer_info(&world.jetstream, LANE.0, LANE.1).await;
        info.is_some_and(|info| info.num_pending == 0 && info.num_ack_pending == 0)
    })
    .await;
}
