//! Invariant of the delivery ledger: `received = acked + nacked + termed + in_flight`, in every scrape.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ingest_kit::{Metrics, Node, get};
use tokio::task::JoinHandle;

use crate::world::LANES;

/// Checks the ledger of every lane.
pub(crate) fn assert_balanced(metrics: &Metrics) {
    for (_, consumer) in LANES {
        let of = [("consumer", consumer)];
        let received = metrics.count("ingest_deliveries_received_total", &of);
        let settled = metrics.by_label_of("ingest_deliveries_settled_total", &of, "disposition");
        let in_flight = metrics.count("ingest_in_flight", &of);
        assert_eq!(
            received,
            settled.values().sum::<u64>() + in_flight,
            "{consumer}: received {received}, settled {settled:?}, in flight {in_flight}"
        );
    }
}

/// Scrapes a node repeatedly and checks the ledgers each time.
pub(crate) struct InvariantChecker {
    done: Arc<AtomicBool>,
    task: JoinHandle<Observed>,
}

/// What the checker observed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Observed {
    /// Scrapes that found work in flight.
    pub busy_scrapes: usize,
    /// Most deliveries in flight at once on the telemetry lane.
    pub most_in_flight: u64,
}

impl InvariantChecker {
    /// Starts scraping.
    pub(crate) fn of(node: &Node) -> Self {
        let (address, done) = (node.address().to_owned(), Arc::new(AtomicBool::new(false)));
        let task = tokio::spawn({
            let done = done.clone();
            async move {
                let mut observed = Observed::default();
                while !done.load(Ordering::Relaxed) {
                    // The node may have ended.
                    if let Ok(answer) = get(&address, "/metrics").await {
                        let metrics = Metrics::parse(&answer.body);
                        assert_balanced(&metrics);
                        let in_flight = metrics.count("ingest_in_flight", &[("consumer", "ingest-workers")]);
                        observed.busy_scrapes += usize::from(in_flight > 0);
                        observed.most_in_flight = observed.most_in_flight.max(in_flight);
                    }
                    tokio::task::yield_now().await;
                }
                observed
            }
        });
        Self { done, task }
    }

    /// Stops, and fails if any scrape did not balance.
    pub(crate) async fn finish(self) -> Observed {
        self.done.store(true, Ordering::Relaxed);
        self.task.await.expect("every scrape balances")
    }
}
