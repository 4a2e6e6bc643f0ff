//! The commands of docs/ways-in/mqtt.md, as an operator copies them.

use std::process::Command;

use ingest_kit::seed::{self, Device};
use ingest_kit::{Mosquitto, Nats, wait_for};

use super::Bridge;
use crate::doctor::doctor;
use crate::document::block;
use crate::world::{DEADLINE, World, drain, start};

const DOCUMENT: &str = "ways-in/mqtt.md";

/// Runs a block of commands that must succeed.
fn run(commands: &str) {
    let run = Command::new("sh").args(["-e", "-c", commands]).output().expect("a shell");
    assert!(run.status.success(), "{commands}\n{}", String::from_utf8_lossy(&run.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commands_of_the_document_work() {
    let dir = tempfile::tempdir().expect("a directory");
    let here = |text: String| text.replace("/etc/mosquitto", dir.path().to_str().expect("UTF-8"));
    run(&here(block(DOCUMENT, "mosquitto users")));
    let config = here(block(DOCUMENT, "mosquitto conf"));
    let config = config.replace("listener 1883", "listener {port} 127.0.0.1").replace("/var/lib/mosquitto/", "{dir}/");
    let nats = format!("{}\nno_auth_user: admin\n", block("rights.md", "nats gateway"));
    let world = World::with_nats(Nats::start_configured(&nats)).await;
    let bridge = Bridge::around(world, Mosquitto::start_with_file(&config)).await;
    let device = Device { site_id: "lab-1".to_owned(), ..Device::active("acme", "dev-0001", "tok-dev-0001") };
    seed::devices(&bridge.world.database, &[device]).await;
    let node = bridge.world.start_node().await;

    let settings = block(DOCUMENT, "gateway environment");
    let settings = settings
        .replace("nats://nats:4222", &bridge.world.nats.url_of("ingest-gateway", "change-me-three"))
        .replace("=mosquitto", "=127.0.0.1");
    let with_settings = || {
        settings.lines().fold(bridge.gateway(), |gateway, line| {
            let (name, value) = line.split_once('=').unwrap_or_else(|| panic!("no setting: {line}"));
            gateway.env(name, value)
        })
    };
    let report = doctor(with_settings()).await;
    let about_broker: Vec<_> = report.found.iter().filter(|one| one.about.starts_with("mqtt")).collect();
    assert!(about_broker.len() >= 3 && about_broker.iter().all(|one| one.level == "OK"), "{about_broker:#?}");

    let gateway = start(with_settings()).await;
    let publish = block(DOCUMENT, "publish");
    run(&publish.replace("-h mosquitto", &format!("-h 127.0.0.1 -p {}", bridge.broker.port())));
    let database = &bridge.world.database;
    wait_for("row and shadow", DEADLINE, async || {
        database.count("raw_events WHERE device_id = 'dev-0001' AND seq = 1").await == 1
            && database.count("device_state WHERE reported_version = 1").await == 1
    })
    .await;
    let violations = gateway.metrics().await.count("ingest_nats_permission_violations_total", &[]);
    assert_eq!(violations, 0, "{}", gateway.log());
    drain(gateway).await;

    let (variable, arguments) = block(DOCUMENT, "retire")
        .split_once(' ')
        .map(|(variable, rest)| (variable.to_owned(), rest.split(' ').skip(1).map(str::to_owned).collect::<Vec<_>>()))
        .expect("a variable and a command");
    let (name, id) = variable.split_once('=').expect("a variable");
    let member = || with_settings().env("MQTT_SHARE_GROUP", "ingest").env(name, id);
    drain(start(member()).await).await;
    // With nobody else in the group, this is for the one that is away.
    run(&publish
        .replace("\"seq\":1", "\"seq\":2")
        .replace("-h mosquitto", &format!("-h 127.0.0.1 -p {}", bridge.broker.port())));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let retired = member().arguments(&arguments).run_to_end(DEADLINE).await;
    assert_eq!(retired.code, Some(0), "{retired:?}");
    wait_for("what it was kept", DEADLINE, async || {
        database.count("raw_events WHERE device_id = 'dev-0001' AND seq = 2").await == 1
    })
    .await;
    let again = start(member()).await;
    again.wait_logged("session_present: false", 1).await;
    drain(again).await;
    drain(node).await;
}
