//! Redelivered messages: what is stored stays stored, and is neither rejected nor counted again.

use std::sync::{Arc, Mutex};

use actix::prelude::*;
use ingest_core::flow::disposition::Verdict;
use ingest_core::message::rejection::Reason;
use ingest_core::routes::route::Matched;
use ingest_core::validate::settings::Settings;
use ingest_kit::Postgres;
use ingest_node::testing::delivery::{Lane, Settlement};
use ingest_node::testing::message::{Publish, SettingsChanged, Write};
use ingest_node::testing::postgres::config::Config;
use ingest_node::testing::sink::postgres::Downstream;

use super::bench::{Bench, config, event, migrated, refusal};
use super::lanes::catch_all;

#[actix::test]
async fn a_stored_row_is_never_also_a_rejection() {
    let database = migrated(Postgres::shared()).await;
    let bench = Bench::new(&database);
    let reasons = [Reason::DeviceRevoked, Reason::RateLimited, Reason::TokenInvalid, Reason::ProcessingFailed];
    for seq in 0..4 {
        bench.write_event(seq, 1, event("{}"));
    }
    bench.settled(4).await;
    // Its acknowledgement was lost, and the registry has changed since.
    for (seq, reason) in reasons.into_iter().enumerate() {
        let slot = bench.write_refusal(seq as u64, 2, refusal("acme", reason));
        assert_eq!(bench.verdict(slot).await, Verdict::Done, "{reason}");
    }
    // The same by way of a consumer that was made again, and together with a rejection that is one.
    let (mut delivery, old) = bench.delivery(Lane::TELEMETRY, 0, 1);
    delivery.predates_consumer = true;
    let (other, new) = bench.delivery(Lane::TELEMETRY, 100, 2);
    let refusals =
        vec![(delivery, refusal("acme", Reason::DeviceRevoked)), (other, refusal("acme", Reason::DeviceRevoked))];
    bench.writer.do_send(Write { rejections: refusals, ..Write::default() });
    assert_eq!((bench.verdict(old).await, bench.verdict(new).await), (Verdict::Done, Verdict::Rejected));
    assert_eq!(database.count("quarantine_events").await, 1);
    assert_eq!(database.count("quarantine_counters_minute").await, 1);
    assert_eq!(bench.metrics.postgres.rejections_of_stored_rows.get(), 5);
    assert_eq!(bench.metrics.validation.rejections.total(), 1, "counted where it is known to be one");
    assert_eq!(database.count("raw_events").await, 4);
}

#[actix::test]
async fn a_mirrored_rejection_is_no_stored_row() {
    let database = migrated(Postgres::shared()).await;
    let bench = Bench::new(&database);
    let rows = [("MODE", "DEV"), ("MIRROR_REJECTS_TO_RAW", "1"), ("STORE_REJECTS", "0")];
    let (settings, _) = Settings::default().apply(rows.into_iter());
    bench.writer.do_send(SettingsChanged(settings.into()));
    for attempt in [1, 2] {
        let slot = bench.write_refusal(1, attempt, refusal("acme", Reason::TokenInvalid));
        assert_eq!(bench.verdict(slot).await, Verdict::Rejected);
    }
    assert_eq!(database.count("raw_events WHERE NOT accepted").await, 1);
}

#[actix::test]
async fn a_stored_refusal_that_comes_again_is_not_counted_again_when_the_cap_is_used_up() {
    let database = migrated(Postgres::shared()).await;
    let settings = Config { quarantine_cap_per_minute: 3, ..config(&database) };
    let bench = Bench::with(settings.clone(), Default::default());
    for seq in 0..5 {
        bench.write_refusal(seq, 1, refusal("acme", Reason::TokenInvalid));
    }
    bench.settled(5).await;
    for seq in 0..3 {
        bench.write_refusal(seq, 2, refusal("acme", Reason::TokenInvalid));
    }
    bench.settled(8).await;
    assert_eq!(database.count("quarantine_events").await, 3);
    assert_eq!(database.count("quarantine_counters_minute WHERE cnt = 5").await, 1);
}

/// Remembers the jobs that it is told to publish, and settles their deliveries.
#[derive(Clone, Default)]
struct Publisher(Arc<Mutex<Vec<u64>>>);

impl Actor for Publisher {
    type Context = Context<Self>;
}

impl Handler<Publish> for Publisher {
    type Result = ();

    fn handle(&mut self, publish: Publish, _: &mut Self::Context) {
        let mut settlement = Settlement::default();
        for jobs in publish.deliveries {
            self.0.lock().unwrap().push(jobs.origin.stream_seq);
            settlement.add(jobs.guard, Verdict::Done);
        }
        settlement.send();
    }
}

#[actix::test]
async fn a_row_that_was_there_has_had_its_jobs_unless_its_delivery_did_not_end() {
    let database = migrated(Postgres::shared()).await;
    let publisher = Publisher::default();
    let downstream = Downstream { jobs: Some(publisher.clone().start().recipient()), ..Downstream::default() };
    let bench = Bench::with(config(&database), downstream);
    let send = |seqs: &[u64], attempt: u32, predates_consumer: bool| {
        let events = seqs.iter().map(|seq| {
            let (mut delivery, _) = bench.delivery(Lane::TELEMETRY, *seq, attempt);
            delivery.predates_consumer = predates_consumer;
            let mut event = event("{}");
            event.routes = Matched::of(&catch_all(), &event.topic, &event.payload);
            (delivery, event)
        });
        bench.writer.do_send(Write { events: events.collect(), ..Write::default() });
    };
    let published = || {
        let mut seqs = std::mem::take(&mut *publisher.0.lock().unwrap());
        seqs.sort_unstable();
        seqs
    };
    send(&[1, 2, 3], 1, false);
    bench.settled(3).await;
    assert_eq!(published(), [1, 2, 3]);

    // The consumer is made again: it delivers everything again, for the first time as far as the broker knows.
    send(&[1, 2, 3, 4], 1, true);
    bench.settled(7).await;
    assert_eq!(published(), [4]);
    // As well where nobody has told that it is.
    send(&[1, 2, 5], 1, false);
    bench.settled(10).await;
    assert_eq!(published(), [5]);
    // A redelivery: its jobs may not have been published.
    send(&[2, 6], 2, false);
    bench.settled(12).await;
    assert_eq!(published(), [2, 6]);
    assert_eq!(bench.verdicts.count(Verdict::Done), 12);
    assert_eq!(database.count("raw_events").await, 6);
}
