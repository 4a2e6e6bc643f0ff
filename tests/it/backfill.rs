//! `backfill`: what the rows say is written to another InfluxDB, or to the same one again.

use std::collections::BTreeSet;
use std::time::Duration;

use ingest_kit::influx::{Point, Value};
use ingest_kit::{InfluxStub, Node, NodeBuilder, wait_for};

use crate::workload::{Workload, database};
use crate::world::{DEADLINE, LANES, World, drain, start};

/// Before every message of these tests.
const FROM: &str = "2020-01-01";

/// A world whose rows are stored; their points are in InfluxDB only where `is_live`.
async fn world_with_rows(count: usize, is_live: bool) -> World {
    let world = World::new().await;
    let load = Workload::good(count);
    load.seed(&world).await;
    let node = start(world.node().env("INFLUXDB_WRITE_ENABLED", u8::from(is_live))).await;
    world.publish(load.messages.clone()).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    if is_live {
        load.wait_for_points(&world).await;
    }
    drain(node).await;
    assert_eq!(world.database.count("raw_events").await, count as u64);
    world
}

/// The command: from [`FROM`] on, for `tenant-0` unless the arguments name others.
fn backfill(world: &World, arguments: &[&str]) -> NodeBuilder {
    let mut all = vec!["backfill", "--from", FROM];
    if !arguments.contains(&"--tenant") {
        all.extend(["--tenant", "tenant-0"]);
    }
    all.extend(arguments);
    world.node().arguments(&all)
}

/// Runs it to its end: its exit code, its account, its errors.
async fn run(world: &World, arguments: &[&str]) -> (Option<i32>, String, String) {
    let finished = backfill(world, arguments).run_to_end(DEADLINE).await;
    (finished.code, finished.stdout, finished.stderr)
}

/// A database's points by their content.
fn content(influx: &InfluxStub, database: &str) -> BTreeSet<String> {
    influx.points(database).iter().map(text).collect()
}

fn text(point: &Point) -> String {
    let mut point = point.clone();
    point.fields.sort_by(|a, b| a.0.cmp(&b.0));
    format!("{point:?}")
}

