//! NATS or PostgreSQL does not answer.

use std::time::Instant;

use ingest_kit::seed::{self, Device};
use ingest_kit::{get, wait_for};
use serde_json::json;

use super::{GatewayBuilder, body, reason, rows, wait_status};
use crate::soak;
use crate::world::{DEADLINE, World, drain};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_nats_is_frozen_there_are_only_503s_and_without_postgresql_what_is_known_passes() {
    let mut world = World::with_own_postgres().await;
    let known = Device::active("acme", "known", "tok-1");
    let other = Device::active("acme", "other", "tok-2");
    seed::devices(&world.database, &[known.clone(), other.clone()]).await;
    let node = world.start_node().await;
    let (gateway, _dir) = GatewayBuilder::of(&world).settings("[gateway]\npublish_timeout_secs = 1\n");
    let gateway = gateway.start().await;
    let send = async |device: &Device, seq| gateway.send(device, "telemetry", &body(device, seq)).await;
    assert_eq!(send(&known, 0).await.status, 202);

    world.nats.pause();
    let since = Instant::now();
    let mut unanswered = 0;
    wait_for("/ready to answer 503", DEADLINE + 2 * soak::frozen(), async || {
        let answer = send(&known, 1).await;
        assert_eq!(reason(&answer), (503, json!("STREAM_UNAVAILABLE")));
        let pause: u64 = answer.header("Retry-After").and_then(|value| value.parse().ok()).expect("Retry-After");
        assert!(pause >= 1);
        unanswered += 1;
        gateway.node.ready_status().await == Some(503) && since.elapsed() >= soak::frozen()
    })
    .await;
    let batch = format!(
        r#"{{"messages":[{{"tenant_id":"acme","device_id":"known","msg_type":"telemetry","provision_token":"tok-1",{}]}}"#,
        &body(&known, 1)[1..]
    );
    let answer = gateway.post("/ingest/v1/batch", "", &[], &batch).await;
    unanswered += 1;
    assert_eq!((answer.status, answer.header("Retry-After").is_some()), (503, true), "{}", answer.body);
    assert_eq!(get(gateway.node.address(), "/health").await.expect("an answer").status, 200);
    world.nats.resume();
    wait_status("202", 202, async || send(&known, 2).await).await;
    rows(&world).await;
    let count = async |seq: i64| world.database.count(&format!("raw_events WHERE seq = {seq}")).await;
    assert_eq!((count(0).await, count(2).await), (1, 1));
    assert!(count(1).await <= unanswered, "each request is at most one row");

    world.postgres.as_ref().expect("its own").pause();
    wait_for("look-ups to fail", DEADLINE, async || {
        let answer = send(&other, 3).await;
        assert_eq!(reason(&answer), (503, json!("REGISTRY_UNAVAILABLE")));
        assert!(answer.header("Retry-After").is_some());
        let ready = gateway.node.get("/ready").await.expect("an answer");
        // A message, not a condition.
        assert_eq!(ready.status, 200, "{}", ready.body);
        ready.body.contains("postgres")
    })
    .await;
    assert_eq!(send(&known, 4).await.status, 202, "what is cached serves");
    assert_eq!(reason(&send(&Device { token: Some("x".to_owned()), ..known.clone() }, 5).await).0, 401);
    world.postgres.as_ref().expect("its own").resume();
    wait_status("the other device", 202, async || send(&other, 6).await).await;
    drain(gateway.node).await;

    // Without PostgreSQL it starts, answers, and drains.
    world.postgres.as_mut().expect("its own").stop();
    let gateway = GatewayBuilder::of(&world).start().await;
    let answer = gateway.send(&known, "telemetry", &body(&known, 7)).await;
    assert_eq!(reason(&answer), (503, json!("REGISTRY_UNAVAILABLE")));
    drain(gateway.node).await;
    world.postgres.as_mut().expect("its own").start_again();
    rows(&world).await;
    assert_eq!((count(4).await, count(6).await, count(7).await), (1, 1, 0));
    drain(node).await;
}
