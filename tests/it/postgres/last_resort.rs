//! Refusals that PostgreSQL refuses: each ends, whatever it holds, and holds up nobody.

use ingest_core::flow::disposition::Verdict;
use ingest_core::message::rejection::Reason;
use ingest_kit::Postgres;
use ingest_node::testing::delivery::Lane;
use ingest_node::testing::message::Write;

use super::bench::{Bench, event, migrated, refusal};

/// Text that no index entry can hold: too long, and nothing to be compressed.
fn monster(random: &mut fastrand::Rng) -> String {
    let length = random.usize(2_700..9_000);
    std::iter::repeat_with(|| random.alphanumeric()).take(length).collect()
}

#[actix::test]
async fn a_refusal_that_can_be_stored_nowhere_holds_up_nobody() {
    let database = migrated(Postgres::shared()).await;
    let bench = Bench::new(&database);
    let mut random = fastrand::Rng::with_seed(1);
    for round in 0..5 {
        let mut write = Write::default();
        for number in 0..20 {
            let seq = round * 100 + number;
            let delivery = bench.delivery(Lane::TELEMETRY, seq, 1).0;
            if number == 7 {
                write.rejections.push((delivery, refusal(&monster(&mut random), Reason::UnregisteredDevice)));
            } else {
                write.events.push((delivery, event("{}")));
            }
        }
        bench.writer.do_send(write);
    }
    bench.settled(100).await;
    assert_eq!((bench.verdicts.count(Verdict::Done), bench.verdicts.count(Verdict::Rejected)), (95, 5));
    assert_eq!(database.count("raw_events").await, 95);
    assert_eq!(database.count("quarantine_counters_minute WHERE tenant_id = 'unknown' AND cnt = 5").await, 1);
    assert_eq!(bench.metrics.postgres.quarantine_dropped.get(), 0);
}

#[actix::test]
async fn a_refusal_that_can_not_even_be_counted_is_dropped_and_said() {
    let database = migrated(Postgres::shared()).await;
    database
        .execute(
            "CREATE FUNCTION never() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN IF NEW.reason = 'TOKEN_MISSING' THEN RAISE EXCEPTION 'never'; END IF; RETURN NEW; END $$;
             CREATE TRIGGER never BEFORE INSERT ON quarantine_events FOR EACH ROW EXECUTE FUNCTION never();
             CREATE TRIGGER never BEFORE INSERT ON quarantine_counters_minute FOR EACH ROW EXECUTE FUNCTION never()",
        )
        .await;
    let bench = Bench::new(&database);
    let mut write = Write::default();
    for seq in 0..10 {
        let reason = if seq == 3 { Reason::TokenMissing } else { Reason::TokenInvalid };
        write.rejections.push((bench.delivery(Lane::TELEMETRY, seq, 1).0, refusal("acme", reason)));
    }
    bench.writer.do_send(write);
    let alone = bench.write_refusal(20, 1, refusal("acme", Reason::TokenMissing));
    bench.settled(11).await;
    assert_eq!(bench.verdict(alone).await, Verdict::Rejected);
    assert_eq!(bench.verdicts.count(Verdict::Rejected), 11);
    assert_eq!(database.count("quarantine_events").await, 9);
    assert_eq!(bench.metrics.postgres.quarantine_dropped.get(), 2);
}

#[actix::test]
async fn a_side_message_that_is_refused_for_its_device_ends_in_the_quarantine() {
    let database = migrated(Postgres::shared()).await;
    database
        .execute(
            "INSERT INTO device_commands (tenant_id, command_id, device_id) VALUES ('acme', 'a', 'd1'), ('acme', 'b', 'd2');
             CREATE FUNCTION never() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN IF NEW.device_id = 'd1' THEN RAISE EXCEPTION 'never'; END IF; RETURN NEW; END $$;
             CREATE TRIGGER never BEFORE UPDATE ON device_commands FOR EACH ROW EXECUTE FUNCTION never();
             CREATE TRIGGER never BEFORE INSERT ON device_state FOR EACH ROW EXECUTE FUNCTION never()",
        )
        .await;
    let bench = Bench::new(&database);
    let device = super::bench::device("d1");
    let (ack, report) = (bench.delivery(Lane::COMMANDS, 1, 1).0, bench.delivery(Lane::SHADOW, 1, 1).0);
    let ack = (
        ack,
        ingest_core::validate::event::CommandAck {
            device: device.clone(),
            command_id: "a".into(),
            ack_details: "{}".into(),
        },
    );
    let report = (report, ingest_core::validate::event::ShadowReport { device, reported: "{}".into(), version: 1 });
    bench.writer.do_send(Write { acks: vec![ack], shadows: vec![report], ..Write::default() });
    bench.settled(2).await;
    assert_eq!(bench.verdicts.count(Verdict::Poison), 2);
    assert_eq!(database.count("quarantine_events WHERE reason = 'ROW_REFUSED' AND detail = 'never (P0001)'").await, 2);
}
