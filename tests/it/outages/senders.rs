//! A device that may not send floods the node.

use ingest_kit::envelope::telemetry;
use ingest_kit::seed::{self, Device};

use super::outage::{Lag, Moves, Outage, QUIET, Scene};
use crate::world::{DEADLINE, LANES, World, drain, start};

/// Messages of the flood.
const FLOOD: u64 = 1_500;

fn revoked() -> Device {
    Device { status: "REVOKED".to_owned(), ..Device::active("acme", "dev-loud", "tok-secret-of-the-loud") }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_device_floods() {
    const OUTAGE: Outage = Outage {
        name: "a revoked device floods",
        lag: Lag::None,
        metrics: &[
            ("ingest_rejections_total", &[("reason", "DEVICE_REVOKED")], Moves::Is(1_500.0)),
            ("ingest_quarantine_capped_total", &[], Moves::Up),
            ("ingest_postgres_rows_total", &[], Moves::Is(40.0)),
        ],
        stats: &[("/totals/rejected", Moves::Is(1_500.0))],
        ..QUIET
    };
    let world = World::new().await;
    seed::devices(&world.database, &[revoked()]).await;
    let node = world.node();
    let make = async |scene: &mut Scene| {
        scene.world.publish((0..FLOOD).map(|seq| telemetry(&revoked(), seq))).await;
    };
    Scene::new(world, node).await.goes_through(&OUTAGE, make, async |_| {}).await;
}

/// The lines of a log that hold all of this.
fn lines<'a>(log: &'a str, words: &'a [&'a str]) -> Vec<&'a str> {
    log.lines().filter(|line| words.iter().all(|word| line.contains(word))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_is_one_line_of_the_log_that_names_its_sender() {
    let world = World::new().await;
    seed::devices(&world.database, &[revoked()]).await;
    let mut node = start(world.node()).await;
    world.publish((0..FLOOD).map(|seq| telemetry(&revoked(), seq))).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    // The minute ends with the node.
    node.sigterm();
    assert_eq!(node.wait_exit(DEADLINE).await, Some(0));
    let log = node.log();
    let named = lines(&log, &["dev-loud"]);
    assert_eq!(named.len(), 1, "{log}");
    for words in ["INFO", "messages rejected", "DEVICE_REVOKED", "tenant: acme", "count: 1500", "dev-loud (1500)"] {
        assert!(named[0].contains(words), "no {words:?} in {}", named[0]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rejected_message_is_a_line_at_debug_without_its_payload() {
    let world = World::new().await;
    seed::devices(&world.database, &[revoked()]).await;
    let node = start(world.node().env("LOG_LEVEL", "debug")).await;
    let sequences = world.publish([telemetry(&revoked(), 7)]).await;
    node.wait_logged("message rejected", 1).await;
    let log = node.log();
    let line = lines(&log, &["message rejected"])[0];
    for words in [
        "DEBUG",
        "stream: TELEMETRY",
        &format!("stream_seq: {}", sequences[0]),
        "tenant: acme",
        "device: dev-loud",
        "reason: DEVICE_REVOKED",
    ] {
        assert!(line.contains(words), "no {words:?} in {line}");
    }
    assert!(!log.contains("tok-secret-of-the-loud") && !line.contains("battery_pct"), "{log}");
    drain(node).await;
}
