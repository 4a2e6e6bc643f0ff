//! The gateway is killed again and again: what was answered 202 has its row.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ingest_kit::jetstream::create_streams;
use ingest_kit::post;
use ingest_kit::seed::{self, Device};
use ingest_kit::wait_for;

use super::{GatewayBuilder, body};
use crate::soak;
use crate::world::{DEADLINE, LANES, World, drain, start};

/// A client tries again so soon after it got no answer.
const RETRY: Duration = Duration::from_millis(20);

/// Messages of a batch.
const BATCH: u64 = 100;

/// The body of a batch with these messages, of the devices in turn.
fn batch(devices: &[Device], number: u64) -> String {
    let message = |seq: u64| {
        let device = &devices[seq as usize % devices.len()];
        let (id, token) = (&device.device_id, device.token.as_deref().unwrap_or_default());
        format!(
            r#"{{"tenant_id":"acme","device_id":"{id}","msg_type":"telemetry","provision_token":"{token}",{}"#,
            &body(device, seq)[1..]
        )
    };
    let messages: Vec<String> = (number * BATCH..(number + 1) * BATCH).map(message).collect();
    format!(r#"{{"messages":[{}]}}"#, messages.join(","))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_twenty_times_it_loses_nothing_that_it_has_answered_and_doubles_nothing() {
    let batches = soak::messages() / BATCH;
    let world = World::new().await;
    let devices: Arc<[Device]> =
        (0..10).map(|n| Device::active("acme", &format!("dev-{n}"), &format!("tok-{n}"))).collect();
    seed::devices(&world.database, &devices).await;
    // No points: they have tests of their own.
    let node = start(world.node().env("INFLUXDB_WRITE_ENABLED", 0)).await;
    let mut gateway = GatewayBuilder::of(&world).start().await;
    let (next, accepted) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let senders: Vec<_> = (0..4)
        .map(|_| {
            let (next, accepted) = (next.clone(), accepted.clone());
            let (address, devices) = (gateway.ingest.clone(), devices.clone());
            tokio::spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= batches {
                        return;
                    }
                    let (key, body) = (format!("Idempotency-Key: batch {number}"), batch(&devices, number));
                    // Until all of it is accepted: retries with the key are the same messages.
                    loop {
                        match post(&address, "/ingest/v1/batch", &[&key], body.as_bytes()).await {
                            Ok(answer) if answer.status == 202 && answer.json()["accepted"] == BATCH => break,
                            Ok(answer) => assert!(matches!(answer.status, 202 | 503), "{}", answer.body),
                            Err(_) => tokio::time::sleep(RETRY).await,
                        }
                    }
                    accepted.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for kill in 1..=soak::KILLS {
        let reached = kill * batches / (soak::KILLS + 1);
        let is_reached = async || accepted.load(Ordering::Relaxed) >= reached;
        wait_for(&format!("{reached} batches to be accepted"), soak::deadline(), is_reached).await;
        gateway.node.sigkill();
        let builder = GatewayBuilder::of(&world);
        let ingest = gateway.ingest.clone();
        let again = builder.env("INGEST_HTTP_BIND", &ingest).start_unready();
        gateway = super::Gateway { node: again.node, ingest };
    }
    for sender in senders {
        sender.await.expect("a sender");
    }
    gateway.node.wait_ready(DEADLINE).await;
    world.wait_settled(LANES[0], soak::deadline()).await;
    let messages = batches * BATCH;
    let different = "(SELECT DISTINCT device_id, seq FROM raw_events) AS messages";
    let (rows, different) = (world.database.count("raw_events").await, world.database.count(different).await);
    assert_eq!((rows, different), (messages, messages), "rows, different messages");
    assert_eq!(world.database.count("quarantine_events").await, 0);
    drain(gateway.node).await;
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_part_of_it_has_panicked_the_next_generation_serves_at_the_same_address() {
    let world = World::new().await;
    let device = Device::active("acme", "dev-1", "tok-1");
    seed::devices(&world.database, std::slice::from_ref(&device)).await;
    create_streams(&world.jetstream).await;
    let gateway = GatewayBuilder::of(&world).env("INGEST_FAILPOINTS", "registry=panic@1").start().await;
    let path = "/ingest/v1/tenant/acme/device/dev-1/telemetry";
    wait_for("202", DEADLINE, async || {
        let answer = post(&gateway.ingest, path, &["X-Provision-Token: tok-1"], body(&device, 1).as_bytes()).await;
        answer.is_ok_and(|answer| answer.status == 202)
    })
    .await;
    let restarts = gateway.node.metrics().await.by_label_of("ingest_actor_restarts_total", &[], "actor");
    assert_eq!(restarts.get("registry"), Some(&1), "{restarts:?}");
    drain(gateway.node).await;
}
