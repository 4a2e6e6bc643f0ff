//! Redelivery from the outbox: every point is there in the end, whatever was away for however long.

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use ingest_kit::envelope::telemetry;
use ingest_kit::seed::{self, Device};
use ingest_kit::{Database, Metrics, Node, wait_for};
use ingest_node::testing::outbox::compact::{CompactPage, Compacted, Compactor, SLOT_US};
use serde_json::Value;

use super::scene::with_settings;
use crate::workload::{Workload, database};
use crate::world::{DEADLINE, LANES, World, drain, start};

/// Puts lines of a tenant into the outbox as an expired owner has left them, with their rows: a millisecond and a device
/// apart.
async fn defer(world: &World, tenant: &str, lines: u64, lines_per_flush: u64) {
    // A running node makes the days ahead, today's first.
    let day = "pg_inherits WHERE inhparent = 'raw_events'::regclass";
    wait_for("a place for rows of today", DEADLINE, async || world.database.count(day).await > 1).await;
    let sql = format!(
        "INSERT INTO raw_events
            (received_at, event_ts, seq, stream_seq, stream, tenant_id, site_id, device_id, msg_type, topic, payload)
         SELECT date_trunc('day', now()) + interval '12 hours' + n * interval '1 ms',
             timestamptz '2026-11-21 00:00:00Z' + n * interval '1 ms', n,
             abs(hashtext('{tenant}')::bigint) * 1000000 + n, 'TELEMETRY', '{tenant}', 'site-1',
             'dev-' || n % 50, 'telemetry', '-', jsonb_build_object('metrics', jsonb_build_object('temp_c', n + 0.5))
         FROM generate_series(0, {lines} - 1) AS n;
         INSERT INTO influx_outbox (tenant_id, stream, received_from, received_to, lines, created_at)
         SELECT tenant_id, stream, min(received_at), max(received_at), count(*), now() - interval '1 minute'
         FROM raw_events WHERE tenant_id = '{tenant}' AND topic = '-' GROUP BY tenant_id, stream, seq / {lines_per_flush}"
    );
    world.database.execute(&sql).await;
}

async fn wait_for_an_empty_outbox(world: &World) {
    wait_for("an empty outbox", 3 * DEADLINE, async || world.database.count("influx_outbox").await == 0).await;
}

