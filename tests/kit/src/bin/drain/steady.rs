//! Cases in which messages come at a steady rate while the node runs, and InfluxDB takes its time as a real one does:
//! whether the node keeps up, what it holds meanwhile, and whether a tenant's trouble stays its own.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ingest_kit::jetstream::consumer_info;
use ingest_kit::{Metrics, Node, free_port, procfs, wait_for};

use crate::cases::{Load, Routes};
use crate::measure::median;
use crate::publisher::{Publisher, now_ns};
use crate::stub::{Delays, Watcher};
use crate::{Bench, CONSUMER, DEADLINE, STREAM, setting};

/// How late InfluxDB 3 answers a durable write: with its next WAL flush, one second apart by default.
const LATENCY: Duration = Duration::from_secs(1);

/// Warm-up before anything is measured: until then caches are cold.
pub(crate) const WARM_UP_SECS: u64 = 5;

/// Time between two samples.
const SAMPLE_EVERY: Duration = Duration::from_millis(500);

/// Messages per second where there is nobody to spare.
const FULL_SPEED: u64 = 1_000_000;

/// The database of the tenant that is in trouble in `hang`.
const HANGING: &str = "telemetry_tenant-0";

/// A case.
pub(crate) struct Steady {
    /// Its name in `BENCH_CASES`.
    pub name: &'static str,
    /// Who sends.
    load: Load,
    /// Messages per second.
    per_second: u64,
    /// What waits in the stream when the node starts; then nothing else comes.
    waiting: u64,
    /// Whether what waits is stored by a node that finds no InfluxDB, so that another one owes all of it.
    owed: bool,
    /// Whether a tenant's database hangs in the second half.
    hang: bool,
}

/// Every case, in the order in which they run.
pub(crate) fn all() -> Vec<Steady> {
    let load = |tenants| Load {
        devices: setting("BENCH_DEVICES", 1_000),
        tenants,
        bad_one_in: 0,
        hot_one_in: 0,
        counted: true,
    };
    let one = Steady { name: "durable-one", load: load(1), per_second: 20_000, waiting: 0, owed: false, hang: false };
    let many = Steady { name: "durable-many", load: load(200), per_second: 40_000, ..one };
    let behind = Steady {
        name: "durable-behind",
        waiting: setting("BENCH_WAITING", 300_000),
        load: load(setting("BENCH_TENANTS", 1)),
        ..one
    };
    let replay = Steady { name: "replay", owed: true, ..behind };
    let hang = Steady { name: "hang", load: load(50), per_second: 10_000, hang: true, ..one };
    vec![one, many, behind, replay, hang]
}

/// A look at a run.
struct Sample {
    at: Instant,
    published: u64,
    /// Lines that the stand-in has answered for.
    confirmed: u64,
    /// Lines in the node's outbox.
    unconfirmed: u64,
}

impl Sample {
    fn backlog(&self) -> f64 {
        self.published.saturating_sub(self.confirmed) as f64
    }
}

/// What a run has shown.
struct Run {
    /// Until the last line was at the stand-in.
    samples: Vec<Sample>,
    started: Instant,
    peak_rss: u64,
    /// Lines that the replay wrote.
    replayed: u64,
    /// Lines that came once more than they had to.
    again: u64,
    /// Before and while a database hung.
    delays: Option<(Delays, Delays)>,
}

impl Bench {
    /// Runs a case once; its line.
    pub(crate) async fn measure_steady(&mut self, case: &Steady) -> String {
        self.renew(case.load).await;
        self.reset(Routes::None).await;
        let mut publisher = Publisher::new(self.nats.connect().await, case.load);
        publisher.publish(case.waiting, FULL_SPEED).await;
        let published = publisher.published();
        if case.owed {
            self.owe_all(case.waiting).await;
        }
        let mut stub = Watcher::start(LATENCY);
        let mut started = Instant::now();
        let mut node = self.node(Some(&stub.url)).start();
        let (mut messages, mut publishing) = (case.waiting, None);
        if case.waiting == 0 {
            node.wait_ready(DEADLINE).await;
            started = Instant::now();
            let (halves, per_second) = (if case.hang { 2 } else { 1 }, case.per_second);
            messages = per_second * (WARM_UP_SECS + halves * seconds());
            publishing = Some(tokio::spawn(async move { publisher.publish(messages, per_second).await }));
        }
        let run = watch(&mut node, &mut stub, case, (started, messages), &published).await;
        if let Some(publishing) = publishing {
            publishing.await.expect("all is published");
        }
        wait_for("all lines to be confirmed", DEADLINE, async || {
            node.metrics().await.count("ingest_influx_unconfirmed_lines", &[]) == 0
        })
        .await;
        node.sigterm();
        assert_eq!(node.wait_exit(DEADLINE).await, Some(0), "the node's exit code");
        assert_eq!(self.database.count("raw_events").await, messages, "rows");
        let line = run.describe(case);
        println!("{line}");
        line
    }
}

