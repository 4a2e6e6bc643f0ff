//! Consumers as operators create them: limits are obeyed, differences reported, and unusable settings make the lane not
//! ready.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, ReplayPolicy, pull};
use ingest_kit::jetstream::create_streams;
use ingest_kit::{Nats, Node, envelope};
use serde_json::json;

use super::wait_ready_shows;
use crate::workload::Workload;
use crate::world::{DEADLINE, LANES, World, drain};

fn ordinary() -> pull::Config {
    pull::Config { ack_wait: Duration::from_secs(30), max_ack_pending: 60_000, ..Default::default() }
}

async fn world_with(config: pull::Config) -> World {
    let world = World::new().await;
    world.create_consumers_like(config).await;
    world
}

/// A node on such a consumer is not ready, reports why, and settles no message.
async fn is_refused(config: pull::Config, why: &str) {
    let world = world_with(config).await;
    let load = Workload::good(20);
    load.seed(&world).await;
    world.publish(load.messages.clone()).await;
    let node = world.node().start();
    wait_ready_shows(&node, 503, why).await;
    node.wait_logged(why, 1).await;
    let metrics = node.metrics().await;
    assert_eq!(metrics.count("ingest_deliveries_received_total", &[("consumer", LANES[0].1)]), 0);
    assert_eq!(world.database.count("quarantine_events").await, 0);
    drain(node).await;
}

/// A node on such a consumer works within its limits and reports the differences.
async fn is_obeyed(config: pull::Config, note: &str) -> (World, Node) {
    let world = world_with(config).await;
    let load = Workload::good(1_000);
    load.seed(&world).await;
    let node = world.start_node().await;
    world.publish(load.messages.clone()).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    load.assert_all_there(&world).await;
    wait_ready_shows(&node, 200, note).await;
    node.wait_logged(note, 1).await;
    (world, node)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_that_delivers_headers_only_makes_the_lane_not_ready_and_quarantines_nothing() {
    is_refused(pull::Config { headers_only: true, ..ordinary() }, "headers_only").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_that_acknowledges_everything_before_makes_the_lane_not_ready() {
    is_refused(pull::Config { ack_policy: AckPolicy::All, ..ordinary() }, "the ack policy all, not explicit").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_consumer_makes_the_lane_not_ready() {
    let world = World::new().await;
    create_streams(&world.jetstream).await;
    let config = json!({"stream_name": LANES[0].0, "config": {"durable_name": LANES[0].1, "deliver_subject": "push.here",
        "ack_policy": "explicit", "deliver_policy": "all", "replay_policy": "instant"}});
    let subject = format!("CONSUMER.CREATE.{}.{}", LANES[0].0, LANES[0].1);
    let made: serde_json::Value = world.jetstream.request(subject, &config).await.expect("an answer");
    assert!(made.get("error").is_none(), "{made}");
    let node = world.node().start();
    wait_ready_shows(&node, 503, "push consumer").await;
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_on_pull_requests_are_obeyed() {
    let limits = pull::Config {
        max_batch: 100,
        max_expires: Duration::from_secs(1),
        max_bytes: 50_000,
        max_waiting: 1,
        ..ordinary()
    };
    let (_world, node) = is_obeyed(limits, "max_batch is 100").await;
    for note in ["max_expires is 1s", "max_bytes is 50000", "max_waiting is 1"] {
        wait_ready_shows(&node, 200, note).await;
    }
    // Requests that expire unanswered after a second: renewing them must not become a tight loop.
    let before = node.cpu_time().expect("a running node");
    let begun = std::time::Instant::now();
    ingest_kit::wait_for("three idle seconds", DEADLINE, async || begun.elapsed() > Duration::from_secs(3)).await;
    let used = node.cpu_time().expect("a running node") - before;
    assert!(used < Duration::from_secs(1), "an idle node used {used:?} of processor time in three seconds");
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_larger_than_a_pull_request_allows_blocks_no_other_and_is_reported() {
    let (_world, node) = is_obeyed(pull::Config { max_bytes: 200, ..ordinary() }, "max_bytes is 200").await;
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replay_and_deliver_policies_are_reported() {
    for (config, note) in [
        (pull::Config { replay_policy: ReplayPolicy::Original, ..ordinary() }, "replay_policy is original"),
        (pull::Config { deliver_policy: DeliverPolicy::New, ..ordinary() }, "deliver_policy is new"),
        (pull::Config { inactive_threshold: Duration::from_secs(3_600), ..ordinary() }, "inactive_threshold is"),
        (
            pull::Config {
                max_deliver: 3,
                backoff: vec![Duration::from_secs(2), Duration::from_secs(60)],
                ..ordinary()
            },
            "backoff is",
        ),
    ] {
        let (_world, node) = is_obeyed(config, note).await;
        drain(node).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_that_excludes_messages_is_reported() {
    let world = World::new().await;
    create_streams(&world.jetstream).await;
    let config = pull::Config {
        durable_name: Some(LANES[0].1.to_owned()),
        filter_subject: "telemetry.tenant-0".to_owned(),
        ..ordinary()
    };
    world.jetstream.create_consumer_on_stream(config, LANES[0].0).await.expect("a consumer");
    let node = world.start_node().await;
    wait_ready_shows(&node, 200, "filter_subject is telemetry.tenant-0").await;
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_servers_own_limit_on_pull_requests_is_obeyed() {
    let nats = Nats::start_configured("jetstream { limits { max_request_batch: 100, max_ack_pending: 500 } }");
    let world = World::with_nats(nats).await;
    let load = Workload::good(1_000);
    load.seed(&world).await;
    let node = world.start_node().await;
    world.publish(load.messages.clone()).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    load.assert_all_there(&world).await;
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_pull_request_backs_off_and_shows_the_servers_message_in_ready() {
    let world = world_with(pull::Config { max_waiting: 1, ..ordinary() }).await;
    // Another client's request takes the only waiting slot.
    let client = world.nats.connect().await;
    let body = json!({"batch": 1, "expires": 60_000_000_000_u64}).to_string();
    let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{}", LANES[0].0, LANES[0].1);
    let inbox = client.new_inbox();
    let _listening = client.subscribe(inbox.clone()).await.expect("an inbox");
    client.publish_with_reply(subject, inbox, body.into()).await.expect("a request");
    client.flush().await.expect("a flush");

    let node = world.node().start();
    wait_ready_shows(&node, 503, "Exceeded MaxWaiting").await;
    let refusals = |log: &str| log.lines().filter(|line| line.contains("Exceeded MaxWaiting")).count();
    assert!(refusals(&node.log()) <= 3, "one warning each: {}", node.log());
    // One message answers the other's request: the slot is free.
    ingest_kit::seed::devices(&world.database, &[envelope::device(0, 1)]).await;
    world.publish([envelope::telemetry(&envelope::device(0, 1), 1)]).await;
    wait_ready_shows(&node, 200, "max_waiting is 1").await;
    drain(node).await;
}
