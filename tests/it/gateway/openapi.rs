//! The gateway against its own OpenAPI document.

use std::path::Path;
use std::process::Command;

use ingest_kit::jetstream::create_streams;
use ingest_kit::seed::{self, Device};

use super::{GatewayBuilder, envelopes};
use crate::world::{World, drain};

/// Seconds that schemathesis takes, beside what it does in any case.
const SECONDS: &str = "20";

#[ignore = "needs schemathesis, and a minute: scripts/check-openapi runs it"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_is_one_that_the_document_names() {
    let world = World::new().await;
    let mut device = Device::active("acme", "dev-1", "tok-1");
    device.commands.push(seed::Command { command_id: "c1".to_owned(), command_type: "reboot".to_owned() });
    seed::devices(&world.database, &[device]).await;
    world.database.execute("INSERT INTO device_state (tenant_id, device_id) VALUES ('acme', 'dev-1')").await;
    create_streams(&world.jetstream).await;
    let gateway = GatewayBuilder::of(&world).start().await;
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/openapi");
    let dir = tempfile::tempdir().expect("a temporary directory");
    let run = Command::new("python3")
        .args(["-m", "schemathesis.cli", "run", &format!("http://{}/openapi.json", gateway.ingest)])
        // With the token of a device, for what strangers are answered needs few tries.
        .args(["--header", "X-Provision-Token:tok-1", "--phases", "examples,coverage,fuzzing", "--max-time", SECONDS])
        // Whether good data are accepted depends on what is registered, which no document says.
        .args(["--checks", "all", "--exclude-checks", "positive_data_acceptance", "--no-color", "--seed", "1"])
        .env("PYTHONPATH", &installed)
        .current_dir(dir.path())
        .output()
        .expect("python3");
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{said}{}", String::from_utf8_lossy(&run.stderr));
    println!("{said}");
    assert!(!envelopes(&world, "SHADOW").await.is_empty(), "no request has passed");
    drain(gateway.node).await;
}