/// The number behind a word of an account.
fn number(account: &str, word: &str) -> u64 {
    let mut words = account.split_whitespace().skip_while(|found| *found != word);
    let found = words.nth(1).and_then(|number| number.parse().ok());
    found.unwrap_or_else(|| panic!("no number behind {word:?}: {account}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backfill_writes_what_a_live_node_wrote_and_no_other_tenants_points() {
    let world = world_with_rows(3_000, true).await;
    let other = InfluxStub::start();
    let (code, account, errors) =
        run(&world, &["--target", &other.url(), "--tenant", "tenant-1", "--tenant", "tenant-3"]).await;
    assert_eq!(code, Some(0), "{account}{errors}");
    assert_eq!(other.databases(), [database("tenant-1"), database("tenant-3")]);
    for tenant in ["tenant-1", "tenant-3"] {
        let line = account.lines().find(|line| line.starts_with(tenant)).expect("a line for each tenant");
        assert_eq!((number(line, "rows"), number(line, "points"), number(line, "written")), (600, 600, 600), "{line}");
        assert_eq!(number(line, "refused"), 0, "{line}");
        let (live, again) = (content(&world.influx, &database(tenant)), content(&other, &database(tenant)));
        assert_eq!(again.len(), 600);
        assert!(live == again, "the points of {tenant} differ");
    }
    assert!(!world.database.occurrences_of("apiv3_test").await.iter().any(|(_, count)| *count > 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backfill_that_is_interrupted_goes_on_where_it_stopped() {
    let world = world_with_rows(20_000, false).await;
    // One request at a time, a second each: the points of a tenant that has a fifth of the rows take some.
    world.influx.set_latency(Duration::from_millis(700));
    let command = |world: &World| backfill(world, &["--rate", "500"]).env("INFLUX_BATCH_SIZE", 500);
    let mut first = command(&world).start();
    wait_for("the first pages to be on record", DEADLINE, async || {
        world.database.count("influx_backfills WHERE written > 0").await == 1
    })
    .await;
    first.sigint();
    assert_eq!(first.wait_exit(DEADLINE).await, Some(75), "{}", first.log());
    let log = first.log();
    assert!(log.contains("the same command line goes on where this one stopped"), "{log}");
    let (written_first, points_first) = (number(&log, "written"), world.influx.point_count(&database("tenant-0")));
    assert!(written_first > 0 && written_first < 4_000, "interrupted too early or too late: {log}");

    world.influx.set_latency(Duration::ZERO);
    let second = command(&world).run_to_end(DEADLINE).await;
    assert_eq!(second.code, Some(0), "{second:?}");
    assert_eq!(number(&second.stdout, "written"), 4_000 - written_first, "{second:?}");
    assert_eq!(number(&second.stdout, "rows"), 4_000 - written_first, "{second:?}");
    assert!(points_first >= written_first as usize);
    assert_eq!(world.influx.point_count(&database("tenant-0")), 4_000);
    assert_eq!(world.database.count("influx_backfills WHERE written = 4000 AND finished_at IS NOT NULL").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_run_says_that_it_is_finished_and_a_restarted_one_changes_nothing() {
    let world = world_with_rows(1_000, false).await;
    assert_eq!(run(&world, &[]).await.0, Some(0));
    let before = content(&world.influx, &database("tenant-0"));
    let requests = world.influx.counts().requests;

    let (code, account, _) = run(&world, &[]).await;
    assert_eq!((code, number(&account, "written")), (Some(0), 200), "{account}");
    assert!(account.contains("finished already"), "{account}");
    assert_eq!(world.influx.counts().requests, requests, "a finished backfill writes nothing");

    let (code, account, _) = run(&world, &["--restart"]).await;
    assert_eq!((code, number(&account, "written")), (Some(0), 200), "{account}");
    assert!(world.influx.counts().requests > requests);
    assert!(content(&world.influx, &database("tenant-0")) == before, "a point has changed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_is_away_is_waited_for() {
    let mut world = world_with_rows(1_000, false).await;
    world.influx.stop().await;
    let mut waiting = backfill(&world, &[]).start();
    wait_for_word(&waiting, "the target takes no writes").await;
    assert!(waiting.is_running());
    world.influx.start_again();
    assert_eq!(waiting.wait_exit(DEADLINE).await, Some(0), "{}", waiting.log());
    let log = waiting.log();
    assert_eq!((number(&log, "written"), log.matches("takes no writes").count()), (200, 1), "{log}");
    assert_eq!(world.influx.point_count(&database("tenant-0")), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asked_to_stop_while_the_target_is_away_it_stops_at_once() {
    let mut world = world_with_rows(1_000, false).await;
    world.influx.stop().await;
    let mut waiting = backfill(&world, &[]).start();
    wait_for_word(&waiting, "the target takes no writes").await;
    waiting.sigterm();
    assert_eq!(waiting.wait_exit(DEADLINE).await, Some(75), "{}", waiting.log());
    world.influx.start_again();
    assert_eq!(run(&world, &[]).await.0, Some(0));
    assert_eq!(world.influx.point_count(&database("tenant-0")), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn told_twice_it_ends_at_once_whatever_is_on_its_way() {
    let world = world_with_rows(1_000, false).await;
    world.influx.hang(None);
    let mut running = backfill(&world, &[]).start();
    wait_for("a request", DEADLINE, async || world.influx.counts().requests > 0).await;
    running.sigint();
    wait_for_word(&running, "stopping").await;
    assert!(running.is_running(), "what is on its way is waited for");
    running.sigint();
    assert_eq!(running.wait_exit(DEADLINE).await, Some(75), "{}", running.log());
    world.influx.release();
    assert_eq!(run(&world, &[]).await.0, Some(0));
    assert_eq!(world.influx.point_count(&database("tenant-0")), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_that_went_down_with_a_batcher_are_sent_again_and_counted_once() {
    let world = world_with_rows(10_000, false).await;
    let command = backfill(&world, &[]).env("INFLUX_BATCH_SIZE", 100).env("INGEST_FAILPOINTS", "batcher=panic@7");
    let finished = command.run_to_end(DEADLINE).await;
    assert_eq!((finished.code, number(&finished.stdout, "written")), (Some(0), 2_000), "{finished:?}");
    assert!(finished.stderr.contains("it is sent again"), "{finished:?}");
    assert_eq!(world.influx.point_count(&database("tenant-0")), 2_000);
    assert_eq!(world.database.count("influx_backfills WHERE written = 2000 AND refused = 0").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_counts_and_writes_nothing() {
    let world = world_with_rows(1_000, false).await;
    world.database.execute("UPDATE raw_events SET msg_type = 'event' WHERE tenant_id = 'tenant-0' AND seq < 100").await;
    let (code, account, _) = run(&world, &["--dry-run"]).await;
    assert_eq!((code, number(&account, "rows"), number(&account, "points")), (Some(0), 200, 180), "{account}");
    assert_eq!(world.influx.counts().requests, 0);
    assert_eq!(world.database.count("influx_backfills").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_points_are_told_and_the_others_are_there() {
    let world = world_with_rows(1_000, false).await;
    // No form of a number fits a column of text: a point of these fields alone has nothing left to hold.
    world.influx.define_field(&database("tenant-0"), "heartbeat", "seq", &Value::Text(String::new()));
    let heartbeats = "UPDATE raw_events SET msg_type = 'heartbeat' WHERE tenant_id = 'tenant-0' AND seq < 100";
    world.database.execute(heartbeats).await;

    let (code, account, errors) = run(&world, &[]).await;
    assert_eq!((code, number(&account, "written"), number(&account, "refused")), (Some(1), 180, 20), "{errors}");
    assert!(errors.contains("refused: TELEMETRY "), "{errors}");
    assert_eq!(world.influx.point_count(&database("tenant-0")), 180);
    assert_eq!(world.database.count("raw_events").await, 1_000);
    let (code, account, _) = run(&world, &[]).await;
    assert_eq!((code, number(&account, "refused")), (Some(1), 20), "{account}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_one_run_works_on_a_backfill() {
    let world = world_with_rows(1_000, false).await;
    world.influx.hang(None);
    let mut first = backfill(&world, &[]).start();
    wait_for("the first run's request", DEADLINE, async || world.influx.counts().requests > 0).await;
    let (code, account, errors) = run(&world, &[]).await;
    assert_eq!((code, account.as_str()), (Some(69), ""), "{errors}");
    assert!(errors.contains("another run is working on this very backfill"), "{errors}");
    world.influx.release();
    assert_eq!(first.wait_exit(DEADLINE).await, Some(0), "{}", first.log());
    assert_eq!(world.influx.point_count(&database("tenant-0")), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_range_ends_before_its_last_moment() {
    let world = world_with_rows(1_000, false).await;
    let middle = "SELECT to_char(received_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'),
        (SELECT count(*) FROM raw_events e WHERE e.tenant_id = 'tenant-0' AND e.received_at < m.received_at)
        FROM raw_events m WHERE tenant_id = 'tenant-0' ORDER BY received_at, stream_seq OFFSET 100 LIMIT 1";
    let row = world.database.query(middle, &[]).await;
    let (moment, before): (String, i64) = (row[0].get(0), row[0].get(1));
    let (code, account, _) = run(&world, &["--to", &moment]).await;
    assert_eq!((code, number(&account, "written")), (Some(0), before as u64), "{account}");
    assert!(account.trim_end().ends_with("Z"), "{account}");

    let arguments = ["backfill", "--tenant", "tenant-0", "--from", &moment];
    let rest = world.node().arguments(&arguments).run_to_end(DEADLINE).await;
    assert_eq!(number(&rest.stdout, "written"), 200 - before as u64, "{rest:?}");
    assert_eq!(world.influx.point_count(&database("tenant-0")), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_tenants_share_a_database_the_points_carry_their_tenant() {
    let world = world_with_rows(500, false).await;
    let run = backfill(&world, &["--tenant", "tenant-0", "--tenant", "tenant-1"]);
    let finished = run.env("INFLUXDB_DATABASE_LAYOUT", "shared").run_to_end(DEADLINE).await;
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(world.influx.databases(), ["telemetry"]);
    let points = world.influx.points("telemetry");
    let of = |tenant: &str| {
        points.iter().filter(|point| point.tags.get("tenant_id").is_some_and(|tag| tag == tenant)).count()
    };
    assert_eq!((points.len(), of("tenant-0"), of("tenant-1")), (200, 100, 100));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_server_the_points_go_to_files() {
    let world = world_with_rows(1_000, false).await;
    let dir = tempfile::tempdir().expect("a directory");
    let mut running = backfill(&world, &[]).env("INFLUXDB_URL", "").dir(dir.path()).start();
    assert_eq!(running.wait_exit(DEADLINE).await, Some(0), "{}", running.log());
    let files = dir.path().join("data/line-protocol").join(database("tenant-0"));
    let text = std::fs::read_to_string(files.join("current.lp")).expect("the tenant's file");
    assert_eq!(text.lines().count(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_goes_away_meanwhile_is_waited_for() {
    let mut world = World::with_own_postgres().await;
    let load = Workload::good(20_000);
    load.seed(&world).await;
    let node = start(world.node().env("INFLUXDB_WRITE_ENABLED", 0)).await;
    world.publish(load.messages.clone()).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    drain(node).await;

    let mut running = backfill(&world, &["--rate", "1000"]).start();
    wait_for("the first points", DEADLINE, async || world.influx.point_count(&database("tenant-0")) > 0).await;
    world.postgres.as_mut().expect("its own").stop();
    wait_for_word(&running, "waiting for PostgreSQL").await;
    world.postgres.as_mut().expect("its own").start_again();
    assert_eq!(running.wait_exit(DEADLINE).await, Some(0), "{}", running.log());
    assert_eq!(number(&running.log(), "written"), 4_000, "{}", running.log());
    assert_eq!(world.influx.point_count(&database("tenant-0")), 4_000);
}

async fn wait_for_word(command: &Node, word: &str) {
    wait_for(word, DEADLINE, async || command.log().contains(word)).await;
}

#[tokio::test]
async fn a_range_that_is_none_ends_with_64() {
    let world = World::new().await;
    for arguments in [["--to", "2019-01-01"], ["--to", "2999-01-01"], ["--to", "tomorrow"], ["--rate", "0"]] {
        let (code, account, errors) = run(&world, &arguments).await;
        assert_eq!((code, account.as_str()), (Some(64), ""), "{arguments:?} {errors}");
    }
    let finished = world.node().arguments(&["backfill", "--from", FROM]).run_to_end(DEADLINE).await;
    assert_eq!(finished.code, Some(64), "{finished:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backfill_that_waits_for_postgresql_stops_when_it_is_told() {
    let world = world_with_rows(1_000, false).await;
    let mut locker = world.database.connect().await;
    let lock = locker.transaction().await.expect("a transaction");
    lock.batch_execute("LOCK TABLE raw_events IN ACCESS EXCLUSIVE MODE").await.expect("the lock");
    for arguments in [&["--dry-run"][..], &[][..]] {
        // Other tests' databases are copies, their tables have the same numbers.
        let here = "database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        let waiting = format!("pg_locks WHERE NOT granted AND relation = 'raw_events'::regclass AND {here}");
        // The session of the run before waits on, although nobody reads its answer: it is not to be taken for this one's.
        let end_waiting = format!("SELECT pg_terminate_backend(pid) FROM {waiting}");
        world.database.connect().await.batch_execute(&end_waiting).await.expect("an end of the session");
        wait_for("no one to wait for the table", DEADLINE, async || world.database.count(&waiting).await == 0).await;
        let mut running = backfill(&world, arguments).start();
        wait_for("it to wait for the table", DEADLINE, async || world.database.count(&waiting).await > 0).await;
        running.sigterm();
        // A second or so; what it waits for would take a minute, which is longer than this deadline.
        assert_eq!(running.wait_exit(DEADLINE).await, Some(75), "{}", running.log());
    }
    lock.rollback().await.expect("an end of the lock");
    let (code, account, _) = run(&world, &[]).await;
    assert_eq!((code, number(&account, "written")), (Some(0), 200), "{account}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_that_nobody_knows_is_said_to_be_unknown() {
    let world = world_with_rows(10, true).await;
    for arguments in [&["--tenant", "tenant-O"][..], &["--tenant", "tenant-O", "--dry-run"]] {
        let (code, account, errors) = run(&world, arguments).await;
        assert_eq!(code, Some(1), "{account}{errors}");
        assert!(errors.contains("tenant-O: no such tenant in device_registry"), "{errors}");
    }
    // A known tenant without rows in the range is no mistake.
    let (code, account, errors) = run(&world, &["--to", "2020-01-02"]).await;
    assert_eq!((code, errors.as_str()), (Some(0), ""), "{account}");
}