/// What `/stats` says of a tenant under `key`.
async fn tenant_of(node: &Node, key: &str, tenant: &str) -> Value {
    let stats = node.stats().await;
    let tenants = stats["actors"][key]["tenants"].as_array().cloned().unwrap_or_default();
    tenants.into_iter().find(|entry| entry["tenant_id"] == tenant).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_with_a_backlog_has_several_claim_batches_under_way_where_every_write_takes_a_second() {
    const LINES: u64 = 60_000;
    let world = World::new().await;
    world.influx.set_latency(Duration::from_secs(1));
    let node = start(world.node().env("INFLUX_BATCH_SIZE", 1_000)).await;
    defer(&world, "acme", LINES, 50).await;

    let (mut most, name) = (0, database("acme"));
    wait_for("every point", 3 * DEADLINE, async || {
        let under_way = tenant_of(&node, "influx", "acme").await["requests_in_flight"].as_u64().unwrap_or(0);
        most = most.max(under_way);
        world.influx.point_count(&name) as u64 == LINES
    })
    .await;
    assert!(most >= 4, "most requests of the tenant at once: {most}");
    wait_for_an_empty_outbox(&world).await;
    wait_for("all lines to be counted", DEADLINE, async || {
        node.metrics().await.count("ingest_influx_replayed_lines_total", &[]) >= LINES
    })
    .await;
    assert_eq!(node.metrics().await.count("ingest_influx_vanished_lines_total", &[]), 0);
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_range_with_more_lines_than_a_buffer_holds_is_replayed_to_its_end() {
    const LINES: u64 = 6_000;
    let world = World::new().await;
    let node = world.node().env("INFLUX_BATCH_SIZE", 50);
    let (node, _dir) = with_settings(node, "buffer.buffer_lines = 300\noutbox.replay_interval_ms = 100");
    // Slower than rows are read.
    world.influx.set_latency(Duration::from_millis(200));
    let node = start(node).await;
    // One entry for all of them: it is confirmed as a whole or not at all.
    defer(&world, "acme", LINES, LINES).await;
    wait_for_an_empty_outbox(&world).await;
    assert_eq!(world.influx.point_count(&database("acme")) as u64, LINES);
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenants_backlog_is_shown_with_its_rate_and_its_end_and_disappears_when_it_is_worked_off() {
    const LINES: u64 = 20_000;
    let mut world = World::new().await;
    world.influx.stop().await;
    // One request of a quarter of the backlog at a time, three seconds each: not worked off between two reports.
    let (node, _dir) = with_settings(world.node().env("INFLUX_BATCH_SIZE", LINES / 4), "batch.max_in_flight = 1");
    let node = start(node).await;
    defer(&world, "acme", LINES, 50).await;
    defer(&world, "a b", 100, 50).await;

    let owed = |metrics: &Metrics| metrics.by_label_of("ingest_influx_owed_lines", &[], "tenant");
    let both = BTreeMap::from([("a%20b".to_owned(), 100), ("acme".to_owned(), LINES)]);
    wait_for("both backlogs, and all of them in the total", DEADLINE, async || {
        let metrics = node.metrics().await;
        owed(&metrics) == both && metrics.count("ingest_influx_unconfirmed_lines", &[]) == LINES + 100
    })
    .await;
    let acme = [("tenant", "acme")];
    let metrics = node.metrics().await;
    assert!(metrics.count("ingest_influx_owed_oldest_seconds", &acme) >= 60);
    assert_eq!(metrics.get("ingest_influx_replay_eta_seconds", &acme), None, "nothing is replayed");
    let shown = tenant_of(&node, "influx_replay", "acme").await;
    assert_eq!((&shown["lines"], &shown["eta_secs"]), (&LINES.into(), &Value::Null));

    world.influx.set_latency(Duration::from_secs(3));
    world.influx.start_again();
    wait_for("a rate and an end", 3 * DEADLINE, async || {
        let metrics = node.metrics().await;
        let rate = metrics.get("ingest_influx_replay_lines_per_second", &acme);
        let (Some(rate), Some(eta)) = (rate, metrics.get("ingest_influx_replay_eta_seconds", &acme)) else {
            return false;
        };
        let lines = metrics.get("ingest_influx_owed_lines", &acme).unwrap_or(0.0);
        assert!((eta - lines / rate).abs() < 0.001, "{lines} lines at {rate} per second in {eta} seconds");
        true
    })
    .await;
    wait_for_an_empty_outbox(&world).await;
    wait_for("nothing to be shown", DEADLINE, async || {
        let metrics = node.metrics().await;
        owed(&metrics).is_empty() && metrics.count("ingest_influx_unconfirmed_lines", &[]) == 0
    })
    .await;
    for series in ["owed_oldest_seconds", "replay_lines_per_second", "replay_eta_seconds"] {
        assert_eq!(node.metrics().await.get(&format!("ingest_influx_{series}"), &[]), None, "{series}");
    }
    assert_eq!(node.stats().await["actors"]["influx_replay"]["lines"], 0);
    assert_eq!(world.influx.point_count(&database("acme")) as u64, LINES);
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_share_a_backlog_and_write_every_line_of_it_once() {
    const LINES: u64 = 30_000;
    let world = World::new().await;
    let node = world.node().env("INFLUX_REPLAY_LINES_PER_SEC", 5_000).env("INFLUX_BATCH_SIZE", 500);
    let nodes = [start(node.clone()).await, start(node).await];
    defer(&world, "acme", LINES, 50).await;
    wait_for_an_empty_outbox(&world).await;
    // Every line that was taken, however often.
    assert_eq!(world.influx.taken(&database("acme")).len() as u64, LINES);
    for node in nodes {
        let replayed = async || node.metrics().await.count("ingest_influx_replayed_lines_total", &[]);
        assert!(replayed().await > 0, "one replica did it all:\n{}", node.log());
        drain(node).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_a_batcher_is_full_few_lines_are_read_and_deferred_again_and_all_are_written_in_the_end() {
    let world = World::new().await;
    let device = Device::active("acme", "dev-live", "tok-secret-live");
    seed::devices(&world.database, std::slice::from_ref(&device)).await;
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("node.toml");
    std::fs::write(&file, "[influx]\nbuffer.buffer_lines = 1000\noutbox.replay_lines_per_sec = 100\n").expect("a file");
    let arguments = ["--config", file.to_str().expect("UTF-8"), "run"];
    let node = start(world.node().arguments(&arguments).env("INFLUX_BATCH_SIZE", 500)).await;
    world.influx.hang(None);
    world.publish((0..1_000).map(|seq| telemetry(&device, seq))).await;
    wait_for("a full buffer", DEADLINE, async || {
        node.metrics().await.count("ingest_influx_buffered_lines", &[]) == 1_000
    })
    .await;
    defer(&world, "acme", 700, 700).await;
    let attempts = async || {
        let sql = "SELECT coalesce(max(attempts), 0)::bigint FROM influx_outbox WHERE lines = 700";
        world.database.query(sql, &[]).await[0].get::<_, i64>(0) as u64
    };
    wait_for("some attempts", DEADLINE, async || attempts().await >= 2).await;
    let deferred = node.metrics().await.count("ingest_influx_lines_total", &[("result", "deferred")]);
    let attempts = attempts().await;
    // A first page of 100 each, and what is read before the batcher has turned that away; never all of the 700.
    assert!(deferred < 700 * attempts, "{deferred} lines were deferred again in {attempts} attempts");
    world.influx.release();
    wait_for_an_empty_outbox(&world).await;
    assert_eq!(world.influx.point_count(&database("acme")), 1_700);
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_whose_rows_are_gone_ends_and_is_counted() {
    let world = World::new().await;
    let node = world.start_node().await;
    defer(&world, "acme", 1_000, 50).await;
    let gone = "INSERT INTO influx_outbox (tenant_id, stream, received_from, received_to, lines)
                VALUES ('acme', 'TELEMETRY', now() - interval '90 days', now() - interval '90 days', 700)";
    world.database.execute(gone).await;
    wait_for_an_empty_outbox(&world).await;
    assert_eq!(world.influx.point_count(&database("acme")), 1_000);
    // Counted when their entry is gone.
    let unrecoverable = async || node.metrics().await.count("ingest_influx_vanished_lines_total", &[]);
    wait_for("the lines to be counted", DEADLINE, async || unrecoverable().await > 0).await;
    assert_eq!(unrecoverable().await, 700, "{}", node.log());
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_paused_for_longer_than_the_takeover_loses_and_doubles_nothing() {
    let mut world = World::new().await;
    let load = Workload::good(3_000);
    load.seed(&world).await;
    world.influx.stop().await;
    let node = world.node().env("INFLUX_TAKEOVER_SECONDS", 2);
    let (first, rest) = load.messages.split_at(1_500);
    let mut paused = start(node.clone()).await;
    world.publish(first.to_vec()).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    paused.pause();
    let owner: String = world.database.query("SELECT DISTINCT owner::text FROM influx_outbox", &[]).await[0].get(0);

    let other = start(node).await;
    let share = format!("influx_outbox WHERE owner = '{owner}'");
    wait_for("its share to be taken over", DEADLINE, async || world.database.count(&share).await == 0).await;
    let replayed = "influx_outbox WHERE owner IS NOT NULL AND claimed";
    wait_for("its share to be replayed", DEADLINE, async || world.database.count(replayed).await > 0).await;

    // Now both have the same lines, and the one that comes back knows nothing of the other.
    paused.resume();
    wait_for("it to show itself again", DEADLINE, async || {
        let seen = format!("ingest_nodes WHERE node_id = '{owner}' AND seen_at > now() - interval '1 second'");
        world.database.count(&seen).await == 1
    })
    .await;
    world.publish(rest.to_vec()).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    world.influx.start_again();
    load.assert_all_there(&world).await;
    wait_for_an_empty_outbox(&world).await;
    load.assert_all_there(&world).await;
    drain(paused).await;
    drain(other).await;
}

/// An outbox entry, without its attempts and times.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    tenant: String,
    stream: String,
    from_us: i64,
    to_us: i64,
    lines: i64,
    id: i64,
    is_owned: bool,
}

async fn entries(database: &Database) -> Vec<Entry> {
    let sql = "SELECT tenant_id, stream, (extract(epoch FROM received_from) * 1000000)::bigint,
                   (extract(epoch FROM received_to) * 1000000)::bigint, lines, id, owner IS NOT NULL
               FROM influx_outbox ORDER BY id";
    let rows = database.query(sql, &[]).await;
    let entry = |row: &tokio_postgres::Row| Entry {
        tenant: row.get(0),
        stream: row.get(1),
        from_us: row.get(2),
        to_us: row.get(3),
        lines: row.get(4),
        id: row.get(5),
        is_owned: row.get(6),
    };
    rows.iter().map(entry).collect()
}

/// Random rows within a minute, most of them short and small, as flushes are.
async fn fill(database: &Database, rng: &mut Rng, rows: usize) {
    let values: Vec<String> = (0..rows)
        .map(|_| {
            let length = if rng.u8(..10) == 0 { rng.i64(0..3 * SLOT_US) } else { rng.i64(0..200_000) };
            let (tenant, stream) = (rng.u8(..4), if rng.u8(..5) == 0 { "OTHER" } else { "TELEMETRY" });
            let lines = if rng.u8(..20) == 0 { rng.i64(1..2_000) } else { rng.i64(1..40) };
            let owner = if rng.u8(..10) == 0 { "gen_random_uuid()" } else { "NULL" };
            let (from, attempts, age) = (rng.i64(0..60_000_000), rng.u8(..5), rng.u32(..100_000));
            format!(
                "('t{tenant}', '{stream}', timestamptz '2026-11-21 12:00:00Z' + {from} * interval '1 us',
                  timestamptz '2026-11-21 12:00:00Z' + ({from} + {length}) * interval '1 us', {lines}, {owner},
                  {attempts}, now() - {age} * interval '1 s', now() - ({age} + 5) * interval '1 s')"
            )
        })
        .collect();
    let columns = "tenant_id, stream, received_from, received_to, lines, owner, attempts, retry_at, created_at";
    database.execute(&format!("INSERT INTO influx_outbox ({columns}) VALUES {}", values.join(", "))).await;
}

/// Goes round until nothing changes any more.
async fn compact(database: &Database, page: CompactPage) {
    let (client, mut compactor) = (database.connect().await, Compactor::default());
    let mut changed = true;
    while std::mem::take(&mut changed) {
        loop {
            let Compacted { merged, made, is_round_done } = compactor.compact(&client, page).await.expect("a page");
            assert!(made <= merged, "{merged} rows became {made}");
            changed |= made < merged;
            if is_round_done {
                break;
            }
        }
    }
}

fn sums(rows: &[Entry]) -> BTreeMap<(String, String, bool), i64> {
    let mut sums = BTreeMap::new();
    for row in rows {
        *sums.entry((row.tenant.clone(), row.stream.clone(), row.is_owned)).or_default() += row.lines;
    }
    sums
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn merging_keeps_every_line_and_every_moment_with_its_tenant_and_its_stream() {
    const LINES: i64 = 500;
    let world = World::new().await;
    let database = &world.database;
    for seed in 0..12 {
        database.execute("TRUNCATE influx_outbox").await;
        let mut rng = Rng::with_seed(seed);
        fill(database, &mut rng, 1 + 150 * seed as usize).await;
        let before = entries(database).await;
        let facts = "SELECT min(created_at)::text, max(attempts), max(retry_at)::text FROM influx_outbox";
        let progress = async || {
            let row = &database.query(facts, &[]).await[0];
            (row.get::<_, Option<String>>(0), row.get::<_, Option<i32>>(1), row.get::<_, Option<String>>(2))
        };
        let progress_before = progress().await;
        // Two replicas at once, with pages that differ.
        let [small, large] = [rng.i64(20..200), rng.i64(200..3_000)];
        tokio::join!(
            compact(database, CompactPage { rows: small, lines: LINES }),
            compact(database, CompactPage { rows: large, lines: LINES })
        );
        let after = entries(database).await;
        assert_eq!(sums(&after), sums(&before), "seed {seed}");
        assert_eq!(progress().await, progress_before, "seed {seed}");

        for row in &after {
            // What was there is as it was; what was made is new, and no larger than it may be.
            if !before.contains(row) {
                assert!(before.iter().all(|old| old.id < row.id) && !row.is_owned, "{row:?}");
                assert!(row.lines <= LINES && row.to_us - row.from_us < 2 * SLOT_US, "{row:?}");
            }
        }
        for old in &before {
            let holds = |row: &&Entry| {
                (&row.tenant, &row.stream, row.is_owned) == (&old.tenant, &old.stream, old.is_owned)
                    && row.from_us <= old.from_us
                    && old.to_us <= row.to_us
            };
            assert!(after.iter().any(|row| holds(&row)), "seed {seed}: nothing covers {old:?}");
        }
        if seed > 3 {
            assert!(2 * after.len() < before.len(), "{} rows became {}", before.len(), after.len());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_taken_for_dead_deletes_by_number_and_never_what_was_merged_since() {
    let world = World::new().await;
    let database = &world.database;
    fill(database, &mut Rng::with_seed(7), 300).await;
    let before = entries(database).await;
    compact(database, CompactPage { rows: 2_000, lines: 5_000 }).await;
    let merged = entries(database).await.into_iter().filter(|row| !before.contains(row)).collect::<Vec<_>>();
    assert!(!merged.is_empty());
    let last = before.iter().map(|row| row.id).max().expect("rows");
    database.execute(&format!("DELETE FROM influx_outbox WHERE id <= {last}")).await;
    assert_eq!(entries(database).await, merged);
}
