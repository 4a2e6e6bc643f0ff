//! How fast a node drains a full stream, beside the yardstick on the same servers.
//!
//! usage: `drain NODE YARDSTICK` (paths of the two programs; `make bench` builds and passes them)
//!
//! A private nats-server with file storage holds `BENCH_MESSAGES` envelopes of `BENCH_DEVICES` devices of
//! `BENCH_TENANTS` tenants with five metrics each. For every pair of runs the node drains them with a fresh durable
//! consumer into empty tables of a durable PostgreSQL, and then the yardstick does; once without InfluxDB, once with a
//! stand-in that only counts lines, in a process of its own. Rates are measured from the first delivery to the last
//! acknowledgement, CPU over the same time.
//!
//! | environment | default | |
//! |---|---|---|
//! | `BENCH_MESSAGES` | 500000 | messages in the stream |
//! | `BENCH_DEVICES` | 1000 | devices that send them |
//! | `BENCH_TENANTS` | 20 | tenants that own the devices |
//! | `BENCH_PAIRS` | 3 | pairs of runs per way of writing points |
//! | `BENCH_NODE_ENV` | | further settings of the node: `NAME=value` separated by blanks |
#![forbid(unsafe_code)]

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::str::FromStr;
use std::time::{Duration, Instant};

use async_nats::jetstream::Context;
use ingest_kit::envelope::{device, telemetry};
use ingest_kit::jetstream::{consumer_info, create_streams, publish_all};
use ingest_kit::{Database, InfluxStub, Nats, Node, Postgres, free_port, procfs, seed, wait_for};
use serde_json::Value;

const STREAM: &str = "TELEMETRY";
const CONSUMER: &str = "ingest-workers";

/// Time between two looks at the consumer: fine against a run of seconds, cheap for the server.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// No run takes so long.
const DEADLINE: Duration = Duration::from_secs(600);

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [flag, port] if flag == INFLUX_STUB => count_lines(port.parse().expect("a port")),
        [node, yardstick] => compare(Path::new(node), Path::new(yardstick)).await,
        _ => panic!("usage: drain NODE YARDSTICK"),
    }
}

async fn compare(node: &Path, yardstick: &Path) {
    let bench = Bench::prepare(node, yardstick).await;
    let mut summaries = Vec::new();
    for with_points in [false, true] {
        let name = if with_points { "rows and points" } else { "rows" };
        let mut runs = Vec::new();
        for pair in 1..=setting("BENCH_PAIRS", 3_usize) {
            let node = bench.run_node(with_points).await;
            println!("{name:>15}, pair {pair}: node      {node}");
            let yardstick = bench.run_yardstick().await;
            println!("{name:>15}, pair {pair}: yardstick {yardstick}");
            runs.push((node, yardstick));
        }
        summaries.push(summary(name, &runs));
    }
    println!();
    for summary in summaries {
        println!("{summary}");
    }
}

/// Servers, and a stream full of messages.
struct Bench {
    nats: Nats,
    _postgres: Postgres,
    database: Database,
    jetstream: Context,
    messages: u64,
    node: PathBuf,
    yardstick: PathBuf,
}

impl Bench {
    async fn prepare(node: &Path, yardstick: &Path) -> Self {
        let messages: u64 = setting("BENCH_MESSAGES", 500_000);
        let (devices, tenants) = (setting("BENCH_DEVICES", 1_000), setting("BENCH_TENANTS", 20));
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        println!("{messages} messages of {devices} devices of {tenants} tenants, {cores} cores");

        let nats = Nats::start();
        let postgres = Postgres::builder().durable(true).bench().start();
        let database = postgres.create_database().await;
        let migrate = Node::builder(node).arguments(&["migrate"]).env("DATABASE_URL", database.url());
        let migrated = migrate.run_to_end(DEADLINE).await;
        assert_eq!(migrated.code, Some(0), "ingest-node migrate: {}", migrated.stderr);
        let devices: Vec<_> = (0..devices).map(|number| device(number, tenants)).collect();
        seed::devices(&database, &devices).await;
        // The whole backlog comes in at once, far faster than devices may send.
        seed::app_settings(&database, &[("RATE_LIMIT_RPS", "0")]).await;

        let jetstream = nats.jetstream().await;
        create_streams(&jetstream).await;
        let start = Instant::now();
        let load = (0..messages).map(|seq| telemetry(&devices[seq as usize % devices.len()], seq));
        publish_all(&jetstream, load).await;
        println!("published in {:.1} s\n", start.elapsed().as_secs_f64());
        Self {
            nats,
            _postgres: postgres,
            database,
            jetstream,
            messages,
            node: node.to_owned(),
            yardstick: yardstick.to_owned(),
        }
    }

