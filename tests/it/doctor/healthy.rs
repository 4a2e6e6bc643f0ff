//! A world as it should be.

use ingest_kit::jetstream::Outgoing;
use ingest_kit::seed::{self, Device};
use ingest_kit::{InfluxStub, Nats, NodeBuilder, Postgres};

use super::doctor;
use crate::workload::Workload;
use crate::world::{DEADLINE, LANES, World, drain, migrate, node, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_healthy_world_has_nothing_to_be_fixed_before_and_beside_a_node() {
    let (nats, influx) = (Nats::start(), InfluxStub::builder().token("apiv3_test").start());
    let postgres = Postgres::builder().durable(true).start();
    let database = postgres.create_database().await;
    migrate(&database).await;
    seed::devices(&database, &[Device::active("acme", "dev-1", "token")]).await;
    let settings = |node: NodeBuilder| {
        node.env("NATS_URL", nats.url())
            .env("DATABASE_URL", database.url())
            .env("INFLUXDB_URL", influx.url())
            .env("INFLUXDB_TOKEN", "apiv3_test")
            .env("LOG_FORMAT", "text")
    };
    let assert_healthy = async |node: NodeBuilder| {
        let report = doctor(node).await;
        assert!(report.found.iter().all(|one| one.level == "OK" && one.advice.is_none()), "{:#?}", report.found);
        assert_eq!(report.code, Some(0));
        report
    };
    assert_healthy(settings(node())).await;

    let running = start(settings(node())).await;
    let beside = || settings(node()).env("HTTP_BIND", running.address());
    let report = assert_healthy(beside()).await;
    assert!(report.found.iter().any(|one| one.found.contains("a node runs there already")), "{:#?}", report.found);
    let about = |name: &str| report.found.iter().any(|one| one.about == name);
    for name in ["nats", "stream ROUTES", "consumer ingest-workers", "postgresql rights", "influxdb write", "clocks"] {
        assert!(about(name), "{name}: {:#?}", report.found);
    }

    // The same in text, and as comments below the settings.
    let text = beside().arguments(&["doctor"]).run_to_end(DEADLINE).await;
    assert_eq!(text.stdout.lines().filter(|line| line.starts_with("OK    ")).count(), report.found.len(), "{text:?}");
    let online = beside().arguments(&["check-config", "--online", "--json"]).run_to_end(DEADLINE).await;
    let object: serde_json::Value = serde_json::from_str(&online.stdout).expect("one JSON object");
    let results = object["results"].as_array().expect("a list");
    assert!(results.len() > 10 && results.iter().all(|result| result["level"].is_string()), "{results:?}");
    assert_eq!((online.code, object["errors"].as_array().map(Vec::len)), (Some(0), Some(0)), "{}", online.stderr);
    let below = beside().arguments(&["check-config", "--online"]).run_to_end(DEADLINE).await;
    assert_eq!(below.code, Some(0), "{below:?}");
    assert!(below.stdout.contains("# OK    postgresql: 1 tenants"), "{below:?}");
    drain(running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn looking_takes_no_message_settles_none_and_stores_none() {
    let world = World::new().await;
    world.create_quickly_redelivering_consumers().await;
    let load = Workload::good(20);
    load.seed(&world).await;
    world.publish(load.messages.clone()).await;
    world.publish([Outgoing::new("shadow.acme", "{}"), Outgoing::new("commands.acme", "{}")]).await;
    let before = seen(&world).await;
    let report = doctor(world.node()).await;
    assert!(report.wrong("nats permissions").is_empty(), "{:#?}", report.found);
    assert_eq!(seen(&world).await, before);
    assert_eq!(world.database.count("raw_events").await, 0);
    assert_eq!((world.influx.total_points(), world.influx.databases()), (0, Vec::new()));
}

/// What the streams hold, and what the consumers have delivered and settled.
async fn seen(world: &World) -> Vec<[u64; 5]> {
    let mut all = Vec::new();
    for (stream, consumer) in LANES {
        let stream = world.jetstream.get_stream(stream).await.expect("a stream");
        let info = stream.consumer_info(consumer).await.expect("a consumer");
        let state = &stream.cached_info().state;
        all.push([
            state.last_sequence,
            state.messages,
            info.delivered.consumer_sequence,
            info.ack_floor.consumer_sequence,
            info.num_pending,
        ]);
    }
    let routes = world.jetstream.get_stream("ROUTES").await.expect("the stream of route jobs");
    all.push([routes.cached_info().state.last_sequence; 5]);
    all
}