impl Bench {
    /// Lets a node that finds no InfluxDB store what waits.
    async fn owe_all(&self, messages: u64) {
        let mut node = self.node(Some(&format!("http://127.0.0.1:{}", free_port()))).start();
        wait_for("all messages to be settled", DEADLINE, async || {
            let info = consumer_info(&self.jetstream, STREAM, CONSUMER).await;
            info.is_some_and(|info| info.ack_floor.stream_sequence >= messages)
        })
        .await;
        node.sigterm();
        assert_eq!(node.wait_exit(DEADLINE).await, Some(0), "the node's exit code");
        let owed = "SELECT sum(lines)::bigint FROM influx_outbox";
        assert_eq!(self.database.query(owed, &[]).await[0].get::<_, i64>(0) as u64, messages, "lines on record");
    }
}

/// Looks on until every message is a line at the stand-in, and lets a database hang where the case wants it.
async fn watch(
    node: &mut Node,
    stub: &mut Watcher,
    case: &Steady,
    (started, messages): (Instant, u64),
    published: &AtomicU64,
) -> Run {
    let half = Duration::from_secs(seconds());
    let hang_at = started + Duration::from_secs(WARM_UP_SECS) + half;
    let (mut samples, mut hung_ns, mut released_ns) = (Vec::<Sample>::new(), None, None);
    let mut looks = tokio::time::interval(SAMPLE_EVERY);
    while samples.last().is_none_or(|last| last.confirmed < messages) {
        looks.tick().await;
        assert!(node.is_running(), "the node ended:\n{}", node.log());
        assert!(started.elapsed() < DEADLINE, "not all lines came within {DEADLINE:?}:\n{}", node.log());
        let Some(answer) = node.get("/metrics").await else { continue };
        let unconfirmed = Metrics::parse(&answer.body).count("ingest_influx_unconfirmed_lines", &[]);
        // In this order, so that no line is confirmed before it is published.
        let (confirmed, at) = (stub.count().0, Instant::now());
        samples.push(Sample { at, published: published.load(Ordering::Relaxed), confirmed, unconfirmed });
        if case.hang && hung_ns.is_none() && at >= hang_at {
            stub.hang(HANGING);
            hung_ns = Some(now_ns());
        }
        if case.hang && released_ns.is_none() && at >= hang_at + half {
            released_ns = Some(now_ns());
            stub.release();
        }
    }
    let half_ns = half.as_nanos() as i64;
    let delays = hung_ns.zip(released_ns).map(|(hung_ns, released_ns)| {
        (stub.delays((hung_ns - half_ns, hung_ns), HANGING), stub.delays((hung_ns, released_ns), HANGING))
    });
    let (distinct, lines) = stub.count();
    Run {
        samples,
        started,
        peak_rss: procfs::peak_rss_bytes(node.pid()).unwrap_or_default(),
        replayed: node.metrics().await.count("ingest_influx_replayed_lines_total", &[]),
        again: lines - distinct,
        delays,
    }
}

impl Run {
    fn describe(&self, case: &Steady) -> String {
        let speed = if case.waiting > 0 { self.describe_catching_up(case) } else { self.describe_keeping_up() };
        let delays = self.delays.as_ref().map_or_else(String::new, |(before, hanging)| {
            format!(
                "; flush delay of the others p50 {:.0} ms and p99 {:.0} ms before ({} requests), {:.0} and {:.0} ms while \
                 it hung ({}): p99 ratio {:.2}",
                before.p50_ms,
                before.p99_ms,
                before.requests,
                hanging.p50_ms,
                hanging.p99_ms,
                hanging.requests,
                hanging.p99_ms / before.p99_ms,
            )
        });
        format!(
            "{}: {speed}; peak memory {} MiB; at most {} lines unconfirmed; {} lines by way of the replay, {} written twice\
             {delays}",
            case.name,
            self.peak_rss / 1024 / 1024,
            self.samples.iter().map(|sample| sample.unconfirmed).max().unwrap_or(0),
            self.replayed,
            self.again,
        )
    }

    fn describe_catching_up(&self, case: &Steady) -> String {
        let took = self.samples.last().map_or(0.0, |last| (last.at - self.started).as_secs_f64());
        format!("{} lines after {took:.1} s: {:.0} lines/s", case.waiting, case.waiting as f64 / took)
    }

    fn describe_keeping_up(&self) -> String {
        let warm = self.started + Duration::from_secs(WARM_UP_SECS);
        let messages = self.samples.last().map_or(0, |last| last.published);
        let steady: Vec<&Sample> =
            self.samples.iter().filter(|sample| sample.at >= warm && sample.published < messages).collect();
        let (Some(first), Some(last)) = (steady.first(), steady.last()) else { return "too short".to_owned() };
        let per_second = |of: fn(&Sample) -> u64| (of(last) - of(first)) as f64 / (last.at - first.at).as_secs_f64();
        let behind = self.samples.last().map_or(0.0, |end| (end.at - last.at).as_secs_f64());
        let (early, late) = steady.split_at(steady.len() / 2);
        let backlog = |samples: &[&Sample]| median(samples.iter().map(|sample| sample.backlog()));
        format!(
            "{:.0} messages/s published, {:.0} lines/s confirmed; backlog {:.0} in the first half, {:.0} in the second; \
             all confirmed {behind:.1} s after the last message",
            per_second(|sample| sample.published),
            per_second(|sample| sample.confirmed),
            backlog(early),
            backlog(late),
        )
    }
}

/// How long the messages of a case come, once it is warm; in `hang` twice as long.
pub(crate) fn seconds() -> u64 {
    setting("BENCH_SECONDS", 60)
}
