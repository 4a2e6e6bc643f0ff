//! InfluxDB wants another token than the node has.

use ingest_kit::{InfluxStub, wait_for};

use super::readings::Readings;
use super::scene::{said, with_settings};
use crate::world::{DEADLINE, LANES, World, drain, start};

const RIGHT: &str = "apiv3_the-right-one";
const WRONG: &str = "apiv3_the-wrong-one";
const SAID: &str = "influxdb refuses all writes of all tenants; they are kept";

/// A world whose InfluxDB wants the right token.
async fn with_token(load: &Readings) -> World {
    let world = World::beside(InfluxStub::builder().token(RIGHT).start()).await;
    load.seed(&world).await;
    world
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_a_wrong_token_says_so_once_and_one_with_the_right_token_writes_everything() {
    let load = Readings::of(1, 600);
    let world = with_token(&load).await;
    let (node, _dir) = with_settings(world.node(), "retry.retry_delay_max_ms = 500\noutbox.replay_interval_ms = 500");
    let first = start(node.clone().env("INFLUXDB_TOKEN", WRONG)).await;
    world.publish(load.messages.clone()).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    wait_for("several attempts", DEADLINE, async || world.influx.counts().requests >= 6).await;
    assert_eq!(first.wait_logged(SAID, 1).await, 1, "once, however often it is tried:\n{}", first.log());
    assert_eq!(
        first.wait_logged("it does not accept the token: check INFLUXDB_TOKEN", 1).await,
        1,
        "what to do about it"
    );
    assert_eq!((world.influx.total_points(), world.owed_lines("%").await), (0, 600));
    assert_eq!(first.ready_status().await, Some(200));
    assert_eq!(said(&first, WRONG), 0, "the token is in the log");
    assert!(!first.stats().await.to_string().contains(WRONG), "the token is in /stats");
    drain(first).await;
    assert_eq!((world.influx.total_points(), world.owed_lines("%").await), (0, 600));

    let second = start(node.env("INFLUXDB_TOKEN", RIGHT)).await;
    world.wait_complete(load.messages.len(), &load.expected()).await;
    assert_eq!((said(&second, SAID), said(&second, RIGHT)), (0, 0), "{}", second.log());
    drain(second).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_servers_token_becomes_the_nodes_everything_is_written_without_a_restart() {
    let load = Readings::of(3, 900);
    let world = with_token(&load).await;
    let (node, _dir) = with_settings(world.node(), "retry.retry_delay_max_ms = 500");
    let node = start(node.env("INFLUXDB_TOKEN", WRONG)).await;
    world.publish(load.messages.clone()).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    wait_for("several attempts of every tenant", DEADLINE, async || world.influx.counts().requests >= 12).await;
    assert_eq!(node.wait_logged(SAID, 1).await, 1, "once for all of them:\n{}", node.log());
    assert_eq!(world.influx.total_points(), 0);
    world.influx.set_token(WRONG);
    world.wait_complete(load.messages.len(), &load.expected()).await;
    assert_eq!(node.wait_logged("influxdb accepts the token again", 1).await, 1, "{}", node.log());
    assert_eq!(said(&node, SAID), 1, "{}", node.log());
    drain(node).await;
}
