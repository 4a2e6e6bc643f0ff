//! Shadow reports and acknowledgements have the same limits as telemetry.

use std::collections::BTreeMap;

use ingest_kit::envelope::{device, outgoing, telemetry};
use ingest_kit::jetstream::Outgoing;
use ingest_kit::seed;
use serde_json::{Value, json};

use super::{count, counted};
use crate::world::{DEADLINE, LANES, World, drain};

fn report(payload: &Value) -> Outgoing {
    outgoing(&device(0, 1), "shadow", "shadow/reported", payload)
}

fn ack(payload: &Value) -> Outgoing {
    outgoing(&device(0, 1), "commands", "commands/ack", payload)
}

async fn settled(world: &World) {
    for lane in LANES {
        world.wait_settled(lane, DEADLINE).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_size_limit_holds_on_every_lane() {
    let world = World::new().await;
    seed::devices(&world.database, &[device(0, 1)]).await;
    let node = world.start_node().await;
    let padded = |bytes: usize| {
        let empty = json!({ "reported": {}, "version": 1, "command_id": "c", "pad": "" }).to_string().len();
        json!({ "reported": {}, "version": 1, "command_id": "c", "pad": "x".repeat(bytes - empty) })
    };
    for bytes in [8_192, 8_193, 500_000] {
        world.publish([report(&padded(bytes)), ack(&padded(bytes))]).await;
    }
    settled(&world).await;
    let expected = [count("tenant-0", "PAYLOAD_TOO_LARGE", 4)];
    assert_eq!(counted(&world.database).await, BTreeMap::from(expected));
    let kept = "quarantine_events WHERE payload IS NULL AND octet_length(raw) = 8192
                AND detail IN ('payload: 8193 bytes; kept the first 8192 of 8193 bytes',
                               'payload: 500000 bytes; kept the first 8192 of 500000 bytes')";
    assert_eq!(world.database.count(kept).await, 4);
    assert_eq!(world.database.count("device_state WHERE reported_version = 1").await, 1);
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rate_limit_holds_on_every_lane_with_a_bucket_for_each() {
    let world = World::new().await;
    seed::devices(&world.database, &[device(0, 1)]).await;
    seed::app_settings(&world.database, &[("RATE_LIMIT_RPS", "0.001"), ("RATE_LIMIT_BURST", "3")]).await;
    let node = world.start_node().await;
    for seq in 0..5_u64 {
        let shadow = report(&json!({ "reported": {}, "version": seq }));
        world.publish([shadow, ack(&json!({ "command_id": "c" })), telemetry(&device(0, 1), seq)]).await;
    }
    settled(&world).await;
    let expected = [count("tenant-0", "RATE_LIMITED", 6)];
    assert_eq!(counted(&world.database).await, BTreeMap::from(expected));
    let metrics = node.metrics().await;
    assert_eq!(metrics.count("ingest_shadow_reports_total", &[]), 3);
    assert_eq!(metrics.count("ingest_command_acks_total", &[]), 3);
    assert_eq!(world.database.count("raw_events").await, 3);
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shadow_version_is_any_64_bit_integer() {
    let world = World::new().await;
    seed::devices(&world.database, &[device(0, 1)]).await;
    let node = world.start_node().await;
    for version in ["1795219200000", "9223372036854775807"] {
        let text = format!(
            r#"{{"topic":"tenant/tenant-0/device/dev-0000/shadow/reported","payload":{{"reported":{{}},"version":{version}}}}}"#
        );
        world.publish([Outgoing::new("shadow.tenant-0", text)]).await;
        settled(&world).await;
        assert_eq!(world.database.count(&format!("device_state WHERE reported_version = {version}")).await, 1);
    }
    let beyond = r#"{"topic":"tenant/tenant-0/device/dev-0000/shadow/reported","payload":{"reported":{},"version":9223372036854775808}}"#;
    world.publish([Outgoing::new("shadow.tenant-0", beyond)]).await;
    settled(&world).await;
    assert_eq!(counted(&world.database).await, BTreeMap::from([count("tenant-0", "INVALID_PAYLOAD", 1)]));
    drain(node).await;
}