    /// Empty tables, no consumer, nothing left over to be written to disk.
    async fn reset(&self) {
        let stream = self.jetstream.get_stream(STREAM).await.expect("the stream");
        if stream.consumer_info(CONSUMER).await.is_ok() {
            stream.delete_consumer(CONSUMER).await.expect("the consumer is deleted");
        }
        // All but what says who is registered, and the schema's own history.
        let sql = "SELECT string_agg(format('%I', tablename), ', ') FROM pg_tables WHERE schemaname = 'public'
                   AND tablename NOT LIKE '%schema_history' AND tablename NOT LIKE '%secrets' AND tablename
                   NOT IN ('device_registry', 'subscriptions', 'app_settings', 'device_modules', 'device_certificates',
                           'device_tiers', 'message_routes')";
        let tables: String = self.database.query(sql, &[]).await[0].get(0);
        self.database.execute(&format!("TRUNCATE {tables}")).await;
        self.database.execute("CHECKPOINT").await;
    }

    async fn run_node(&self, with_points: bool) -> Run {
        self.reset().await;
        let stub = with_points.then(LineCounter::start);
        let mut node = Node::builder(&self.node)
            .env("NATS_URL", self.nats.url())
            .env("DATABASE_URL", self.database.url())
            .env("INFLUXDB_WRITE_ENABLED", u8::from(with_points));
        if let Some(stub) = &stub {
            node = node.env("INFLUXDB_URL", &stub.url).env("INFLUXDB_TOKEN", "apiv3_bench");
        }
        let further = std::env::var("BENCH_NODE_ENV").unwrap_or_default();
        for (name, value) in further.split_whitespace().filter_map(|pair| pair.split_once('=')) {
            node = node.env(name, value);
        }
        let started = Instant::now();
        let mut node = node.start();
        let pid = node.pid();

        let mut marks = Marks::default();
        while marks.last_ack.is_none() {
            assert!(node.is_running(), "the node ended:\n{}", node.log());
            assert!(started.elapsed() < DEADLINE, "the stream is not drained after {DEADLINE:?}:\n{}", node.log());
            if let Some(info) = consumer_info(&self.jetstream, STREAM, CONSUMER).await {
                let now = Mark { at: Instant::now(), cpu: procfs::cpu_time(pid).unwrap_or_default() };
                if info.delivered.stream_sequence > 0 {
                    marks.first_delivery.get_or_insert(now);
                }
                if info.ack_floor.stream_sequence > 0 {
                    marks.first_ack.get_or_insert(now);
                }
                if info.ack_floor.stream_sequence >= self.messages {
                    marks.last_ack = Some(now);
                }
            }
            tokio::time::sleep(LOOK_EVERY).await; // polls: the acknowledgement floor is the server's word on what is done
        }
        let peak_rss = procfs::peak_rss_bytes(pid).unwrap_or_default();
        if with_points {
            wait_for("all lines to be confirmed", DEADLINE, async || {
                node.metrics().await.count("ingest_influx_unconfirmed_lines", &[]) == 0
            })
            .await;
        }
        node.sigterm();
        assert_eq!(node.wait_exit(DEADLINE).await, Some(0), "the node's exit code");
        assert_eq!(self.database.count("raw_events").await, self.messages, "rows");
        if let Some(stub) = stub {
            assert_eq!(stub.finish(), self.messages, "lines");
        }
        marks.run(started, self.messages, peak_rss)
    }

