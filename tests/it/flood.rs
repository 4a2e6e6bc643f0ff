//! One tenant floods the platform with bad messages: the others do not notice, the quarantine stays small, and the
//! counters stay exact.

use std::time::{Duration, Instant};

use ingest_kit::envelope::{device, outgoing, payload};
use ingest_kit::jetstream::Outgoing;
use ingest_kit::seed::{self, Device};
use ingest_kit::wait_for;
use serde_json::json;

use crate::ledger::assert_balanced;
use crate::traffic::Traffic;
use crate::world::{DEADLINE, LANES, World, drain, start};

/// Most rejected messages that are stored per tenant and minute.
const CAP: u64 = 100;

/// So long each: without the flood, and with it.
const PHASE: Duration = Duration::from_secs(5);

/// The flood's messages for each of the others'.
const FLOOD_RATIO: usize = 8;

/// A median below this is no sign of trouble, whatever it is a multiple of: it consists of the flush interval and of
/// what a machine with more work than cores does to several processes, not of waiting for another tenant. A tenant
/// that really had to wait for the flood would wait for seconds, and longer the longer it lasts.
const UNNOTICED: Duration = Duration::from_millis(400);

/// A message with a wrong token, and every tenth one no JSON at all.
fn bad(device: &Device, number: u64) -> Outgoing {
    if number % 10 == 9 {
        return Outgoing::new(format!("telemetry.{}", device.tenant_id), format!("{{\"topic\": {number} nonsense"));
    }
    let mut payload = payload(device, number);
    payload["provision_token"] = json!("tok-secret-but-wrong");
    outgoing(device, "telemetry", "telemetry", &payload)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_one_tenants_bad_messages_slows_no_other_down_and_is_counted_but_not_kept() {
    let world = World::new().await;
    // The last one, of a tenant of its own, floods.
    let mut devices: Vec<Device> = (0..10).map(|number| device(number, 5)).collect();
    let flooding = Device::active("flooding", "dev-flood", "tok-secret-flood");
    devices.push(flooding.clone());
    seed::devices(&world.database, &devices).await;
    devices.pop();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("node.toml");
    std::fs::write(&file, format!("[postgres]\nquarantine_cap_per_minute = {CAP}\n")).expect("the file");
    let node = start(world.node().arguments(&["--config", file.to_str().expect("UTF-8"), "run"])).await;

    let others = devices.len();
    let traffic = Traffic::of(&world, devices, 0);
    wait_for("the devices to be known", DEADLINE, async || {
        node.metrics().await.count("ingest_events_accepted_total", &[]) > 100
    })
    .await;
    let calm = phase(&world).await;
    let flood = Traffic::rounds(&world, others * FLOOD_RATIO, move |number| bad(&flooding, number));
    wait_for("the flood to be noticed", DEADLINE, async || {
        node.metrics().await.count("ingest_rejections_total", &[]) > 0
    })
    .await;
    // Who waits for the flood waits longer the longer it lasts: of several phases none is better than the first. What else
    // the machine has to do passes.
    let is_noticed = |median: Duration| median > (2 * calm).max(UNNOTICED);
    let mut flooded = phase(&world).await;
    for _ in 0..3 {
        if is_noticed(flooded) {
            flooded = phase(&world).await;
        }
    }
    let flood = flood.stop().await;
    let good = traffic.stop().await;
    world.wait_settled(LANES[0], DEADLINE).await;

    println!("{good} good and {flood} bad messages; median latency {calm:?} without the flood, {flooded:?} with it");
    assert!(flood > 20 * CAP, "no flood: {flood}");
    assert!(!is_noticed(flooded), "{flooded:?} with the flood, {calm:?} without it");
    assert_eq!(world.database.count("raw_events").await, good);

    // All are counted, under the tenant where it is known.
    let unreadable = flood / 10;
    assert_eq!(counted(&world, "flooding", "TOKEN_INVALID").await, flood - unreadable);
    assert_eq!(counted(&world, "unknown", "BAD_ENVELOPE").await, unreadable);
    // Kept up to the cap of each reason, in each of the minutes that the broker took them in.
    let mut kept = 0;
    for reason in ["TOKEN_INVALID", "BAD_ENVELOPE"] {
        let stored = stored_per_minute(&world, reason).await;
        assert!(!stored.is_empty() && stored.iter().all(|stored| *stored <= CAP), "{reason} per minute: {stored:?}");
        assert!(stored.contains(&CAP), "less of {reason} was stored than may be: {stored:?}");
        kept += stored.iter().sum::<u64>();
    }
    let metrics = node.metrics().await;
    assert_eq!(metrics.count("ingest_quarantine_capped_total", &[]), flood - kept);
    assert_eq!(metrics.count("ingest_rejections_total", &[]), flood);
    assert_balanced(&metrics);
    drain(node).await;
}

/// The median time from the broker to the row, of the messages of one phase that begins now.
async fn phase(world: &World) -> Duration {
    let start: String = world.database.query("SELECT clock_timestamp()::text", &[]).await[0].get(0);
    let began = Instant::now();
    wait_for("the end of the phase", DEADLINE, async || began.elapsed() > PHASE).await;
    let sql = format!(
        "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM ingested_at - received_at)::float8), count(*)
         FROM raw_events WHERE received_at > timestamptz '{start}'"
    );
    let row = &world.database.query(&sql, &[]).await[0];
    assert!(row.get::<_, i64>(1) > 100, "too little traffic to measure");
    Duration::from_secs_f64(row.get::<_, f64>(0).max(0.0))
}

async fn stored_per_minute(world: &World, reason: &str) -> Vec<u64> {
    let sql = "SELECT count(*) FROM quarantine_events WHERE reason = $1 GROUP BY date_trunc('minute', received_at)";
    world.database.query(sql, &[&reason]).await.iter().map(|row| row.get::<_, i64>(0) as u64).collect()
}

async fn counted(world: &World, tenant: &str, reason: &str) -> u64 {
    let sql =
        "SELECT coalesce(sum(cnt), 0)::bigint FROM quarantine_counters_minute WHERE tenant_id = $1 AND reason = $2";
    world.database.query(sql, &[&tenant, &reason]).await[0].get::<_, i64>(0) as u64
}
