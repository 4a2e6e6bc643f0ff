//! The commands of docs/ways-in/http.md, and the document of the API.

use std::process::Command;

use ingest_kit::get;
use ingest_kit::seed::{self, Device};
use serde_json::{Value, json};

use super::{rows, world_with};
use crate::document::block;
use crate::world::drain;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commands_of_the_page_do_what_it_says() {
    let command = seed::Command { command_id: "c1".to_owned(), command_type: "reboot".to_owned() };
    let device = Device { commands: vec![command], ..Device::active("acme", "dev-1", "tok-1") };
    let (world, node, gateway) = world_with(&[device]).await;
    world
        .database
        .execute(
            "INSERT INTO device_state (tenant_id, device_id, desired_version) VALUES ('acme', 'dev-1', 3)
             ON CONFLICT (tenant_id, device_id) DO UPDATE SET desired_version = 3",
        )
        .await;
    let run = |name: &str| -> Vec<Value> {
        let script = block("ways-in/http.md", name).replace("localhost:8090", &gateway.ingest);
        // Each command ends with a line of its own.
        let script = script.replace("curl -sS", "curl -sS -w '\\n'");
        let output = Command::new("sh").args(["-ec", &script]).output().expect("sh");
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let answers = text.lines().filter(|line| !line.is_empty());
        answers.map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"))).collect()
    };
    assert_eq!(run("one"), [json!({"status": "accepted", "device_id": "dev-1", "seq": 1})]);
    assert_eq!(run("batch")[0]["accepted"], json!(2));
    assert_eq!(run("gzip")[0]["status"], json!("accepted"));
    let answers = run("device");
    assert_eq!(answers[0], json!({"desired": {}, "version": 3}));
    assert_eq!(answers[1], json!({"accepted": true, "version": 4}));
    assert_eq!(answers[2]["commands"][0]["command_id"], json!("c1"));
    assert_eq!(answers[3], json!({"command_id": "c1", "acknowledged": true}));
    assert_eq!(rows(&world).await, 4);

    let document = get(&gateway.ingest, "/openapi.json").await.expect("an answer").json();
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.")), "{document}");
    let paths = document["paths"].as_object().expect("paths");
    assert!(paths.len() == 7 && paths.contains_key("/api/device/activate"), "{document}");
    drain(gateway.node).await;
    drain(node).await;
}
