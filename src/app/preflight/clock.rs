//! Clocks: the node's own, PostgreSQL's and the broker's, compared with each other.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::result::CheckResult;
use super::shared::Later;

const ABOUT: &str = "clocks";

/// Beyond this a derived time (last seen, position) is corrected, and the age of a lag is wrong by as much.
const MOST_SKEW: Duration = Duration::from_secs(5);

/// By how much the servers' clocks are ahead of the node's, microseconds.
#[derive(Debug)]
pub(super) struct Clocks {
    pub(super) nats: Later<i64>,
    pub(super) postgres: Later<i64>,
}

impl Clocks {
    pub(super) fn new() -> Self {
        Self { nats: Later::new(), postgres: Later::new() }
    }
}

/// The node's clock, Unix microseconds.
pub(super) fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// By how much a server's clock is ahead, which showed `server_us` between two moments of the node's.
pub(super) fn ahead(asked_us: i64, server_us: i64, answered_us: i64) -> i64 {
    // Anywhere within the round trip it was right.
    if server_us < asked_us {
        server_us - asked_us
    } else if server_us > answered_us {
        server_us - answered_us
    } else {
        0
    }
}

/// Whether they agree.
pub(super) async fn check(clocks: &Clocks) -> Vec<CheckResult> {
    let (nats, postgres) = tokio::join!(clocks.nats.get(), clocks.postgres.get());
    assess(&[("NATS", nats), ("PostgreSQL", postgres)])
}

/// A result for each server whose clock differs from the node's.
fn assess(ahead_us: &[(&str, Option<i64>)]) -> Vec<CheckResult> {
    let mut results: Vec<CheckResult> = ahead_us
        .iter()
        .filter_map(|(server, ahead)| Some((server, (*ahead)?)))
        .filter(|(_, ahead)| ahead.unsigned_abs() > MOST_SKEW.as_micros() as u64)
        .map(|(server, ahead)| {
            let (secs, direction) = (ahead.unsigned_abs() / 1_000_000, if ahead > 0 { "ahead of" } else { "behind" });
            let found = format!("the clock of {server} is {secs} s {direction} the node's");
            CheckResult::warn(ABOUT, found, "let both machines keep time (chrony, systemd-timesyncd)")
        })
        .collect();
    let known: Vec<&str> = ahead_us.iter().filter(|(_, ahead)| ahead.is_some()).map(|(server, _)| *server).collect();
    if results.is_empty() && !known.is_empty() {
        results.push(CheckResult::ok(ABOUT, format!("the node and {} agree", known.join(", "))));
    }
    results
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::preflight::result::Level;

    #[test]
    fn a_clock_is_right_anywhere_within_the_round_trip() {
        assert_eq!([ahead(10, 10, 20), ahead(10, 15, 20), ahead(10, 20, 20)], [0; 3]);
        assert_eq!((ahead(10, 4, 20), ahead(10, 27, 20)), (-6, 7));
    }

    #[test]
    fn a_clock_that_differs_is_named_with_the_seconds() {
        let found = assess(&[("NATS", Some(7_200_000_000)), ("PostgreSQL", Some(-6_000_000))]);
        assert!(found[0].found.contains("NATS is 7200 s ahead of"), "{found:?}");
        assert!(found[1].found.contains("PostgreSQL is 6 s behind"), "{found:?}");
        let found = assess(&[("NATS", None), ("PostgreSQL", Some(100_000))]);
        assert!(found.len() == 1 && found[0].level == Level::Ok, "{found:?}");
        assert_eq!(assess(&[("NATS", None), ("PostgreSQL", None)]), []);
    }
}
