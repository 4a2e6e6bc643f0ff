//! Arguments and exit codes.

use ingest_kit::free_port;

use crate::world::{DEADLINE, node};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_arguments_are_64_and_servers_that_are_away_69() {
    let nowhere = format!("127.0.0.1:{}", free_port());
    let run = async |arguments: &[&str]| {
        let node = node()
            .env("NATS_URL", format!("nats://{nowhere}"))
            .env("DATABASE_URL", format!("postgres://u@{nowhere}/d"));
        node.arguments(&[&["explain"], arguments].concat()).run_to_end(DEADLINE).await
    };
    for arguments in [
        &[][..],
        &["--stream", "TELEMETRY"],
        &["--stream", "TELEMETRY", "--seq", "0"],
        &["--stream", "TELEMETRY", "--seq", "-1"],
        &["--stream", "TELEMETRY", "--seq", "soon"],
        &["--tenant", "acme"],
        &["--device", "dev-1"],
        &["--event", "1", "--seq", "1"],
        &["--event", "1", "--tenant", "acme", "--device", "d"],
        &["--stream", "TELEMETRY", "--seq", "1", "--since", "yesterday"],
    ] {
        let finished = run(arguments).await;
        assert_eq!(finished.code, Some(64), "{arguments:?}: {}{}", finished.stdout, finished.stderr);
        assert!(finished.stdout.is_empty() && !finished.stderr.is_empty(), "{arguments:?}");
    }
    let away = run(&["--tenant", "acme", "--device", "d"]).await;
    assert_eq!(away.code, Some(69), "{}{}", away.stdout, away.stderr);
    let last = away.stdout.lines().last().expect("a sentence");
    assert!(last.contains("not known: what would tell could not be asked"), "{last}");
    for source in ["stream", "postgresql"] {
        let is_told = away.stdout.lines().any(|line| line.contains(source) && line.contains("unknown: "));
        assert!(is_told, "{source}: {}", away.stdout);
    }
}
