//! The numbers of devices' messages, by several writers at once.

use ingest_core::validate::event::Event;
use ingest_kit::Postgres;
use ingest_node::testing::sink::state::Config;

use super::bench::{Bench, database, event};

/// Numbers count as missing as soon as there was a message after them.
fn at_once() -> Config {
    Config { flush_interval_secs: 3_600, flush_interval_max_secs: 0, missing_after_secs: 0, ..Config::default() }
}

fn numbered(id: &str, seq: i64) -> Event {
    Event { seq, ..event(id, seq, r#"{"a":1}"#) }
}

#[actix::test]
async fn replicas_that_share_a_devices_messages_find_what_one_would() {
    let ids: Vec<String> = (0..50).map(|number| format!("d{number}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let database = database(Postgres::shared(), &ids).await;
    let replicas = [(); 3].map(|()| Bench::with(&database, Config { missing_after_secs: 3_600, ..at_once() }));
    // Of a hundred numbers every seventh is lost on the way; the others reach one replica or another.
    let sent: Vec<i64> = (1..=100).filter(|seq| *seq < 10 || seq % 7 > 0).collect();
    for part in sent.chunks(20) {
        for (number, replica) in replicas.iter().enumerate() {
            let mine = part.iter().filter(|seq| **seq as usize * 5 % 11 % 3 == number);
            replica.observe(mine.flat_map(|seq| ids.iter().map(|id| numbered(id, *seq))));
        }
        futures_util::future::join_all(replicas.iter().map(Bench::flush)).await;
    }
    let lost: Vec<i64> = (10..=100).filter(|seq| seq % 7 == 0).flat_map(|seq| [seq, seq]).collect();
    let expected = "device_state WHERE last_seq = 100 AND seq_repeats = 0 AND seq_resets = 0 AND seq_missing_ranges = ";
    assert_eq!(database.count(&format!("{expected} ARRAY{lost:?}::bigint[]")).await, 50);

    // A replica that is sure of it counts them.
    let counting = Bench::with(&database, at_once());
    for seq in [101, 102] {
        counting.observe(ids.iter().map(|id| numbered(id, seq)));
        counting.flush().await;
    }
    assert_eq!(database.count("device_state WHERE seq_missing = 13 AND last_seq = 102").await, 50);
    let text = counting.metrics.open_metrics().unwrap();
    assert!(text.contains("ingest_readings_missing_total{tenant=\"acme\"} 650"), "{text}");
}
