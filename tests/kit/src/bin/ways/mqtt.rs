//! Messages through Mosquitto and a gateway.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use ingest_kit::envelope::payload;
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::{interval, timeout};

use crate::servers::{Servers, cpu, peak_mib};
use crate::{DEADLINE, percentile, setting};

const STREAM: &str = "TELEMETRY";
/// PUBLISHes without a PUBACK.
const IN_FLIGHT: u16 = 1_000;
/// Without another message for so long there is none under way.
const QUIET: Duration = Duration::from_secs(5);

/// A client of a broker; its event loop runs, and passes on what it receives.
pub(crate) fn client(port: u16, id: &str) -> (AsyncClient, mpsc::UnboundedReceiver<Packet>) {
    let mut options = MqttOptions::new(id, "127.0.0.1", port);
    options.set_inflight(IN_FLIGHT).set_clean_session(true).set_max_packet_size(1 << 20, 1 << 20);
    let (client, mut events) = AsyncClient::new(options, 4 * usize::from(IN_FLIGHT));
    let (sender, received) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok(event) = events.poll().await {
            if let Event::Incoming(packet) = event
                && sender.send(packet).is_err()
            {
                return;
            }
        }
    });
    (client, received)
}

/// Publishes with QoS 1 and waits for every PUBACK.
pub(crate) async fn publish(port: u16, messages: impl Iterator<Item = (String, String)> + Send + 'static) {
    let (client, mut received) = client(port, "ways-publisher");
    let sender = tokio::spawn(async move {
        let mut sent = 0_u64;
        for (topic, body) in messages {
            client.publish(topic, QoS::AtLeastOnce, false, body).await.expect("the client sends");
            sent += 1;
        }
        (client, sent)
    });
    let (mut acknowledged, mut sent) = (0, None);
    let mut sender = Some(sender);
    while sent.as_ref().is_none_or(|(_, sent)| acknowledged < *sent) {
        if sender.as_ref().is_some_and(tokio::task::JoinHandle::is_finished) {
            sent = Some(sender.take().expect("a task").await.expect("the sender"));
            continue;
        }
        match timeout(Duration::from_millis(100), received.recv()).await {
            Ok(Some(Packet::PubAck(_))) => acknowledged += 1,
            Ok(None) => panic!("the broker closed the connection"),
            _ => {}
        }
    }
}

/// Message `seq` of the fleet: its topic and its payload.
pub(crate) fn message(servers: &Servers, seq: u64) -> (String, String) {
    let device = &servers.devices[seq as usize % servers.devices.len()];
    let topic = format!("tenant/{}/device/{}/telemetry", device.tenant_id, device.device_id);
    (topic, payload(device, seq).to_string())
}

