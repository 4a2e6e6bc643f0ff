//! The devices' own endpoints.

use ingest_kit::seed::{Command, Device};
use ingest_kit::{Response, wait_for};
use serde_json::json;

use super::{Gateway, reason, world_with};
use crate::world::{DEADLINE, drain};

async fn get(gateway: &Gateway, path: &str, token: &str) -> Response {
    ingest_kit::get_with(&gateway.ingest, path, &[&format!("X-Provision-Token: {token}")]).await.expect("an answer")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_reads_and_reports_by_its_token_alone() {
    let command = |id: &str| Command { command_id: id.to_owned(), command_type: "reboot".to_owned() };
    let device = Device { commands: vec![command("c 1"), command("c2")], ..Device::active("acme", "dev-1", "tok-1") };
    let revoked = Device { status: "REVOKED".to_owned(), ..Device::active("acme", "revoked", "tok-revoked") };
    // One token for two devices tells neither.
    let twins = ["one", "two"].map(|tenant| Device::active(tenant, "twin", "tok-twin"));
    let (world, node, gateway) = world_with(&[vec![device, revoked], twins.into()].concat()).await;

    for (token, status, code) in [
        ("", 401, "TOKEN_MISSING"),
        ("x", 401, "TOKEN_INVALID"),
        ("tok-twin", 401, "TOKEN_INVALID"),
        ("tok-revoked", 403, "DEVICE_REVOKED"),
    ] {
        for path in ["/device/v1/shadow", "/device/v1/commands/pending"] {
            assert_eq!(reason(&get(&gateway, path, token).await), (status, json!(code)), "{path} {token}");
        }
        let answer = gateway.post("/device/v1/shadow/reported", token, &[], r#"{"reported":{}}"#).await;
        assert_eq!(reason(&answer), (status, json!(code)), "{token}");
    }

    assert_eq!(get(&gateway, "/device/v1/shadow", "tok-1").await.status, 404);
    world
        .database
        .execute(
            r#"INSERT INTO device_state (tenant_id, device_id, desired_state, desired_version)
               VALUES ('acme', 'dev-1', '{"mode": "eco"}', 3)"#,
        )
        .await;
    let shadow = get(&gateway, "/device/v1/shadow", "tok-1").await;
    assert_eq!((shadow.status, shadow.json()), (200, json!({"desired": {"mode": "eco"}, "version": 3})));

    let report = async |body: &str| gateway.post("/device/v1/shadow/reported", "tok-1", &[], body).await;
    let answer = report(r#"{"reported":{"mode":"eco"},"version":4}"#).await;
    assert_eq!((answer.status, answer.json()), (200, json!({"accepted": true, "version": 4})), "{}", answer.body);
    for body in [r#"{"reported":5,"version":1}"#, r#"{"reported":{},"version":"x"}"#, "{}", "[]", "x"] {
        assert_eq!(reason(&report(body).await), (400, json!("INVALID_PAYLOAD")), "{body}");
    }
    wait_for("the report", DEADLINE, async || {
        world.database.count("device_state WHERE reported_version = 4 AND reported_state->>'mode' = 'eco'").await == 1
    })
    .await;

    let pending = get(&gateway, "/device/v1/commands/pending", "tok-1").await.json();
    assert_eq!(pending["commands"].as_array().map(Vec::len), Some(2), "{pending}");
    let first = &pending["commands"][0];
    assert_eq!((&first["command_id"], &first["type"], &first["params"]), (&json!("c 1"), &json!("reboot"), &json!({})));
    assert!(first["expires_at"].as_str().is_some_and(|text| text.contains('T')), "{first}");

    // For ever is an end, too; and other systems write hashes in capitals.
    let for_ever = "UPDATE device_commands SET expires_at = 'infinity' WHERE command_id = 'c 1'";
    world.database.execute(for_ever).await;
    let capitals =
        "UPDATE device_registry SET provision_token_hash = upper(provision_token_hash) WHERE device_id = 'dev-1'";
    world.database.execute(capitals).await;
    wait_for("the hash in capitals", DEADLINE, async || {
        let pending = get(&gateway, "/device/v1/commands/pending", "tok-1").await.json();
        let listed = pending["commands"].as_array();
        listed.is_some_and(|commands| commands.len() == 2 && commands[0]["expires_at"] == "infinity")
    })
    .await;

    let ack =
        async |id: &str, body: &str| gateway.post(&format!("/device/v1/commands/{id}/ack"), "tok-1", &[], body).await;
    assert_eq!(reason(&ack("nope", "{}").await), (404, json!("NOT_FOUND")));
    assert_eq!(reason(&ack("c2", r#"{"status":5}"#).await), (400, json!("INVALID_PAYLOAD")));
    let answer = ack("c%201", "").await;
    assert_eq!((answer.status, answer.json()), (200, json!({"command_id": "c 1", "acknowledged": true})));
    let answer = ack("c2", r#"{"status":"failed","details":{"why":"busy"},"command_id":"c 1"}"#).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    wait_for("both acknowledgements", DEADLINE, async || {
        world.database.count("device_commands WHERE status = 'delivered'").await == 2
    })
    .await;
    let details = "device_commands WHERE command_id = 'c2' AND ack_details->'details'->>'why' = 'busy'";
    assert_eq!(world.database.count(details).await, 1);
    assert_eq!(ack("c2", "{}").await.status, 404, "acknowledged already");

    world.database.execute("UPDATE device_registry SET status = 'REVOKED'").await;
    wait_for("the device to be refused", DEADLINE, async || {
        get(&gateway, "/device/v1/commands/pending", "tok-1").await.status == 403
    })
    .await;
    drain(gateway.node).await;
    drain(node).await;
}
