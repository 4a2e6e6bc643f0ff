//! The lane on nats-server's own MQTT stream, beside the telemetry lane with the same payloads.

use std::time::{Duration, Instant};

use ingest_kit::jetstream::{Outgoing, consumer_info, publish_all};
use ingest_kit::{Metrics, Node, NodeBuilder, wait_for};

use crate::mqtt::{message, publish};
use crate::servers::{Servers, cpu, peak_mib};
use crate::{DEADLINE, setting};

const MQTT: (&str, &str) = ("$MQTT_msgs", "ingest-mqtt");
const TELEMETRY: (&str, &str) = ("TELEMETRY", "ingest-workers");

struct Run {
    per_second: f64,
    cpu_us: f64,
    peak_mib: u64,
}

/// Drains the same messages by both lanes.
pub(crate) async fn compare(servers: &Servers) -> String {
    let count = setting("WAYS_MESSAGES", 200_000_u64);
    let node = || servers.node().env("NATS_MQTT", 1);
    // Makes the durables: without one the server's stream keeps nothing. The stream comes with the first MQTT client.
    publish(servers.nats_mqtt_port, std::iter::once(message(servers, 0))).await;
    let mut first = node().start();
    first.wait_ready(DEADLINE).await;
    first.sigterm();
    assert_eq!(first.wait_exit(DEADLINE).await, Some(0), "the node's exit code");

    let (mut mqtt, mut telemetry) = (Vec::new(), Vec::new());
    for _ in 0..setting("WAYS_PAIRS", 3_usize) {
        let messages: Vec<_> = (0..count).map(|seq| message(servers, seq)).collect();
        publish(servers.nats_mqtt_port, messages.into_iter()).await;
        mqtt.push(drain(servers, node(), MQTT).await);
        let envelope = |seq| {
            let (topic, payload) = message(servers, seq);
            let mut levels = topic.split('/').skip(1).step_by(2);
            let (tenant, device) = (levels.next().unwrap_or_default(), levels.next().unwrap_or_default());
            let body = format!(
                r#"{{"topic":"{topic}","tenant_id":"{tenant}","device_id":"{device}","msg_type":"telemetry","username":"","ts":0,"payload":{payload}}}"#
            );
            Outgoing::new(format!("telemetry.{tenant}.{device}"), body)
        };
        publish_all(&servers.jetstream, (0..count).map(envelope)).await;
        telemetry.push(drain(servers, node(), TELEMETRY).await);
    }
    let median = |runs: &[Run], value: fn(&Run) -> f64| {
        let mut values: Vec<f64> = runs.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let rate: fn(&Run) -> f64 = |run| run.per_second;
    let used: fn(&Run) -> f64 = |run| run.cpu_us;
    let peak = mqtt.iter().map(|run| run.peak_mib).max().unwrap_or_default();
    format!(
        "{:.0} messages/s, {:.1} us CPU per message, peak {peak} MiB; the telemetry lane {:.0} messages/s, {:.1} us; ratio {:.2} \
         (medians of {} pairs)",
        median(&mqtt, rate),
        median(&mqtt, used),
        median(&telemetry, rate),
        median(&telemetry, used),
        median(&mqtt, rate) / median(&telemetry, rate),
        mqtt.len(),
    )
}

/// Runs a node until the consumer has nothing left.
async fn drain(servers: &Servers, node: NodeBuilder, (stream, consumer): (&str, &str)) -> Run {
    servers.database.execute("TRUNCATE raw_events, device_state, device_sensors; CHECKPOINT").await;
    let info = async || consumer_info(&servers.jetstream, stream, consumer).await.expect("the consumer");
    let waiting = info().await.num_pending;
    let mut node = node.start();
    // Asked of the node: what the server is asked about a consumer with a filter costs it a look at every message.
    let settled = async |node: &Node| {
        let labels = [("consumer", consumer), ("disposition", "ack")];
        node.get("/metrics")
            .await
            .map_or(0, |answer| Metrics::parse(&answer.body).count("ingest_deliveries_settled_total", &labels))
    };
    wait_for("a first settlement", DEADLINE, async || settled(&node).await > 0).await;
    let (start, used, before) = (Instant::now(), cpu(&node), settled(&node).await);
    while settled(&node).await < waiting {
        tokio::time::sleep(Duration::from_millis(20)).await; // polls: the node's own count of what is done
    }
    let (took, used) = (start.elapsed().as_secs_f64(), cpu(&node) - used);
    let peak_mib = peak_mib(&node);
    node.sigterm();
    assert_eq!(node.wait_exit(DEADLINE).await, Some(0), "the node's exit code");
    assert_eq!(servers.database.count("raw_events").await, waiting, "rows");
    let measured = (waiting - before) as f64;
    Run { per_second: measured / took, cpu_us: used.as_secs_f64() * 1e6 / measured, peak_mib }
}
