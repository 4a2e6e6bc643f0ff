//! Staleness: cached registry answers are used during an outage of PostgreSQL, for a bounded time.

use std::time::{Duration, Instant};

use ingest_kit::envelope::{device, telemetry};
use ingest_kit::jetstream::Outgoing;
use ingest_kit::seed::{self, Device};
use ingest_kit::wait_for;

use crate::ledger::assert_balanced;
use crate::world::{DEADLINE, LANES, World, drain, start};

/// Answers are asked for again after this time, while that is possible.
const TTL: Duration = Duration::from_secs(1);
/// While it is not, they serve so long. Well above what stopping PostgreSQL takes on a busy machine.
const MAX_STALENESS: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_postgresql_is_away_known_devices_pass_up_to_a_bound_and_then_wait_but_none_is_rejected() {
    let mut world = World::with_own_postgres().await;
    let devices: Vec<Device> = (0..50).map(|number| device(number, 5)).collect();
    seed::devices(&world.database, &devices).await;
    let stranger = Device::active("tenant-0", "nobody", "tok-secret-of-nobody");
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("node.toml");
    let settings = format!("[validate]\nmax_staleness_secs = {}\n", MAX_STALENESS.as_secs());
    std::fs::write(&file, settings).expect("the file");
    let node = world
        .node()
        .arguments(&["--config", file.to_str().expect("UTF-8"), "run"])
        .env("AUTH_CACHE_TTL_SECONDS", TTL.as_secs());
    let node = start(node).await;
    let round = |number: u64| -> Vec<Outgoing> { devices.iter().map(|device| telemetry(device, number)).collect() };
    let count = async |name: &str| node.metrics().await.count(name, &[]);
    let accepted = async || count("ingest_events_accepted_total").await;

    // When it begins to listen, it forgets what it has read before.
    wait_for("LISTEN", DEADLINE, async || count("ingest_registry_listening").await == 1).await;

    let asked = Instant::now();
    world.publish(round(0)).await;
    wait_for("the devices to be known", DEADLINE, async || accepted().await == 50).await;
    let known = Instant::now();
    world.wait_settled(LANES[0], DEADLINE).await;
    world.postgres.as_mut().expect("its own").stop();
    wait_for("/ready to answer 503", DEADLINE, async || node.ready_status().await == Some(503)).await;

    wait_for("answers older than their TTL", DEADLINE, async || known.elapsed() > TTL).await;
    world.publish(round(1)).await;
    wait_for("known devices to pass", DEADLINE, async || accepted().await == 100).await;
    assert!(asked.elapsed() < MAX_STALENESS, "too slow a machine to tell: {:?}", asked.elapsed());

    wait_for("answers too old to serve", DEADLINE, async || known.elapsed() > MAX_STALENESS).await;
    world.publish(round(2)).await;
    world.publish((0..5).map(|number| telemetry(&stranger, number))).await;
    // The registry has tried to ask about every one of them.
    wait_for("failed look-ups", DEADLINE, async || {
        node.metrics().await.count("ingest_registry_lookups_total", &[("result", "failed")]) > 51
    })
    .await;
    wait_for("all to be received", DEADLINE, async || {
        node.metrics().await.count("ingest_deliveries_received_total", &[("consumer", LANES[0].1)]) == 155
    })
    .await;
    assert_eq!(accepted().await, 100, "passed on an answer that is too old");
    assert_eq!(count("ingest_rejections_total").await, 0, "rejected because nobody could be asked");
    let metrics = node.metrics().await;
    assert_balanced(&metrics);
    assert_eq!(metrics.count("ingest_in_flight", &[("consumer", LANES[0].1)]), 105, "held");

    world.postgres.as_mut().expect("its own").start_again();
    world.wait_settled(LANES[0], DEADLINE).await;
    assert_eq!(world.database.count("raw_events").await, 150);
    assert_eq!(world.database.count("quarantine_events").await, 5);
    assert_eq!(world.database.count("quarantine_events WHERE reason = 'UNREGISTERED_DEVICE'").await, 5);
    let metrics = node.metrics().await;
    let received = metrics.count("ingest_deliveries_received_total", &[("consumer", LANES[0].1)]);
    assert_eq!(received, 155, "an outage uses up no attempts");
    drain(node).await;
}