/// Messages that wait for a gateway's session.
pub(crate) async fn backlog(servers: &Servers) -> String {
    let count = setting("WAYS_MESSAGES", 200_000_u64);
    let (builder, _) = servers.gateway();
    let builder = builder.env("MQTT_HOST", "127.0.0.1").env("MQTT_PORT", servers.mosquitto.port());
    // Makes the session, for which the broker keeps the messages.
    let mut first = builder.start();
    first.wait_ready(DEADLINE).await;
    first.sigterm();
    assert_eq!(first.wait_exit(DEADLINE).await, Some(0), "the gateway's exit code");
    servers.empty(STREAM).await;
    let messages: Vec<_> = (0..count).map(|seq| message(servers, seq)).collect();
    publish(servers.mosquitto.port(), messages.into_iter()).await;

    let (builder, _) = servers.gateway();
    let mut gateway = builder.env("MQTT_HOST", "127.0.0.1").env("MQTT_PORT", servers.mosquitto.port()).start();
    let mut start = None;
    loop {
        let taken = servers.taken(STREAM).await;
        if taken > 0 {
            start.get_or_insert((Instant::now(), cpu(&gateway), taken));
        }
        if taken >= count {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await; // polls: the stream's count is the server's word
    }
    let (start, used, before) = start.expect("a start");
    let (took, used) = (start.elapsed(), cpu(&gateway) - used);
    let line = format!(
        "{:.0} messages/s; {:.1} us CPU per message, peak {} MiB",
        (count - before) as f64 / took.as_secs_f64(),
        used.as_secs_f64() * 1e6 / (count - before) as f64,
        peak_mib(&gateway),
    );
    gateway.sigterm();
    assert_eq!(gateway.wait_exit(DEADLINE).await, Some(0), "the gateway's exit code");
    line
}

/// What the gateway adds to the time that a message takes through Mosquitto.
pub(crate) async fn steady(servers: &Servers, per_second: u64) -> String {
    servers.empty(STREAM).await;
    let (builder, _) = servers.gateway();
    let port = servers.mosquitto.port();
    let mut gateway = builder.env("MQTT_HOST", "127.0.0.1").env("MQTT_PORT", port).start();
    gateway.wait_ready(DEADLINE).await;
    let (subscriber, mut direct) = client(port, "ways-subscriber");
    subscriber.subscribe("tenant/#", QoS::AtLeastOnce).await.expect("a subscription");
    while !matches!(direct.recv().await, Some(Packet::SubAck(_))) {}
    let mut bridged = servers.nats.connect().await.subscribe("telemetry.>").await.expect("a subscription");

    let count = per_second * setting("WAYS_SECONDS", 10_u64);
    let messages: Vec<_> = (0..count).map(|seq| message(servers, seq)).collect();
    let (publisher, mut acknowledged) = client(port, "ways-publisher");
    tokio::spawn(async move { while acknowledged.recv().await.is_some() {} });
    let sender = tokio::spawn(async move {
        let mut ticks = interval(Duration::from_secs_f64(1.0 / per_second as f64));
        let mut sent = HashMap::new();
        for (seq, (topic, body)) in messages.into_iter().enumerate() {
            ticks.tick().await;
            sent.insert(seq as u64, Instant::now());
            publisher.publish(topic, QoS::AtLeastOnce, false, body).await.expect("the client sends");
        }
        (publisher, sent)
    });
    let (mut at_direct, mut at_bridged) = (HashMap::new(), HashMap::new());
    while at_direct.len() < count as usize || at_bridged.len() < count as usize {
        let next = async {
            tokio::select! {
                packet = direct.recv() => {
                    if let Some(Packet::Publish(publish)) = packet {
                        at_direct.insert(seq(&publish.payload, &[]), Instant::now());
                    }
                }
                message = bridged.next() => {
                    at_bridged.insert(seq(&message.expect("a message").payload, &["payload"]), Instant::now());
                }
            }
        };
        timeout(QUIET, next).await.expect("every message arrives both ways");
    }
    let (_publisher, sent) = sender.await.expect("the sender");
    let times = |arrived: &HashMap<u64, Instant>| arrived.iter().map(|(seq, at)| *at - sent[seq]).collect::<Vec<_>>();
    let (mut direct, mut whole) = (times(&at_direct), times(&at_bridged));
    let [direct50, direct99] = [0.5, 0.99].map(|part| percentile(&mut direct, part));
    let [whole50, whole99] = [0.5, 0.99].map(|part| percentile(&mut whole, part));
    let line = format!(
        "{per_second}/s: p50 {whole50:.2} ms, p99 {whole99:.2} ms to NATS; p50 {direct50:.2} ms, p99 {direct99:.2} ms to a subscriber \
         of Mosquitto: {:.2} ms added to p99; peak {} MiB",
        whole99 - direct99,
        peak_mib(&gateway),
    );
    gateway.sigterm();
    assert_eq!(gateway.wait_exit(DEADLINE).await, Some(0), "the gateway's exit code");
    line
}

/// The payload's `seq`, at this place of a message.
fn seq(message: &[u8], path: &[&str]) -> u64 {
    let message: Value = serde_json::from_slice(message).expect("JSON");
    path.iter().fold(&message, |value, key| &value[key])["seq"].as_u64().expect("a seq")
}
