//! The gateway is killed again and again: what was answered 202 has its row.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ingest_kit::jetstream::create_streams;
use ingest_kit::post;
use ingest_kit::seed::{self, Device};
use parking_lot::Mutex;

use super::{GatewayBuilder, body, rows};
use crate::world::{DEADLINE, World, drain};
use ingest_kit::wait_for;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_twenty_times_it_loses_nothing_that_it_has_answered() {
    let world = World::new().await;
    let device = Device::active("acme", "dev-1", "tok-1");
    seed::devices(&world.database, std::slice::from_ref(&device)).await;
    let node = world.start_node().await;
    let mut gateway = GatewayBuilder::of(&world).start().await;
    let (ends, next, accepted) =
        (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(BTreeSet::new())));
    let senders: Vec<_> = (0..4)
        .map(|_| {
            let (ends, next, accepted) = (ends.clone(), next.clone(), accepted.clone());
            let (address, device) = (gateway.ingest.clone(), device.clone());
            tokio::spawn(async move {
                while !ends.load(Ordering::Relaxed) {
                    let seq = next.fetch_add(1, Ordering::Relaxed);
                    let key = format!("Idempotency-Key: {seq}");
                    let path = "/ingest/v1/tenant/acme/device/dev-1/telemetry";
                    // Until it is answered: retries with the key are the same message.
                    loop {
                        let headers = ["X-Provision-Token: tok-1", &key];
                        match post(&address, path, &headers, body(&device, seq).as_bytes()).await {
                            Ok(answer) if answer.status == 202 => {
                                accepted.lock().insert(seq as i64);
                                break;
                            }
                            Ok(answer) => assert_eq!(answer.status, 503, "{}", answer.body),
                            Err(_) if ends.load(Ordering::Relaxed) => break,
                            Err(_) => tokio::task::yield_now().await,
                        }
                    }
                }
            })
        })
        .collect();
    for _ in 0..20 {
        let before = accepted.lock().len();
        wait_for("messages to be accepted", DEADLINE, async || accepted.lock().len() > before + 20).await;
        gateway.node.sigkill();
        let builder = GatewayBuilder::of(&world);
        let ingest = gateway.ingest.clone();
        let again = builder.env("INGEST_HTTP_BIND", &ingest).start_unready();
        gateway = super::Gateway { node: again.node, ingest };
    }
    gateway.node.wait_ready(DEADLINE).await;
    ends.store(true, Ordering::Relaxed);
    for sender in senders {
        sender.await.expect("a sender");
    }
    let stored = rows(&world).await;
    let seqs = world.database.query("SELECT DISTINCT seq FROM raw_events", &[]).await;
    let stored_seqs: BTreeSet<i64> = seqs.iter().map(|row| row.get(0)).collect();
    let accepted = accepted.lock().clone();
    assert!(accepted.len() > 400);
    assert_eq!(accepted.difference(&stored_seqs).count(), 0, "lost");
    assert_eq!(stored, stored_seqs.len() as u64, "stored twice");
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
