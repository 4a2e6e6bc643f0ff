//! The consumers' figures as the broker reports them: samples that exist only while they are known.

use std::fmt;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::delivery::{Lane, Lanes};
use ingest_core::flow::lag::{ConsumerFigures, is_current};

/// What the broker has reported of a consumer.
#[derive(Clone, Copy, Debug)]
pub struct BrokerReport {
    /// When the broker was asked.
    pub asked: Instant,
    /// Its figures.
    pub figures: ConsumerFigures,
    /// The age of the oldest unsettled message at [`BrokerReport::asked`], where it is known; zero where nothing is unsettled.
    pub oldest: Option<Duration>,
    /// Most unsettled deliveries that one replica admits.
    pub window: usize,
}

impl BrokerReport {
    /// How old the report is.
    pub fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.asked)
    }

    /// The age of the oldest unsettled message now, in seconds: 0 where nothing is unsettled, `None` where it is not known.
    pub fn seconds(&self, now: Instant) -> Option<f64> {
        match self.figures.messages() {
            0 => Some(0.0),
            _ => Some((self.oldest? + self.age(now)).as_secs_f64()),
        }
    }
}

/// Why a consumer's figures are not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FiguresUnknown {
    /// The lane is not bound to a consumer, or the broker has not been asked yet.
    NotBound,
    /// The broker's last answer is this old.
    Stale(Duration),
}

/// The last report of every lane.
#[derive(Debug)]
pub struct BrokerReports {
    lanes: Lanes,
    last: [Mutex<Last>; Lane::COUNT],
}

#[derive(Clone, Copy, Debug, Default)]
struct Last {
    report: Option<BrokerReport>,
    /// When the broker was last asked and answered; stays when the report is discarded.
    asked: Option<Instant>,
}

impl BrokerReports {
    /// Of a node that runs these lanes; nothing is known yet.
    pub(super) fn new(lanes: Lanes) -> Self {
        Self { lanes, last: Default::default() }
    }

    /// The lanes that the node runs.
    pub fn lanes(&self) -> Lanes {
        self.lanes
    }

    /// Replaces a lane's report.
    pub fn set(&self, lane: Lane, report: BrokerReport) {
        *self.last(lane) = Last { report: Some(report), asked: Some(report.asked) };
    }

    /// Discards a lane's report: there is no consumer that it is true of.
    pub fn discard(&self, lane: Lane) {
        self.last(lane).report = None;
    }

    /// A lane's report, while it is known.
    ///
    /// # Errors
    /// Why it is not known.
    pub fn of(&self, lane: Lane, now: Instant) -> Result<BrokerReport, FiguresUnknown> {
        let report = self.last(lane).report.ok_or(FiguresUnknown::NotBound)?;
        let age = report.age(now);
        if is_current(age) { Ok(report) } else { Err(FiguresUnknown::Stale(age)) }
    }

    /// The age of the broker's last answer about a lane, however old; `None` while there was none.
    pub fn info_age(&self, lane: Lane, now: Instant) -> Option<Duration> {
        self.last(lane).asked.map(|asked| now.saturating_duration_since(asked))
    }

    /// Messages of all lanes that were never delivered; `None` where one lane's are not known.
    pub fn pending(&self, now: Instant) -> Option<u64> {
        self.lanes.iter().map(|lane| self.of(lane, now).ok().map(|report| report.figures.pending)).sum()
    }

    fn last(&self, lane: Lane) -> MutexGuard<'_, Last> {
        self.last[lane.index()].lock()
    }
}

