//! What is old is dropped by the role of the document, and nothing else can be.

use ingest_kit::wait_for;

use super::roles::Roles;
use crate::retention::{often, old_day};
use crate::world::{DEADLINE, drain, start};

const DROP: &str = "SELECT ingest_drop_partition($1)";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_may_change_no_table_drops_old_days_and_nothing_else() {
    let roles = Roles::with(&["postgres run"]).await;
    let world = roles.world().await;
    let old = old_day(&roles.as_owner(), 5, 3).await;
    let (builder, _file) =
        often(roles.node(&world).env("RAW_EVENTS_RETENTION_DAYS", 3).env("QUARANTINE_RETENTION_DAYS", 3));
    let node = start(builder).await;
    // Without the grants it says so, everywhere, and once.
    let body = async || node.get("/ready").await.map(|answer| answer.body).unwrap_or_default();
    wait_for("the message in /ready", DEADLINE, async || body().await.contains("docs/rights.md has the grants")).await;
    wait_for("another round", DEADLINE, async || node.metrics().await.count("ingest_retention_errors_total", &[]) >= 4)
        .await;
    assert_eq!(node.wait_logged("retention is behind", 2).await, 2, "{}", node.log());
    let settings = || {
        roles
            .node(&world)
            .env("RAW_EVENTS_RETENTION_DAYS", 3)
            .env("QUARANTINE_RETENTION_DAYS", 3)
            .env("RAW_EVENTS_READER_INDEX", 1)
    };
    let report = crate::doctor::doctor(settings()).await;
    report.assert_names(&[
        ("ERR", "postgresql retention", "may not drop old partitions"),
        ("ERR", "postgresql retention", "does not own raw_events"),
        ("ERR", "postgresql rights", "may not DELETE on quarantine_events"),
        ("ERR", "postgresql rights", "may not DELETE on quarantine_counters_minute"),
        ("ERR", "postgresql rights", "may not SELECT on influx_backfills"),
    ]);

    roles.grant("postgres retention").await;
    wait_for("the old day to be dropped", DEADLINE, async || {
        world.database.count(&format!("pg_class WHERE relname = '{old}'")).await == 0
    })
    .await;
    wait_for("no message to be left", DEADLINE, async || !body().await.contains("retention")).await;
    let report = crate::doctor::doctor(settings().env("RAW_EVENTS_READER_INDEX", 0)).await;
    assert_eq!(report.found("postgresql retention"), "rows are kept for 3 days, rejected messages for 3 days");
    assert!(report.wrong("postgresql rights").is_empty(), "{:#?}", report.found);
    drain(node).await;

    // The function by itself.
    let owner = roles.as_owner();
    owner
        .execute(
            "CREATE TABLE month PARTITION OF raw_events FOR VALUES FROM ('2025-01-01 00:00+00') TO ('2025-02-01 00:00+00');
             CREATE TABLE \"Odd ' name\" PARTITION OF raw_events FOR VALUES FROM ('2025-03-01 00:00+00') TO ('2025-03-02 00:00+00');
             CREATE TABLE below PARTITION OF raw_events FOR VALUES FROM ('2025-03-02 00:00+00') TO ('2025-03-03 00:00+00')
                 PARTITION BY RANGE (received_at);
             CREATE TABLE beginning PARTITION OF raw_events FOR VALUES FROM (MINVALUE) TO ('2020-01-01 00:00+00');
             CREATE TABLE others PARTITION OF raw_events DEFAULT;
             CREATE TABLE raw_events_20250401 (kept_as int)",
        )
        .await;
    let [today, yesterday, owed] =
        [old_day(&owner, 0, 1).await, old_day(&owner, 1, 1).await, old_day(&owner, 9, 1).await];
    let entry = format!(
        "INSERT INTO influx_outbox (tenant_id, stream, received_from, received_to, lines)
         SELECT 'tenant-0', 'TELEMETRY', received_at + interval '5 hours', received_at + interval '6 days', 1 FROM {owed}"
    );
    owner.execute(&entry).await;
    let ingest = roles.as_ingest().connect().await;
    // Whatever the session is set to, and whatever the caller has of the same name.
    ingest
        .batch_execute(
            "SET timezone = 'Pacific/Auckland'; SET datestyle = 'SQL, DMY'; SET lock_timeout = 0;
             CREATE TEMP TABLE influx_outbox (received_from timestamptz, received_to timestamptz);
             CREATE TEMP TABLE raw_events (x int); SET search_path = pg_temp, public",
        )
        .await
        .expect("settings");
    let drop = async |name: &str| ingest.query_one("SELECT public.ingest_drop_partition($1)", &[&name]).await;
    for name in [&today, &yesterday, "month", "below", "beginning", "others"] {
        let refused = drop(name).await.expect_err(name);
        assert_eq!(refused.code().map(|code| code.code()), Some("22023"), "{name}: {refused}");
    }
    for name in [&owed, "raw_events_20250401", "device_registry", "nothing", "public.month", "month; DROP TABLE month"]
    {
        assert!(!drop(name).await.expect(name).get::<_, bool>(0), "{name}");
    }
    assert!(drop("Odd ' name").await.expect("an old day").get::<_, bool>(0));
    let left =
        "pg_class WHERE relname IN ('month', 'below', 'beginning', 'others', 'raw_events_20250401', 'device_registry')";
    assert_eq!(owner.count(left).await, 6);
    owner.execute("DELETE FROM influx_outbox").await;
    assert!(drop(&owed).await.expect("what is owed no more").get::<_, bool>(0));
}

#[tokio::test]
async fn an_entry_that_is_committed_while_the_function_waits_is_not_missed() {
    let roles = Roles::with(&["postgres run", "postgres retention"]).await;
    let owner = roles.as_owner();
    let old = old_day(&owner, 5, 1).await;
    let writer = owner.connect().await;
    writer
        .batch_execute(&format!(
            "BEGIN; INSERT INTO raw_events (received_at, event_ts, stream_seq, stream)
                 SELECT received_at + interval '1 s', event_ts, 99, stream FROM {old};
             INSERT INTO influx_outbox (tenant_id, stream, received_from, received_to, lines)
                 SELECT 'tenant-0', 'TELEMETRY', received_at, received_at, 1 FROM {old} LIMIT 1"
        ))
        .await
        .expect("a row and its entry");
    let ingest = roles.as_ingest().connect().await;
    let busy = ingest.query_one(DROP, &[&old]).await.expect_err("somebody writes");
    assert_eq!(busy.code().map(|code| code.code()), Some("55P03"), "{busy}");
    writer.batch_execute("COMMIT").await.expect("both are there");
    assert!(!ingest.query_one(DROP, &[&old]).await.expect("an answer").get::<_, bool>(0));
    assert_eq!(owner.count(&old).await, 2);
}

#[tokio::test]
async fn nobody_may_drop_who_was_not_granted_that() {
    let roles = Roles::with(&["postgres run"]).await;
    let old = old_day(&roles.as_owner(), 5, 1).await;
    let refused = roles.as_ingest().connect().await.query_one(DROP, &[&old]).await.expect_err("no right");
    assert_eq!(refused.code().map(|code| code.code()), Some("42501"), "{refused}");
    roles.database.execute(&roles.named("GRANT iot_owner TO iot_ingest")).await;
    let dropped = roles.as_ingest().connect().await.query_one(DROP, &[&old]).await.expect("a member of the owner");
    assert!(dropped.get::<_, bool>(0));
}
