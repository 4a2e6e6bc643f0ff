//! Settings, files and the machine.

use std::os::unix::fs::PermissionsExt;

use tokio::net::TcpListener;

use super::doctor;
use crate::world::{World, node};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn careless_settings_open_files_and_a_port_that_is_taken_are_named() {
    let world = World::new().await;
    let directory = tempfile::tempdir().expect("a directory");
    let secret = directory.path().join("token");
    std::fs::write(&secret, "apiv3_test").expect("a file");
    let open = |mode| std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(mode)).expect("a mode");
    let taken = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let node = || {
        node()
            .env("NATS_URL", world.nats.url())
            .env("DATABASE_URL", world.database.url())
            .env("INFLUXDB_URL", world.influx.url())
            .env("INFLUXDB_TOKEN_FILE", secret.display())
            .env("HTTP_BIND", taken.local_addr().expect("an address"))
            .env("REQUIRE_TOKEN", 0)
    };
    open(0o644);
    let report = doctor(node()).await;
    report.assert_names(&[
        ("WARN", "settings", "REQUIRE_TOKEN is off"),
        ("WARN", "secret files", "INFLUXDB_TOKEN_FILE"),
        ("ERR", "http", "another program listens"),
    ]);
    assert_eq!(report.code, Some(1));
    open(0o440);
    assert!(doctor(node()).await.wrong("secret files").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_cannot_be_read_end_the_program_as_everywhere() {
    let finished = node().arguments(&["doctor"]).env("BATCH_SIZE", "many").run_to_end(crate::world::DEADLINE).await;
    assert_eq!(finished.code, Some(64), "{finished:?}");
    assert!(finished.stderr.contains("BATCH_SIZE"), "{finished:?}");
}
