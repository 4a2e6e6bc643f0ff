//! The platform's own tables, with its indexes, checks, triggers and policies, are worked with as they are.

use ingest_core::flow::disposition::Verdict;
use ingest_core::message::rejection::Reason;
use ingest_kit::{Postgres, seed};

use super::bench::{Bench, event, migrate, refusal};

#[actix::test]
async fn the_platforms_full_schema_is_migrated_and_takes_rows_and_refusals() {
    let database = Postgres::shared().create_database().await;
    seed::platform_schema(&database).await;
    migrate(&database).await;
    seed::devices(&database, &[seed::Device::active("acme", "d1", "tok")]).await;

    let bench = Bench::new(&database);
    let stored = bench.write_event(1, 1, event(r#"{"a":1}"#));
    let refused = bench.write_refusal(2, 1, refusal("acme", Reason::TokenInvalid));
    assert_eq!(bench.verdict(stored).await, Verdict::Done);
    assert_eq!(bench.verdict(refused).await, Verdict::Rejected);
    assert_eq!(database.count("raw_events").await, 1);
    assert_eq!(database.count("quarantine_events").await, 1);
    assert_eq!(database.count("quarantine_counters_minute WHERE cnt = 1").await, 1);
}
