//! How points get there: TLS, compression, and one database for all tenants.

use ingest_kit::{Authority, InfluxStub, Node, wait_for};

use super::expected::Expected;
use super::readings::Readings;
use super::scene::said;
use crate::world::{DEADLINE, LANES, World, drain, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_is_trusted_on_the_word_of_the_operators_authority_alone() {
    let (builder, authority) = InfluxStub::builder().tls();
    let world = World::beside(builder.start()).await;
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("ca.pem");
    std::fs::write(&file, authority).expect("a file");
    let load = Readings::of(2, 500);
    load.seed(&world).await;

    // Nobody that browsers trust has signed its certificate.
    let node = start(world.node()).await;
    world.publish(load.messages.clone()).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    let trouble =
        async |node: &Node| node.metrics().await.count("ingest_influx_flushes_total", &[("result", "failed")]);
    wait_for("a request in vain", DEADLINE, async || trouble(&node).await > 0).await;
    node.wait_logged("UnknownIssuer", 1).await;
    node.wait_logged("check INFLUXDB_CA_FILE", 1).await;
    assert_eq!(world.influx.total_points(), 0);
    drain(node).await;

    let node = start(world.node().env("INFLUXDB_CA_FILE", file.display())).await;
    world.wait_complete(load.messages.len(), &load.expected()).await;
    assert!(world.influx.url().starts_with("https://"));
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewed_authority_counts_without_a_restart() {
    let (builder, authority) = InfluxStub::builder().tls();
    let world = World::beside(builder.start()).await;
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("ca.pem");
    // That of before the server's certificate was renewed.
    std::fs::write(&file, Authority::new().pem()).expect("a file");
    let load = Readings::of(2, 500);
    load.seed(&world).await;
    let node = start(world.node().env("INFLUXDB_CA_FILE", file.display())).await;
    world.publish(load.messages.clone()).await;
    node.wait_logged("UnknownIssuer", 1).await;
    assert_eq!(world.influx.total_points(), 0);
    std::fs::write(&file, authority).expect("a file");
    world.wait_complete(load.messages.len(), &load.expected()).await;
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_requests_are_compressed_and_small_ones_are_not() {
    let world = World::new().await;
    let load = Readings::of(1, 1_000);
    load.seed(&world).await;
    let (large, small) = load.messages.split_at(990);
    // A batch leaves when it is full or a second old.
    let node = world.node().env("INFLUX_GZIP_MIN_BYTES", 10_000).env("INFLUX_FLUSH_INTERVAL_MS", 1_000);
    let node = start(node).await;
    world.publish(large.to_vec()).await;
    wait_for("the large ones", DEADLINE, async || world.influx.total_points() == large.len()).await;
    let compressed = world.influx.counts().compressed_requests;
    assert!(compressed > 0);
    world.publish(small.to_vec()).await;
    world.wait_complete(load.messages.len(), &load.expected()).await;
    assert_eq!(world.influx.counts().compressed_requests, compressed);
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenants_that_share_a_database_are_told_apart_by_their_tag_also_after_an_outage() {
    let mut world = World::beside(InfluxStub::builder().database_limit(1).start()).await;
    let load = Readings::of(7, 1_400);
    load.seed(&world).await;
    let expected = Expected::shared(&load.messages, "all_of_them");
    let (first, rest) = load.messages.split_at(700);
    let shared = world.missed_node().env("INFLUXDB_DATABASE_LAYOUT", "shared").env("INFLUXDB_DATABASE", "all_of_them");
    let mut node = start(shared.clone()).await;
    world.publish(first.to_vec()).await;
    wait_for("the first points", DEADLINE, async || world.influx.total_points() == first.len()).await;
    // The rest is rebuilt from its rows, by another node.
    world.influx.stop().await;
    world.publish(rest.to_vec()).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    node.sigkill();
    world.influx.start_again();
    let node = start(shared).await;
    world.wait_complete(load.messages.len(), &expected).await;
    assert_eq!(world.influx.databases(), ["all_of_them"]);
    assert_eq!(said(&node, "this will not hold all tenants"), 0);
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_url_with_the_wrong_scheme_is_named() {
    let (encrypted, _) = InfluxStub::builder().tls();
    for influx in [encrypted.start(), InfluxStub::start()] {
        let swapped = match influx.url().split_once("://") {
            Some(("https", rest)) => format!("http://{rest}"),
            Some((_, rest)) => format!("https://{rest}"),
            None => unreachable!("a URL"),
        };
        let world = World::beside(influx).await;
        let load = Readings::of(1, 10);
        load.seed(&world).await;
        let node = start(world.node().env("INFLUXDB_URL", swapped)).await;
        world.publish(load.messages.clone()).await;
        node.wait_logged("at this port: check", 1).await;
        drain(node).await;
    }
}
