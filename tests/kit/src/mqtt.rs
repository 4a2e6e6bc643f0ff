//! A publisher for MQTT brokers, as a device is one.

use std::time::Duration;

use rumqttc::{AsyncClient, Event, EventLoop, Incoming, MqttOptions, Outgoing, QoS};
use tokio::time::timeout;

/// Bound on the broker's next packet while it is published to.
const SILENT: Duration = Duration::from_secs(20);

/// A message for a broker.
#[derive(Clone, Debug)]
pub struct MqttMessage {
    topic: String,
    payload: Vec<u8>,
    qos: QoS,
    retain: bool,
}

impl MqttMessage {
    /// A message with QoS 1.
    pub fn new(topic: impl Into<String>, payload: impl Into<Vec<u8>>) -> Self {
        Self { topic: topic.into(), payload: payload.into(), qos: QoS::AtLeastOnce, retain: false }
    }

    /// The same with QoS 0.
    #[must_use]
    pub fn at_most_once(self) -> Self {
        Self { qos: QoS::AtMostOnce, ..self }
    }

    /// The same, to be retained by the broker.
    #[must_use]
    pub fn retained(self) -> Self {
        Self { retain: true, ..self }
    }
}

/// Publishes messages in order to a broker on this machine, and returns when it has acknowledged each.
///
/// # Panics
/// When the broker refuses the log-in, closes the connection or is silent for long.
pub async fn publish_mqtt(port: u16, user: Option<(&str, &str)>, messages: impl IntoIterator<Item = MqttMessage>) {
    let messages: Vec<MqttMessage> = messages.into_iter().collect();
    let mut unacknowledged = messages.iter().filter(|message| message.qos != QoS::AtMostOnce).count();
    let mut options = MqttOptions::new(format!("device-{:016x}", rand_id()), "127.0.0.1", port);
    options.set_max_packet_size(usize::MAX, usize::MAX);
    if let Some((name, password)) = user {
        options.set_credentials(name, password);
    }
    let (client, mut events) = AsyncClient::new(options, 10);
    let sending = client.clone();
    let sender = tokio::spawn(async move {
        for MqttMessage { topic, payload, qos, retain } in messages {
            sending.publish(topic, qos, retain, payload).await.expect("a valid topic");
        }
    });
    while unacknowledged > 0 || !sender.is_finished() {
        if let Event::Incoming(Incoming::PubAck(_)) = next(&mut events).await {
            unacknowledged -= 1;
        }
    }
    client.disconnect().await.expect("room for one request");
    while next(&mut events).await != Event::Outgoing(Outgoing::Disconnect) {}
}

async fn next(events: &mut EventLoop) -> Event {
    match timeout(SILENT, events.poll()).await {
        Ok(Ok(event)) => event,
        Ok(Err(error)) => panic!("cannot publish: {error}"),
        Err(_) => panic!("the broker is silent for {SILENT:?}"),
    }
}

/// A client id that no other publisher has.
fn rand_id() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}
