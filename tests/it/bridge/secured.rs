//! A broker with users, rights and TLS, and a password that is rotated.

use std::process::Command;

use ingest_kit::{Authority, Mosquitto, Node, publish_mqtt, wait_for};
use tempfile::TempDir;

use super::{Bridge, telemetry};
use crate::doctor::doctor;
use crate::world::{DEADLINE, drain};

/// Runs a command of the broker's administration.
fn control(arguments: &[&str]) {
    let run = Command::new("mosquitto_ctrl").args(arguments).output();
    let run = run.expect("`mosquitto_ctrl` is not installed; run: apt-get install mosquitto");
    assert!(run.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&run.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_log_in_or_subscription_is_told_and_a_rotated_password_is_read_again() {
    let dir = TempDir::new().expect("a directory");
    let (rights, password) = (dir.path().join("rights.json"), dir.path().join("password"));
    control(&["dynsec", "init", rights.to_str().expect("UTF-8"), "admin", "admin"]);
    let broker = Mosquitto::start_configured(&format!(
        "allow_anonymous false\nplugin {}\nplugin_opt_config_file {}\n",
        Mosquitto::dynamic_security().display(),
        rights.display()
    ));
    let port = broker.port().to_string();
    let admin = |arguments: &[&str]| {
        let log_in = ["-h", "127.0.0.1", "-p", &port, "-u", "admin", "-P", "admin", "dynsec"];
        control(&[&log_in, arguments].concat());
    };
    admin(&["createClient", "gateway", "-p", "hush-new"]);
    admin(&["createClient", "device", "-p", "device"]);
    for (role, acls) in [
        ("writer", &[("publishClientSend", "tenant/#")][..]),
        ("reader", &[("subscribePattern", "tenant/#"), ("publishClientReceive", "tenant/#")]),
    ] {
        admin(&["createRole", role]);
        acls.iter().for_each(|(kind, filter)| admin(&["addRoleACL", role, kind, filter, "allow"]));
    }
    admin(&["addClientRole", "device", "writer"]);

    let bridge = Bridge::with_broker(broker).await;
    let node = bridge.world.start_node().await;
    std::fs::write(&password, "hush-old\n").expect("a file");
    let with_user = || {
        let gateway = bridge.gateway().env("MQTT_USERNAME", "gateway");
        gateway.env("MQTT_PASSWORD_FILE", password.display())
    };
    let found = doctor(with_user()).await;
    found.assert_names(&[("ERR", "mqtt", "refuses the log-in: not authorized")]);
    let mut gateway = with_user().start();
    not_ready(&gateway, "mqtt: the broker refuses the log-in: not authorized").await;
    std::fs::write(&password, "hush-new\n").expect("a file");
    not_ready(&gateway, "mqtt: the broker refuses the subscription (0x80)").await;
    doctor(with_user()).await.assert_names(&[("ERR", "mqtt subscription", "refuses the subscription")]);
    admin(&["addClientRole", "gateway", "reader"]);
    gateway.wait_ready(DEADLINE).await;
    publish_mqtt(bridge.broker.port(), Some(("device", "device")), telemetry(0..10)).await;
    bridge.assert_stored_once(10).await;
    assert!(!gateway.log().contains("hush"), "a secret in the log:\n{}", gateway.log());
    drain(gateway).await;
    drain(node).await;
}

/// Waits until a gateway is not ready for this reason.
async fn not_ready(gateway: &Node, why: &str) {
    wait_for(why, DEADLINE, async || {
        gateway.get("/ready").await.is_some_and(|answer| answer.status == 503 && answer.body.contains(why))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_is_demanded_and_verified() {
    let (dir, authority) = (TempDir::new().expect("a directory"), Authority::new());
    let ca = dir.path().join("ca.pem");
    std::fs::write(&ca, Authority::new().pem()).expect("a file");
    let (certificate, key) = authority.server(&["localhost"]).write(dir.path(), "broker");
    let broker = Mosquitto::start_configured(&format!(
        "allow_anonymous true\ncertfile {}\nkeyfile {}\n",
        certificate.display(),
        key.display()
    ));
    let bridge = Bridge::with_broker(broker).await;
    let node = bridge.world.start_node().await;
    let mut gateway = bridge.gateway().env("MQTT_HOST", "localhost").env("MQTT_CA_FILE", ca.display()).start();
    not_ready(&gateway, "its authority is not among the trusted ones: check MQTT_CA_FILE").await;
    // Files are read for each connection.
    std::fs::write(&ca, authority.pem()).expect("a file");
    gateway.wait_ready(DEADLINE).await;
    drain(gateway).await;
    drain(node).await;
}