    async fn run_yardstick(&self) -> Run {
        self.reset().await;
        let child = Command::new(&self.yardstick)
            .args([&self.nats.url(), self.database.url(), &self.messages.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start {}: {e}", self.yardstick.display()));
        let mut child = Guard(child);
        let mut peak_rss = 0;
        while child.0.try_wait().expect("the yardstick's status").is_none() {
            peak_rss = peak_rss.max(procfs::peak_rss_bytes(child.0.id()).unwrap_or_default());
            tokio::time::sleep(LOOK_EVERY).await; // polls until it has ended
        }
        let mut said = String::new();
        child.0.stdout.take().expect("its output").read_to_string(&mut said).expect("its output");
        let said: Value = serde_json::from_str(&said).unwrap_or_else(|e| panic!("not JSON ({e}): {said}"));
        assert_eq!(said["rows"].as_u64(), Some(self.messages), "{said}");
        let number = |key: &str| said[key].as_f64().unwrap_or_else(|| panic!("no {key} in {said}"));
        Run {
            per_second: number("per_second"),
            cpu_us_per_message: number("cpu_us_per_message"),
            peak_rss,
            to_first_ack: None,
        }
    }
}

/// A moment in a run, and the CPU time used until then.
#[derive(Clone, Copy)]
struct Mark {
    at: Instant,
    cpu: Duration,
}

#[derive(Default)]
struct Marks {
    first_delivery: Option<Mark>,
    first_ack: Option<Mark>,
    last_ack: Option<Mark>,
}

impl Marks {
    fn run(&self, started: Instant, messages: u64, peak_rss: u64) -> Run {
        let first_delivery = self.first_delivery.expect("a first delivery");
        let first_ack = self.first_ack.expect("a first acknowledgement");
        let last_ack = self.last_ack.expect("a last acknowledgement");
        let seconds = (last_ack.at - first_delivery.at).as_secs_f64();
        let cpu = last_ack.cpu.saturating_sub(first_delivery.cpu);
        Run {
            per_second: messages as f64 / seconds,
            cpu_us_per_message: cpu.as_secs_f64() * 1e6 / messages as f64,
            peak_rss,
            to_first_ack: Some(first_ack.at - started),
        }
    }
}

struct Run {
    per_second: f64,
    cpu_us_per_message: f64,
    peak_rss: u64,
    to_first_ack: Option<Duration>,
}

impl std::fmt::Display for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { per_second, cpu_us_per_message, peak_rss, to_first_ack } = self;
        let mib = peak_rss / 1024 / 1024;
        write!(f, "{per_second:>8.0} messages/s, {cpu_us_per_message:>5.1} us CPU per message, peak {mib:>4} MiB")?;
        match to_first_ack {
            Some(time) => write!(f, ", first acknowledgement {:.2} s after the start", time.as_secs_f64()),
            None => Ok(()),
        }
    }
}

fn summary(name: &str, runs: &[(Run, Run)]) -> String {
    let of_node = |value: fn(&Run) -> f64| median(runs.iter().map(|(node, _)| value(node)));
    let of_yardstick = |value: fn(&Run) -> f64| median(runs.iter().map(|(_, yardstick)| value(yardstick)));
    let rate: fn(&Run) -> f64 = |run| run.per_second;
    let cpu: fn(&Run) -> f64 = |run| run.cpu_us_per_message;
    let memory: fn(&Run) -> f64 = |run| run.peak_rss as f64 / 1024.0 / 1024.0;
    let ratio = median(runs.iter().map(|(node, yardstick)| node.per_second / yardstick.per_second));
    format!(
        "{name}: node {:.0} messages/s, yardstick {:.0}, ratio {ratio:.3} (medians of {} pairs); CPU per message {:.1} us and \
         {:.1} us; peak memory {:.0} MiB and {:.0} MiB; first acknowledgement after {:.2} s",
        of_node(rate),
        of_yardstick(rate),
        runs.len(),
        of_node(cpu),
        of_yardstick(cpu),
        of_node(memory),
        of_yardstick(memory),
        median(runs.iter().filter_map(|(node, _)| node.to_first_ack).map(|time| time.as_secs_f64())),
    )
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    }
}

fn setting<T: FromStr>(name: &str, default: T) -> T {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// The hidden subcommand that is the stand-in's own process.
const INFLUX_STUB: &str = "--influx-stub";

/// Counts lines until the other end of standard input goes away, then says how many.
fn count_lines(port: u16) {
    let stub = InfluxStub::builder().port(port).count_only().start();
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    println!("{}", stub.counts().lines_written);
}

/// The stand-in in a process of its own, so that its work is not the node's and not ours.
struct LineCounter {
    url: String,
    stdin: ChildStdin,
    process: Guard,
}

impl LineCounter {
    fn start() -> Self {
        let port = free_port();
        let mut process = Command::new(std::env::current_exe().expect("this program"))
            .args([INFLUX_STUB, &port.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start the stand-in: {e}"));
        let stdin = process.stdin.take().expect("its input");
        Self { url: format!("http://127.0.0.1:{port}"), stdin, process: Guard(process) }
    }

    fn finish(mut self) -> u64 {
        drop(self.stdin);
        let mut said = String::new();
        self.process.0.stdout.take().expect("its output").read_to_string(&mut said).expect("its output");
        said.trim().parse().unwrap_or_else(|_| panic!("not a count: {said}"))
    }
}

/// A child that does not outlive us.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