impl Collector for BrokerReports {
    /// One moment for all series of a scrape: a consumer has all of its figures or none, but for an age that alone is not known.
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        type Figure = fn(&ConsumerFigures) -> i64;
        const FIGURES: [(&str, &str, Figure); 7] = [
            ("consumer_pending", "Messages not delivered to anyone yet.", |of| of.pending as i64),
            ("consumer_ack_pending", "Messages delivered to any replica, not acknowledged yet.", |of| {
                of.ack_pending as i64
            }),
            ("consumer_redelivered", "Messages delivered more than once, not acknowledged yet.", |of| {
                of.redelivered as i64
            }),
            ("consumer_max_ack_pending", "Most messages delivered to all replicas, not acknowledged yet.", |of| {
                of.max_ack_pending
            }),
            ("consumer_paused", "1 while an operator has paused the consumer.", |of| of.is_paused.into()),
            ("consumer_num_waiting", "Requests for messages that wait at the broker, of all replicas.", |of| {
                of.waiting_requests as i64
            }),
            ("consumer_ack_wait_seconds", "After so long the broker delivers again what is not acknowledged.", |of| {
                of.ack_wait_secs as i64
            }),
        ];
        const SECONDS: [(&str, &str); 2] = [
            ("oldest_unsettled_seconds", "Age of the oldest message that is not settled."),
            ("consumer_lag_seconds", "The same, under its older name."),
        ];
        let now = Instant::now();
        let known: Vec<_> = self.lanes.iter().filter_map(|lane| Some((lane, self.of(lane, now).ok()?))).collect();
        for (name, help, figure) in FIGURES {
            let samples = known.iter().map(|(lane, report)| (*lane, figure(&report.figures)));
            encode_gauge(&mut encoder, name, help, samples)?;
        }
        for (name, help) in SECONDS {
            let samples = known.iter().filter_map(|(lane, report)| Some((*lane, report.seconds(now)?)));
            encode_gauge(&mut encoder, name, help, samples)?;
        }
        let ages = self.lanes.iter().filter_map(|lane| Some((lane, self.info_age(lane, now)?.as_secs_f64())));
        encode_gauge(&mut encoder, "consumer_info_age_seconds", "Age of the broker's last answer about it.", ages)
    }
}

fn encode_gauge<V: EncodeGaugeValue>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    samples: impl Iterator<Item = (Lane, V)>,
) -> fmt::Result {
    let mut samples = samples.peekable();
    if samples.peek().is_none() {
        return Ok(());
    }
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (lane, value) in samples {
        ConstGauge::new(value).encode(family.encode_family(&[("consumer", lane.consumer())])?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    fn report(asked: Instant) -> BrokerReport {
        let figures = ConsumerFigures { pending: 9, ack_pending: 3, max_ack_pending: 60_000, ..Default::default() };
        BrokerReport { asked, figures, oldest: Some(Duration::from_secs(2)), window: 20_000 }
    }

    fn series(metrics: &Metrics) -> Vec<String> {
        let text = metrics.open_metrics().unwrap();
        let lines =
            text.lines().filter(|line| line.starts_with("ingest_consumer_") || line.starts_with("ingest_oldest"));
        lines.filter_map(|line| Some(line.split_once('{')?.0.to_owned())).collect()
    }

    #[test]
    fn figures_exist_only_while_they_are_known() {
        let metrics = Metrics::new();
        assert!(series(&metrics).is_empty(), "not bound yet");
        metrics.consumers.broker.set(Lane::SHADOW, report(Instant::now()));
        assert_eq!(series(&metrics).len(), 10);
        let text = metrics.open_metrics().unwrap();
        assert!(text.contains("ingest_consumer_pending{consumer=\"ingest-shadow\"} 9\n"), "{text}");

        metrics.consumers.broker.set(Lane::SHADOW, BrokerReport { oldest: None, ..report(Instant::now()) });
        let without_age = series(&metrics);
        assert_eq!(without_age.len(), 8, "{without_age:?}");
        assert!(!without_age.iter().any(|name| name.contains("oldest") || name.contains("lag")), "{without_age:?}");

        metrics.consumers.broker.set(Lane::SHADOW, report(Instant::now() - Duration::from_secs(11)));
        assert_eq!(series(&metrics), ["ingest_consumer_info_age_seconds"], "the answer is too old");
        metrics.consumers.broker.set(Lane::SHADOW, report(Instant::now()));
        metrics.consumers.broker.discard(Lane::SHADOW);
        assert_eq!(series(&metrics), ["ingest_consumer_info_age_seconds"], "the consumer is gone");
    }

    #[test]
    fn the_oldest_message_ages_between_two_reports() {
        let now = Instant::now();
        let mut report = report(now);
        assert_eq!(report.seconds(now + Duration::from_secs(5)), Some(7.0));
        report.figures = ConsumerFigures::default();
        assert_eq!(report.seconds(now + Duration::from_secs(5)), Some(0.0), "nothing is unsettled");
    }

    #[test]
    fn what_is_pending_on_all_lanes_is_known_when_that_of_each_is() {
        let (reports, now) = (BrokerReports::new(Lanes::default()), Instant::now());
        reports.set(Lane::TELEMETRY, report(now));
        reports.set(Lane::SHADOW, report(now));
        assert_eq!(reports.pending(now), None);
        reports.set(Lane::COMMANDS, report(now));
        assert_eq!(reports.pending(now), Some(27));
        assert_eq!(reports.pending(now + Duration::from_secs(11)), None);
        assert_eq!(
            reports.of(Lane::SHADOW, now + Duration::from_secs(11)).unwrap_err(),
            FiguresUnknown::Stale(Duration::from_secs(11))
        );
    }
}
