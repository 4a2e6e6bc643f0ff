//! Standard output or error is closed or unread: the program works as usual, with the documented exit codes.

use ingest_kit::{Postgres, wait_for};

use crate::workload::{Workload, acked};
use crate::world::{DEADLINE, LANES, World, node};

#[tokio::test]
async fn commands_with_closed_output_keep_their_exit_codes() {
    let database = Postgres::shared().create_database().await;
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("node.toml");
    std::fs::write(&file, "[postgres]\nstart_wait_secs = 1\n").expect("a file");
    for (arguments, url, code) in [
        (&["migrate"][..], database.url(), 0),
        (&["check-config"], database.url(), 0),
        (&["--help"], database.url(), 0),
        (&["no-such-command"], database.url(), 64),
        (&["migrate"], "postgres://ingest@127.0.0.1:1/x", 69),
        (&["quarantine", "list"], "postgres://ingest@127.0.0.1:1/x", 69),
    ] {
        let config = ["--config", file.to_str().expect("UTF-8")];
        let arguments = [&config[..], arguments].concat();
        let finished = node().arguments(&arguments).env("DATABASE_URL", url).unheard().run_to_end(DEADLINE).await;
        assert_eq!(finished.code, Some(code), "{arguments:?}");
    }
    assert!(database.count("app_settings").await > 0, "the migration with closed output");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_an_unread_log_works_and_drains() {
    for format in ["json", "text"] {
        let world = World::new().await;
        let load = Workload::with_bad(500, 50);
        load.seed(&world).await;
        world.create_quickly_redelivering_consumers().await;
        world.publish(load.messages.clone()).await;
        let mut node = world.node().env("LOG_FORMAT", format).env("LOG_LEVEL", "debug").unheard().start();
        node.wait_ready(DEADLINE).await;
        wait_for("acknowledgements", DEADLINE, async || acked(&node).await >= 500).await;
        world.wait_settled(LANES[0], DEADLINE).await;
        load.assert_all_there(&world).await;
        node.sigterm();
        assert_eq!(node.wait_exit(DEADLINE).await, Some(0), "{format}");
    }
}
