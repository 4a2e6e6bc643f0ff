//! The table is at fault, not the rows: everything is held and said, nothing is lost, and it goes on by itself.

use ingest_core::flow::disposition::Verdict;
use ingest_core::message::rejection::Reason;
use ingest_core::validate::event::ShadowReport;
use ingest_kit::{Database, Postgres, wait_for};
use ingest_node::testing::delivery::Lane;
use ingest_node::testing::message::Write;

use super::bench::{Bench, SOON, device, event, migrated, refusal};

/// What is wrong with `raw_events`, and what repairs it.
const FAULTS: [(&str, &str); 6] = [
    (
        "ALTER TABLE raw_events ADD COLUMN more text NOT NULL DEFAULT ''; ALTER TABLE raw_events ALTER more DROP DEFAULT",
        "ALTER TABLE raw_events ALTER COLUMN more DROP NOT NULL",
    ),
    (
        "ALTER TABLE raw_events ADD CONSTRAINT none CHECK (seq = 8) NOT VALID",
        "ALTER TABLE raw_events DROP CONSTRAINT none",
    ),
    (
        "ALTER TABLE raw_events ALTER COLUMN payload TYPE json USING payload::json",
        "ALTER TABLE raw_events ALTER COLUMN payload TYPE jsonb USING payload::jsonb",
    ),
    ("ALTER TABLE raw_events RENAME COLUMN topic TO topik", "ALTER TABLE raw_events RENAME COLUMN topik TO topic"),
    ("ALTER TABLE raw_events RENAME TO raw_evens", "ALTER TABLE raw_evens RENAME TO raw_events"),
    (
        "CREATE FUNCTION full() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN RAISE EXCEPTION 'disk full' USING ERRCODE = '53100'; END $$;
         CREATE TRIGGER full_disk BEFORE INSERT ON raw_events FOR EACH ROW EXECUTE FUNCTION full()",
        "CREATE OR REPLACE FUNCTION full() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$",
    ),
];

fn is_down(bench: &Bench) -> bool {
    bench.readiness.ready().unwrap_err().iter().any(|why| why.starts_with("postgres: ") && !why.ends_with("starting"))
}

