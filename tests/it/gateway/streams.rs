//! What the gateway knows of the streams that it publishes to: a stream's trouble is that stream's alone.

use async_nats::jetstream::stream::{Config, DiscardPolicy};
use ingest_kit::envelope::{device, telemetry};
use ingest_kit::jetstream::create_streams;
use ingest_kit::seed::{self, Device};
use ingest_kit::{Nats, wait_for};
use serde_json::json;

use super::{Gateway, GatewayBuilder, body, reason, wait_status};
use crate::world::{DEADLINE, LANES, World, drain};

async fn world(device: &Device) -> World {
    let world = World::new().await;
    seed::devices(&world.database, std::slice::from_ref(device)).await;
    world
}

async fn notes(gateway: &Gateway) -> String {
    gateway.node.get("/ready").await.expect("an answer").json()["notes"].to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_drops_its_oldest_is_full_of_what_is_not_read_and_not_of_what_is() {
    let sender = device(1, 1);
    let world = world(&sender).await;
    let small = Config {
        name: "TELEMETRY".to_owned(),
        subjects: vec!["telemetry.>".to_owned()],
        max_messages: 100,
        discard: DiscardPolicy::Old,
        ..Config::default()
    };
    world.jetstream.create_stream(small).await.unwrap();
    let node = world.start_node().await;
    let mut seq = 0;
    let mut fill = async |count: u64| {
        world.publish((seq..seq + count).map(|seq| telemetry(&sender, seq)).collect::<Vec<_>>()).await;
        seq += count;
    };
    for _ in 0..3 {
        fill(90).await;
        world.wait_settled(LANES[0], DEADLINE).await;
    }
    let held = world.jetstream.get_stream("TELEMETRY").await.unwrap().cached_info().state.messages;
    assert_eq!(held, 100, "full, as such a stream is most of its life");
    let gateway = GatewayBuilder::of(&world).start().await;
    let send = async |seq| gateway.send(&sender, "telemetry", &body(&sender, seq)).await;
    assert_eq!(send(1_000).await.status, 202);
    world.wait_settled(LANES[0], DEADLINE).await;
    drain(node).await;

    fill(96).await;
    wait_status("no message to be dropped", 503, async || send(2_000).await).await;
    let answer = send(2_000).await;
    assert_eq!(reason(&answer), (503, json!("STREAM_UNAVAILABLE")));
    assert_eq!(gateway.node.ready_status().await, Some(503));
    let node = world.start_node().await;
    wait_status("what was there to be read", 202, async || send(2_000).await).await;
    drain(gateway.node).await;
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_missing_is_no_trouble_of_the_others() {
    let sender = device(1, 1);
    let world = world(&sender).await;
    create_streams(&world.jetstream).await;
    let gateway = GatewayBuilder::of(&world).start().await;
    let token = sender.token.clone().unwrap();
    let report = async || {
        let body = r#"{"reported":{},"version":1}"#;
        gateway.post("/device/v1/shadow/reported", &token, &[], body).await
    };
    assert_eq!(report().await.status, 200);
    world.jetstream.delete_stream("SHADOW").await.unwrap();
    wait_status("shadow reports to be refused", 503, report).await;
    assert_eq!(gateway.send(&sender, "telemetry", &body(&sender, 1)).await.status, 202);
    wait_for("a remark", DEADLINE, async || notes(&gateway).await.contains("stream SHADOW")).await;
    assert_eq!(gateway.node.ready_status().await, Some(200));
    create_streams(&world.jetstream).await;
    wait_status("shadow reports to be taken", 200, report).await;
    wait_for("no remark", DEADLINE, async || notes(&gateway).await == "[]").await;

    world.jetstream.delete_stream("TELEMETRY").await.unwrap();
    let send = async || gateway.send(&sender, "telemetry", &body(&sender, 2)).await;
    wait_status("telemetry to be refused", 503, send).await;
    wait_for("/ready to say so", DEADLINE, async || gateway.node.ready_status().await == Some(503)).await;
    assert_eq!(report().await.status, 200);
    drain(gateway.node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_may_only_publish_does() {
    let sender = device(1, 1);
    let config = r#"
        authorization {
          users: [
            { user: admin, password: "all" }
            { user: publisher, password: "some", permissions: {
                publish: ["telemetry.>", "shadow.>", "commands.>"], subscribe: ["_INBOX.>"]
            } }
          ]
        }
        no_auth_user: admin
    "#;
    let world = World::with_nats(Nats::start_configured(config)).await;
    seed::devices(&world.database, std::slice::from_ref(&sender)).await;
    let node = world.start_node().await;
    let builder = GatewayBuilder::of(&world).env("NATS_URL", world.nats.url_of("publisher", "some"));
    let gateway = builder.start().await;
    for seq in 0..20 {
        assert_eq!(gateway.send(&sender, "telemetry", &body(&sender, seq)).await.status, 202);
    }
    let stored = "raw_events WHERE accepted";
    wait_for("the rows", DEADLINE, async || world.database.count(stored).await == 20).await;
    drain(gateway.node).await;
    drain(node).await;
}
