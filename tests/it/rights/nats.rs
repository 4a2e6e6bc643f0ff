//! Nodes with the permissions of the document.

use std::time::Duration;

use ingest_kit::jetstream::create_streams;
use ingest_kit::seed::{self, catch_all_route};
use ingest_kit::{Nats, NodeBuilder, wait_for};

use crate::document::block;
use crate::workload::Workload;
use crate::world::{DEADLINE, LANES, World, drain, start};

/// A server with a block of the document; who names no user is its administrator, as the test itself.
async fn world(name: &str) -> World {
    let config = format!("{}\nno_auth_user: admin\n", block("rights.md", name));
    World::with_nats(Nats::start_configured(&config)).await
}

/// Everything is settled, the lag is known, a route has its jobs, and the server has refused nothing.
async fn works_without_a_violation(world: &World, set_up: impl Fn(NodeBuilder) -> NodeBuilder) {
    let load = Workload::with_bad(200, 20);
    load.seed(world).await;
    seed::routes(&world.database, &[catch_all_route("tenant-0")]).await;
    let node = world.node().env("NATS_URL", world.nats.url_of("ingest-node", "change-me-too"));
    let node = start(set_up(node)).await;
    world.publish(load.messages.clone()).await;
    for lane in LANES {
        world.wait_settled(lane, DEADLINE).await;
    }
    load.assert_all_there(world).await;
    wait_for("route jobs", DEADLINE, async || {
        let stream = world.jetstream.get_stream("ROUTES").await;
        stream.is_ok_and(|stream| stream.cached_info().state.messages > 0)
    })
    .await;
    wait_for("the lag", DEADLINE, async || {
        let answer = node.get("/lag").await.filter(|answer| answer.status == 200);
        answer.is_some_and(|answer| !answer.body.contains("lower_bound"))
    })
    .await;
    let violations = node.metrics().await.by_label_of("ingest_nats_permission_violations_total", &[], "operation");
    assert_eq!(violations.values().sum::<u64>(), 0, "{violations:?}\n{}", node.log());
    assert!(!node.log().contains("Permissions Violation"), "{}", node.log());
    assert_eq!(node.ready_status().await, Some(200));
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_creates_nothing_works_with_the_rights_of_the_document() {
    let world = world("nats run").await;
    create_streams(&world.jetstream).await;
    world.create_consumers(Duration::from_secs(30), 60_000).await;
    works_without_a_violation(&world, |node| node.env("NATS_CREATE", 0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_makes_its_streams_works_with_the_rights_of_the_document() {
    let world = world("nats create").await;
    works_without_a_violation(&world, |node| node).await;
    for (stream, consumer) in LANES {
        let made = ingest_kit::jetstream::consumer_info(&world.jetstream, stream, consumer).await;
        assert!(made.is_some(), "{consumer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_nodes_user_publishes_to_no_lane() {
    let world = world("nats run").await;
    create_streams(&world.jetstream).await;
    let url = world.nats.url_of("ingest-node", "change-me-too");
    let (violations, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let client = async_nats::ConnectOptions::with_user_and_password("ingest-node".into(), "change-me-too".into())
        .event_callback(move |event| {
            let _ = violations.send(event.to_string());
            async {}
        })
        .connect(&url)
        .await
        .expect("a connection");
    for subject in ["telemetry.t", "shadow.t", "commands.t", "$JS.API.STREAM.DELETE.TELEMETRY"] {
        client.publish(subject.to_owned(), "{}".into()).await.expect("sent");
        client.flush().await.expect("flushed");
        let refused = async {
            while let Some(event) = heard.recv().await {
                if event.to_lowercase().contains("permissions violation") && event.contains(subject) {
                    return;
                }
            }
        };
        tokio::time::timeout(DEADLINE, refused).await.unwrap_or_else(|_| panic!("{subject} is permitted"));
    }
}
