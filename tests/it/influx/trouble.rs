//! InfluxDB does not do its work, or something else answers in its place: it is said soon, once, and in `/ready`.

use ingest_kit::{Node, wait_for};

use super::readings::Readings;
use crate::world::{DEADLINE, LANES, World, drain, start};

/// What `/ready` says of InfluxDB, and its status.
async fn ready(node: &Node) -> (u16, String) {
    let answer = node.get("/ready").await.expect("an answer");
    let body: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
    let notes = body["notes"].as_array().cloned().unwrap_or_default();
    let of_influx = notes.iter().filter_map(|note| note.as_str()).find(|note| note.starts_with("influx:"));
    (answer.status, of_influx.unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_is_said_once_and_is_a_note_in_ready_until_it_answers() {
    let world = World::new().await;
    let load = Readings::of(3, 600);
    load.seed(&world).await;
    let node = start(world.node()).await;
    let (first, rest) = load.messages.split_at(30);
    world.publish(first.to_vec()).await;
    wait_for("the first points", DEADLINE, async || world.influx.total_points() == first.len()).await;
    assert_eq!(ready(&node).await, (200, String::new()));
    world.influx.hang(None);
    world.publish(rest.to_vec()).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    wait_for("the note", DEADLINE, async || ready(&node).await.1.contains("3 tenants' databases do not take writes"))
        .await;
    assert_eq!(ready(&node).await.0, 200, "best effort: no condition of readiness");
    let is_up = async || node.metrics().await.get("ingest_component_up", &[("component", "influx")]);
    wait_for("a server that hangs to do no work", DEADLINE, async || is_up().await == Some(0.0)).await;
    assert_eq!(node.wait_logged("influxdb has not answered for 5 s", 1).await, 1, "{}", node.log());
    wait_for("three tenants' words in /stats", DEADLINE, async || {
        let stats = node.stats().await["actors"]["influx"].to_string();
        stats.matches("influxdb has not answered for 5 s").count() == 3
    })
    .await;

    world.influx.release();
    world.wait_complete(load.messages.len(), &load.expected()).await;
    wait_for("no note", DEADLINE, async || ready(&node).await.1.is_empty()).await;
    wait_for("the server to do its work", DEADLINE, async || is_up().await == Some(1.0)).await;
    node.wait_logged("influxdb takes writes again", 3).await;
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_in_page_confirms_no_point_and_is_said() {
    let world = World::new().await;
    let load = Readings::of(1, 300);
    load.seed(&world).await;
    for (status, page) in [(200, "<html>Please sign in</html>"), (202, ""), (200, r#"{"error":"no"}"#)] {
        world.influx.answer_next(1_000, status, page);
        let node = start(world.node()).await;
        world.publish(load.messages.clone()).await;
        world.wait_settled(LANES[0], DEADLINE).await;
        wait_for("the note", DEADLINE, async || ready(&node).await.1.contains("it is not InfluxDB that answers")).await;
        assert_eq!(node.wait_logged("check INFLUXDB_URL", 1).await, 1, "{}", node.log());
        assert_eq!(world.influx.total_points(), 0);
        assert!(world.owed_lines("%").await >= 300, "a page has confirmed points");
        drain(node).await;
    }
    world.influx.answer_next(0, 204, "");
    let node = start(world.node()).await;
    // The same messages, three times: the points are the same.
    world.wait_settled(LANES[0], DEADLINE).await;
    load.expected().wait_in(&world.influx, 3 * DEADLINE).await;
    world.wait_nothing_owed().await;
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_makes_no_header_is_said_once_with_the_setting() {
    let world = World::beside(ingest_kit::InfluxStub::builder().token("apiv3_right").start()).await;
    let load = Readings::of(3, 90);
    load.seed(&world).await;
    let node = start(world.node().env("INFLUXDB_TOKEN", "Bearer apiv3_right")).await;
    world.publish(load.messages.clone()).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    wait_for("every tenant's note", DEADLINE, async || ready(&node).await.1.starts_with("influx: 3 tenants'")).await;
    assert_eq!(node.wait_logged("influxdb refuses all writes of all tenants", 1).await, 1, "{}", node.log());
    node.wait_logged("check INFLUXDB_TOKEN", 1).await;
    drain(node).await;
}
