//! The page that operators copy from: its server, its rights, its commands.

use std::process::Command;

use ingest_kit::seed::{self, Device};
use ingest_kit::{Nats, free_port, wait_for};

use super::{node, wait_settled};
use crate::document::block;
use crate::world::{DEADLINE, World, drain, start};

const PAGE: &str = "ways-in/nats-mqtt.md";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_the_rights_and_the_commands_of_the_page_work() {
    let port = free_port();
    let config = block(PAGE, "nats-server").replace("0.0.0.0:1883", &format!("127.0.0.1:{port}"));
    let world = World::with_nats(Nats::start_configured(&format!("{config}\nno_auth_user: admin\n"))).await;
    let mut device = Device::active("acme", "dev-0001", "tok-dev-0001");
    device.site_id = "lab-1".to_owned();
    seed::devices(&world.database, &[device]).await;
    let publish = |name: &str| {
        let commands = block(PAGE, name).replace("-p 1883", &format!("-p {port}"));
        let run = Command::new("sh").args(["-e", "-c", &commands]).output().expect("a shell");
        assert!(run.status.success(), "{run:?} (is `mosquitto_pub` installed? apt-get install mosquitto-clients)");
    };
    publish("first connection");
    let node = start(node(&world).env("NATS_URL", world.nats.url_of("ingest-node", "change-me-too"))).await;
    publish("telemetry");
    wait_for("the row", DEADLINE, async || world.database.count("raw_events WHERE stream = '$MQTT_msgs'").await == 1)
        .await;
    wait_settled(&world).await;
    wait_for("the lag", DEADLINE, async || {
        let answer = node.get("/lag").await.filter(|answer| answer.status == 200);
        answer.is_some_and(|answer| !answer.body.contains("lower_bound"))
    })
    .await;
    let violations = node.metrics().await.by_label_of("ingest_nats_permission_violations_total", &[], "operation");
    assert_eq!(violations.values().sum::<u64>(), 0, "{violations:?}\n{}", node.log());
    drain(node).await;

    // A device's user publishes for its own device only: the server closes the connection or drops the message.
    let foreign = block(PAGE, "telemetry").replace("-p 1883", &format!("-p {port}")).replace("dev-0001/", "dev-0002/");
    let _ = Command::new("sh").args(["-e", "-c", &foreign]).output().expect("a shell");
    let stream = world.jetstream.get_stream("$MQTT_msgs").await.expect("the stream");
    assert_eq!(stream.cached_info().state.messages, 0, "another device's message was stored");
}