fn rows(bench: &Bench, seqs: std::ops::Range<u64>, attempt: u32) -> Write {
    let events = seqs.map(|seq| (bench.delivery(Lane::TELEMETRY, seq, attempt).0, event(r#"{"a":1}"#)));
    Write { events: events.collect(), ..Write::default() }
}

/// Rows are held with this fault, whatever the node has stored before, rejections are not.
async fn holds_every_row((fault, remedy): (&str, &str), has_stored: bool, attempt: u32) {
    println!("{fault}");
    let database = migrated(Postgres::shared()).await;
    let bench = Bench::new(&database);
    let before = if has_stored { 10 } else { 0 };
    if has_stored {
        bench.writer.do_send(rows(&bench, 0..10, attempt));
        bench.settled(10).await;
    }
    database.execute(fault).await;
    bench.writer.do_send(rows(&bench, 100..400, attempt));
    wait_for("not ready", SOON, async || is_down(&bench)).await;
    let slot = bench.write_refusal(1_000, 1, refusal("acme", Reason::TokenInvalid));
    assert_eq!(bench.verdict(slot).await, Verdict::Rejected, "{fault}: rejections have tables of their own");
    // One that comes alone is no other than the rest.
    let alone = bench.write_event(2_000, attempt, event("{}"));
    assert_eq!((bench.verdicts.of(alone), bench.verdicts.len()), (None, before + 1), "{fault}");

    database.execute(remedy).await;
    bench.settled(before + 302).await;
    assert_eq!(bench.verdicts.count(Verdict::Done), before + 301, "{fault}");
    assert_eq!(database.count("raw_events").await, before as u64 + 301);
    assert_eq!(database.count("quarantine_events WHERE reason = 'ROW_REFUSED'").await, 0);
    wait_for("ready again", SOON, async || !is_down(&bench)).await;
}

#[actix::test]
async fn a_table_that_takes_no_row_holds_every_row() {
    for fault in FAULTS {
        holds_every_row(fault, true, 1).await;
    }
}

#[actix::test]
async fn a_table_that_takes_no_row_holds_redelivered_ones_too() {
    // What has been staged as jsonb becomes json by itself.
    for fault in FAULTS.into_iter().filter(|(fault, _)| !fault.contains("json")) {
        holds_every_row(fault, true, 2).await;
    }
}

#[actix::test]
async fn a_table_that_takes_no_row_holds_every_row_of_a_node_that_has_stored_none() {
    for fault in FAULTS {
        holds_every_row(fault, false, 1).await;
    }
}

#[actix::test]
async fn a_row_that_is_wrong_in_itself_makes_no_others_wrong_while_the_table_is_at_fault() {
    let database = migrated(Postgres::shared()).await;
    let bench = Bench::new(&database);
    database.execute(FAULTS[0].0).await;
    let mut write = rows(&bench, 0..50, 1);
    write.events[7].1.payload = r#"{"a":1e999999}"#.into();
    bench.writer.do_send(write);
    bench.settled(1).await;
    wait_for("not ready", SOON, async || is_down(&bench)).await;
    assert_eq!((bench.verdicts.of(7), bench.verdicts.len()), (Some(Verdict::Poison), 1));
    database.execute(FAULTS[0].1).await;
    bench.settled(50).await;
    assert_eq!(database.count("raw_events").await, 49);
}

#[actix::test]
async fn a_check_that_one_tenant_does_not_meet_refuses_that_tenants_rows_only() {
    let database = migrated(Postgres::shared()).await;
    let bench = Bench::new(&database);
    let of = |tenant: &str, seq: u64| {
        let mut event = event("{}");
        let mut device = (*event.device).clone();
        device.key.tenant_id = tenant.into();
        event.device = device.into();
        (bench.delivery(Lane::TELEMETRY, seq, 1).0, event)
    };
    bench.writer.do_send(Write { events: vec![of("evil", 1)], ..Write::default() });
    bench.settled(1).await;
    database.execute("ALTER TABLE raw_events ADD CONSTRAINT good CHECK (tenant_id <> 'evil') NOT VALID").await;
    // Alone, and among others.
    bench.writer.do_send(Write { events: vec![of("evil", 2)], ..Write::default() });
    bench.settled(2).await;
    let mixed = (10..50).map(|seq| of(if seq % 4 == 0 { "evil" } else { "good" }, seq)).collect();
    bench.writer.do_send(Write { events: mixed, ..Write::default() });
    bench.settled(42).await;
    assert_eq!((bench.verdicts.count(Verdict::Done), bench.verdicts.count(Verdict::Poison)), (31, 11));
    assert_eq!(database.count("quarantine_events WHERE tenant_id = 'evil'").await, 11);
}

#[actix::test]
async fn a_quarantine_that_takes_nothing_holds_the_rejections_and_no_row() {
    let faults = [
        ("ALTER TABLE quarantine_events RENAME TO q", "ALTER TABLE q RENAME TO quarantine_events"),
        (
            "ALTER TABLE quarantine_events ADD COLUMN more text NOT NULL",
            "ALTER TABLE quarantine_events ALTER COLUMN more DROP NOT NULL",
        ),
        (
            "ALTER TABLE quarantine_counters_minute ADD CONSTRAINT none CHECK (cnt < 0)",
            "ALTER TABLE quarantine_counters_minute DROP CONSTRAINT none",
        ),
    ];
    for (fault, remedy) in faults {
        let database = migrated(Postgres::shared()).await;
        let bench = Bench::new(&database);
        database.execute(fault).await;
        let mut write = rows(&bench, 0..50, 1);
        // Its refusal waits with the rejections.
        write.events[7].1.payload = r#"{"a":1e999999}"#.into();
        for seq in 100..110 {
            write.rejections.push((bench.delivery(Lane::TELEMETRY, seq, 1).0, refusal("acme", Reason::TokenInvalid)));
        }
        bench.writer.do_send(write);
        bench.settled(49).await;
        wait_for("not ready", SOON, async || is_down(&bench)).await;
        assert_eq!(bench.verdicts.count(Verdict::Done), 49, "{fault}");
        database.execute(remedy).await;
        bench.settled(60).await;
        assert_eq!((bench.verdicts.count(Verdict::Rejected), bench.verdicts.count(Verdict::Poison)), (10, 1));
        assert_eq!(database.count("quarantine_events").await, 11, "{fault}");
        let counted: i64 =
            database.query("SELECT sum(cnt)::bigint FROM quarantine_counters_minute", &[]).await[0].get(0);
        assert_eq!(counted, 11);
    }
}

#[actix::test]
async fn a_lane_whose_table_takes_nothing_holds_up_no_other() {
    let database: Database = migrated(Postgres::shared()).await;
    let bench = Bench::new(&database);
    database.execute("ALTER TABLE device_state ADD COLUMN more text NOT NULL").await;
    let mut write = rows(&bench, 0..50, 1);
    for seq in 0..10 {
        let report = ShadowReport { device: device(&format!("d{seq}")), reported: "{}".to_owned(), version: 1 };
        write.shadows.push((bench.delivery(Lane::SHADOW, seq, 1).0, report));
    }
    bench.writer.do_send(write);
    bench.settled(50).await;
    wait_for("not ready", SOON, async || is_down(&bench)).await;
    assert_eq!((database.count("raw_events").await, bench.verdicts.len()), (50, 50));
    database.execute("ALTER TABLE device_state DROP COLUMN more").await;
    bench.settled(60).await;
    assert_eq!(database.count("device_state").await, 10);
}
