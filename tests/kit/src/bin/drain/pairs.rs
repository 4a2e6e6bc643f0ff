//! Cases that race the node against itself: with something, and without.

use crate::cases::{Case, Load};
use crate::measure::summary_with;
use crate::{Bench, setting};

/// A case.
pub(crate) struct Pair {
    /// Its name in `BENCH_CASES`.
    pub name: &'static str,
    /// What makes the difference, for people.
    what: &'static str,
    with: Case,
    without: Case,
}

/// Rounds of retention while a run lasts.
const RETENTION: &str = "[retention]\nfirst_round_secs = 0\ninterval_secs = 1\n";

/// No round of the derived state while a run lasts, but the one at its start.
const NOT_DERIVED: &str = "[state]\nflush_interval_secs = 3600\nflush_interval_max_secs = 3600\n";

/// Every case, in the order in which they run; made of others, the first two of which are rows, and rows and points.
pub(crate) fn all(cases: &[Case]) -> Vec<Pair> {
    let (rows, points) = (&cases[0], &cases[1]);
    let load = Load { devices: setting("BENCH_DEVICES", 20_000), counted: true, ..rows.load };
    let plain = Case { load, ..rows.clone() };
    let silent_off = Case { env: &[("DEVICE_SILENCE", "0")], ..plain.clone() };
    vec![
        Pair {
            name: "outbox",
            what: "the record",
            with: points.clone(),
            without: Case { file: "[influx.outbox]\nenabled = false\n", ..points.clone() },
        },
        Pair { name: "tls", what: "TLS", with: Case { tls: true, ..rows.clone() }, without: rows.clone() },
        Pair { name: "readings", what: "silence", with: plain.clone(), without: silent_off.clone() },
        Pair {
            name: "derived",
            what: "derived state",
            with: plain.clone(),
            without: Case { file: NOT_DERIVED, ..silent_off.clone() },
        },
        Pair {
            name: "everything",
            what: "everything",
            with: Case {
                env: &[
                    ("RAW_EVENTS_RETENTION_DAYS", "30"),
                    ("QUARANTINE_RETENTION_DAYS", "30"),
                    ("RAW_EVENTS_READER_INDEX", "1"),
                ],
                file: RETENTION,
                watched: true,
                ..plain
            },
            without: silent_off,
        },
    ]
}

impl Bench {
    /// What something costs: pairs of runs of the same case, with it and without; its line.
    pub(crate) async fn measure_pairs(&mut self, pair: &Pair) -> String {
        let Pair { name, what, with, without } = pair;
        self.fill(with.load).await;
        let mut pairs = Vec::new();
        for number in 1..=setting("BENCH_PAIRS", 3_usize) {
            // Each goes first in every other pair: neither has the better place.
            let with_first = number % 2 == 1;
            let (first, second) = if with_first { (with, without) } else { (without, with) };
            let (first, second) = (self.run_node(first).await, self.run_node(second).await);
            let (with, without) = if with_first { (first, second) } else { (second, first) };
            println!("{name:>15}, pair {number}: with      {with}");
            println!("{name:>15}, pair {number}: without   {without}");
            pairs.push((with, without));
        }
        summary_with(name, what, &pairs)
    }
}
