//! Permission violations: the server's message is shown, and the lane is not ready until the operation is allowed.

use std::time::Duration;

use ingest_kit::{Nats, Node, seed, wait_for};
use serde_json::{Value, json};

use super::wait_ready_shows;
use crate::lag::hold;
use crate::workload::Workload;
use crate::world::{DEADLINE, LANES, World, drain, start};

/// A server where the test, without a user name, may do everything, and the node everything but this.
pub(crate) fn config(denied: &str) -> String {
    format!(
        r#"
        authorization {{ users = [
            {{ user: admin, password: admin }}
            {{ user: node, password: secret, permissions: {{ {denied} }} }}
        ] }}
        no_auth_user: admin
        "#
    )
}

async fn world(denied: &str) -> World {
    let world = World::with_nats(Nats::start_configured(&config(denied))).await;
    world.create_quickly_redelivering_consumers().await;
    world
}

fn node(world: &World) -> ingest_kit::NodeBuilder {
    world.node().env("NATS_URL", world.nats.url_of("node", "secret"))
}

async fn violations(node: &Node, operation: &str) -> u64 {
    node.metrics().await.count("ingest_nats_permission_violations_total", &[("operation", operation)])
}

/// Waits until the server has refused the operation, as the node counts it.
async fn wait_refused(node: &Node, operation: &str) {
    wait_for("the refusal to be counted", DEADLINE, async || violations(node, operation).await > 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_may_do_everything_logs_in_with_the_credentials_of_its_url() {
    let world = world(r#"publish: ">", subscribe: ">""#).await;
    let load = Workload::good(20);
    load.seed(&world).await;
    let node = start(node(&world)).await;
    world.publish(load.messages.clone()).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denied_pull_makes_its_lane_not_ready_until_it_is_permitted() {
    let mut world = world(r#"publish: { deny: "$JS.API.CONSUMER.MSG.NEXT.TELEMETRY.>" }"#).await;
    let load = Workload::good(20);
    load.seed(&world).await;
    world.publish(load.messages.clone()).await;
    let node = node(&world).start();
    let reasons = wait_ready_shows(&node, 503, "ingest-workers: Permissions Violation for Publish").await;
    assert!(!reasons.contains("ingest-shadow: Permissions"), "the other lanes may pull: {reasons}");
    wait_refused(&node, "pull").await;
    let logged = node.wait_logged("nats does not permit", 1).await;
    assert_eq!(logged, 1, "once per subject: {}", node.log());

    world.nats.restart_configured(&config(r#"publish: ">", subscribe: ">""#));
    world.wait_settled(LANES[0], 2 * DEADLINE).await;
    wait_ready_shows(&node, 200, "").await;
    load.assert_all_there(&world).await;
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn denied_acknowledgements_make_their_lane_not_ready() {
    let mut world = world(r#"publish: { deny: "$JS.ACK.TELEMETRY.>" }"#).await;
    let load = Workload::good(20);
    load.seed(&world).await;
    let node = start(node(&world)).await;
    world.publish(load.messages.clone()).await;
    wait_ready_shows(&node, 503, "ingest-workers: Permissions Violation for Publish").await;
    wait_refused(&node, "ack").await;
    node.wait_logged("$JS.ACK.TELEMETRY", 1).await;

    world.nats.restart_configured(&config(r#"publish: ">", subscribe: ">""#));
    world.wait_settled(LANES[0], 2 * DEADLINE).await;
    wait_ready_shows(&node, 200, "").await;
    load.assert_all_there(&world).await;
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denied_publication_of_route_jobs_shows_the_servers_sentence_until_it_is_permitted() {
    let mut world = world(r#"publish: { deny: "routes.>" }"#).await;
    let load = Workload::good(20);
    load.seed(&world).await;
    seed::routes(&world.database, &[seed::catch_all_route("tenant-0")]).await;
    let node = start(node(&world)).await;
    world.publish(load.messages.clone()).await;
    wait_refused(&node, "publish").await;
    wait_ready_shows(&node, 200, r#"nats permissions: Permissions Violation for Publish to \"routes."#).await;
    assert_eq!(node.wait_logged("nats does not permit", 1).await, 1, "once per subject: {}", node.log());

    world.nats.restart_configured(&config(r#"publish: ">", subscribe: ">""#));
    world.wait_settled(LANES[0], 2 * DEADLINE).await;
    wait_for("the message to go", DEADLINE, async || {
        node.get("/ready").await.is_some_and(|ready| ready.status == 200 && !ready.body.contains("nats permissions"))
    })
    .await;
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denied_inbox_is_reported() {
    let world = world(r#"subscribe: { deny: "_INBOX.>" }"#).await;
    let mut node = node(&world).start();
    wait_ready_shows(&node, 503, "Permissions Violation for Subscription").await;
    node.sigterm();
    node.wait_exit(DEADLINE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn denied_advisories_are_not_needed() {
    let world = world(r#"subscribe: { deny: "$JS.EVENT.>" }"#).await;
    let load = Workload::good(20);
    load.seed(&world).await;
    let node = start(node(&world)).await;
    wait_refused(&node, "advisory").await;
    world.publish(load.messages.clone()).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    load.assert_all_there(&world).await;
    assert_eq!(node.ready_status().await, Some(200));
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_right_to_read_messages_the_lag_is_known_but_for_its_age() {
    let mut world =
        World::with_nats(Nats::start_configured(&config(r#"publish: { deny: "$JS.API.STREAM.MSG.GET.>" }"#))).await;
    world.create_consumers(Duration::from_secs(300), 60_000).await;
    let load = Workload::good(20);
    load.seed(&world).await;
    world.publish(load.messages.clone()).await;
    hold(&world, 20).await;
    let node = start(node(&world)).await;
    let lag_of = async || {
        let answer = node.get("/lag").await.filter(|answer| answer.status == 200)?;
        let mut lag: Value = serde_json::from_str(&answer.body).expect("JSON");
        Some(lag["consumers"][LANES[0].1].take())
    };
    wait_for("messages without an age", DEADLINE, async || {
        lag_of().await == Some(json!({"messages": 20, "seconds": null, "scalable": 20}))
    })
    .await;
    wait_ready_shows(&node, 200, "lag of ingest-workers: its seconds are not known: Permissions Violation").await;
    let metrics = node.get("/metrics").await.expect("the metrics").body;
    let shows = |name: &str| metrics.contains(&format!("{name}{{consumer=\"{}\"}}", LANES[0].1));
    assert!(shows("ingest_consumer_ack_pending") && shows("ingest_consumer_pending"), "{metrics}");
    assert!(!shows("ingest_oldest_unsettled_seconds") && !shows("ingest_consumer_lag_seconds"), "{metrics}");
    wait_refused(&node, "message").await;

    world.nats.restart_configured(&config(r#"publish: ">", subscribe: ">""#));
    wait_for("the age", 2 * DEADLINE, async || {
        lag_of().await.is_some_and(|lag| lag["messages"] == 20 && lag["seconds"].as_f64() > Some(3.0))
    })
    .await;
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_without_deliveries_although_messages_are_pending_is_not_ready() {
    let world = World::new().await;
    let load = Workload::good(20);
    load.seed(&world).await;
    world.create_consumers(Duration::from_secs(300), 5).await;
    // Another client takes max_ack_pending messages and never settles them.
    world.publish(load.messages.clone()).await;
    hold(&world, 5).await;
    let node = world.start_node().await;
    wait_ready_shows(&node, 503, "15 messages are pending and none has arrived").await;
    drain(node).await;
}
