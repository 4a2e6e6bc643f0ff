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
//! | case | |
//! |---|---|
//! | `rows` | good messages, no InfluxDB; beside the yardstick |
//! | `points` | the same with points |
//! | `cold` | 100000 devices (or `BENCH_DEVICES`, if more), and the time until all of them are cached |
//! | `bad` | one message of ten has a wrong token |
//! | `routes` | every tenant has a route that matches everything |
//! | `mixed` | points, every tenant has a route that matches 1 % of its messages, and 1 % are bad |
//! | `memory` | what a cached device costs: a node's resident memory after 1000 devices, and after 100000 |
//! | `outbox` | `points` with the record of unconfirmed points, in pairs with runs without it |
//! | `tls` | `rows` over TLS to PostgreSQL, in pairs with runs over plain text |
//! | `readings` | `rows` of 20000 devices (or `BENCH_DEVICES`) that count their messages, in pairs with runs with `DEVICE_SILENCE=0`: what the look-out for silence costs. Numbers are looked at in both |
//! | `derived` | the same, in pairs with runs that write no derived state meanwhile: numbers, silence, last seen and sensors, all together |
//! | `everything` | the same with retention every second, the index for readers, the admin listener and one viewer of the console, in pairs with runs without all of these and with `DEVICE_SILENCE=0` |
//! | `observe` | messages at a steady rate (`BENCH_RATE`), no InfluxDB: CPU of the thread that takes the snapshots, `BENCH_SECONDS` without a viewer of the console and as long with one |
//!
//! In the following cases messages come at a steady rate while the node runs, and the stand-in answers every write only
//! after a second, as InfluxDB 3 does with its default WAL flush interval (`make bench-influx`):
//!
//! | case | |
//! |---|---|
//! | `durable-one` | one tenant, 20000 messages/s |
//! | `durable-many` | 200 tenants, 40000 messages/s |
//! | `durable-behind` | `BENCH_WAITING` messages of one tenant wait when the node starts: the time until all are lines there |
//! | `replay` | the same messages, stored by a node that found no InfluxDB: the time until the next one has replayed them all |
//! | `hang` | 50 tenants, 10000 messages/s; in the second half one tenant's database does not answer at all |
//!
//! Derived state (sensors, last seen, missing readings, positions) is written in every case, as it always is.
//!
//! | environment | default | |
//! |---|---|---|
//! | `BENCH_CASES` | rows,points,mixed | cases, by name; they run in the order above |
//! | `BENCH_MESSAGES` | 500000 | messages in the stream |
//! | `BENCH_DEVICES` | 1000 | devices that send them; 20000 by default in `readings`, `derived` and `everything` |
//! | `BENCH_TENANTS` | 20 | tenants that own the devices; in `durable-behind` and `replay` 1 by default, fixed in the steady cases |
//! | `BENCH_PAIRS` | 3 | pairs of runs per case; runs where the yardstick has no part |
//! | `BENCH_SECONDS` | 60 | how long messages come in a steady case, after a warm-up; in `hang` each half |
//! | `BENCH_RATE` | 5000 | messages per second in `observe` |
//! | `BENCH_WAITING` | 300000 | messages that wait in `durable-behind` and `replay` |
//! | `BENCH_NODE_ENV` | | further settings of the node: `NAME=value` separated by blanks |
#![forbid(unsafe_code)]

mod cases;
mod measure;
mod observe;
mod pairs;
mod publisher;
mod steady;
mod stub;
mod yardstick;

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

use async_nats::jetstream::Context;
use ingest_kit::jetstream::{consumer_info, create_streams, publish_all};
use ingest_kit::{Authority, Database, Nats, Node, NodeBuilder, Postgres, PostgresTls, procfs, seed, wait_for};
use tempfile::NamedTempFile;

use self::cases::{Case, Load, Routes};
use self::measure::{Mark, Marks, Run, summary, summary_alone};
use self::observe::{OBSERVE, Viewer, watched};
use self::stub::{INFLUX_STUB, INFLUX_WATCH, LineCounter, count_lines, watch_lines};

const STREAM: &str = "TELEMETRY";
const CONSUMER: &str = "ingest-workers";
const ROUTES: &str = "ROUTES";

/// Time between two looks at the consumer: fine against a run of seconds, cheap for the server.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// No run takes so long.
const DEADLINE: Duration = Duration::from_secs(600);

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [flag, port] if flag == INFLUX_STUB => count_lines(port.parse().expect("a port")),
        [flag, port, ms] if flag == INFLUX_WATCH => {
            watch_lines(port.parse().expect("a port"), ms.parse().expect("a time"));
        }
        [node, yardstick] => compare(Path::new(node), Path::new(yardstick)).await,
        _ => panic!("usage: drain NODE YARDSTICK"),
    }
}

async fn compare(node: &Path, yardstick: &Path) {
    let wanted = std::env::var("BENCH_CASES").unwrap_or_else(|_| "rows,points,mixed".to_owned());
    let wanted: Vec<&str> = wanted.split(',').map(str::trim).collect();
    let (cases, steady) = (cases::all(), steady::all());
    let pairs = pairs::all(&cases);
    let names = cases.iter().map(|case| case.name).chain(pairs.iter().map(|pair| pair.name));
    let names: Vec<&str> = names.chain(steady.iter().map(|case| case.name)).chain([MEMORY, OBSERVE]).collect();
    for name in &wanted {
        assert!(names.contains(name), "BENCH_CASES: there is no case {name:?}, but there are {names:?}");
    }
    let mut bench = Bench::start(node, yardstick).await;
    let mut summaries = Vec::new();
    for case in cases.iter().filter(|case| wanted.contains(&case.name)) {
        summaries.push(bench.measure(case).await);
    }
    if wanted.contains(&MEMORY) {
        summaries.push(bench.measure_memory(&cases[0]).await);
    }
    for pair in pairs.iter().filter(|pair| wanted.contains(&pair.name)) {
        summaries.push(bench.measure_pairs(pair).await);
    }
    if wanted.contains(&OBSERVE) {
        summaries.push(bench.measure_observer().await);
    }
    for case in steady.iter().filter(|case| wanted.contains(&case.name)) {
        summaries.push(bench.measure_steady(case).await);
    }
    println!();
    for summary in summaries {
        println!("{summary}");
    }
}

/// The case that is no race: what a cached device costs.
const MEMORY: &str = "memory";

/// Servers, and a stream full of messages.
struct Bench {
    nats: Nats,
    postgres: Postgres,
    authority: Authority,
    database: Database,
    jetstream: Context,
    messages: u64,
    /// What is in the stream.
    load: Option<Load>,
    node: PathBuf,
    yardstick: PathBuf,
}

impl Bench {
    async fn start(node: &Path, yardstick: &Path) -> Self {
        let nats = Nats::start();
        let authority = Authority::new();
        let tls = PostgresTls {
            server: authority.server(&["localhost"]),
            client_authority: authority.pem().to_owned(),
            hba: String::new(),
        };
        let postgres = Postgres::builder().durable(true).bench().tls(tls).start();
        let database = postgres.create_database().await;
        let migrate = Node::builder(node).arguments(&["migrate"]).env("DATABASE_URL", database.url());
        let migrated = migrate.run_to_end(DEADLINE).await;
        assert_eq!(migrated.code, Some(0), "ingest-node migrate: {}", migrated.stderr);
        // The whole backlog comes in at once, far faster than devices may send.
        seed::app_settings(&database, &[("RATE_LIMIT_RPS", "0")]).await;
        let jetstream = nats.jetstream().await;
        Self {
            nats,
            postgres,
            authority,
            database,
            jetstream,
            messages: setting("BENCH_MESSAGES", 500_000),
            load: None,
            node: node.to_owned(),
            yardstick: yardstick.to_owned(),
        }
    }

    /// Runs a case as often as asked for; its line.
    async fn measure(&mut self, case: &Case) -> String {
        assert!(!case.cold || self.messages >= case.load.devices as u64, "BENCH_MESSAGES: fewer messages than devices");
        self.fill(case.load).await;
        let (title, mut pairs, mut alone) = (case.title, Vec::new(), Vec::new());
        for pair in 1..=setting("BENCH_PAIRS", 3_usize) {
            let node = self.run_node(case).await;
            println!("{title:>15}, pair {pair}: node      {node}");
            if case.yardstick {
                let yardstick = self.run_yardstick().await;
                println!("{title:>15}, pair {pair}: yardstick {yardstick}");
                pairs.push((node, yardstick));
            } else {
                alone.push(node);
            }
        }
        if case.yardstick { summary(title, &pairs) } else { summary_alone(title, &alone) }
    }

    /// The memory of a node that has drained the stream with few devices, and with many; its line.
    async fn measure_memory(&mut self, case: &Case) -> String {
        let (few, many) = (1_000, 100_000);
        let mut resident = Vec::new();
        for devices in [few, many] {
            let load = Load { devices, ..case.load };
            assert!(self.messages >= many as u64, "BENCH_MESSAGES: fewer messages than devices");
            self.fill(load).await;
            resident.push(self.run_node(&Case { load, ..case.clone() }).await.rss);
        }
        let mib = |bytes: u64| bytes as f64 / 1024.0 / 1024.0;
        format!(
            "memory: {:.0} MiB with {few} devices, {:.0} MiB with {many}: {:.0} bytes per cached device",
            mib(resident[0]),
            mib(resident[1]),
            (resident[1] as f64 - resident[0] as f64) / (many - few) as f64,
        )
    }

    /// Registers the devices and fills the stream, unless it holds just this.
    async fn fill(&mut self, load: Load) {
        if self.load == Some(load) {
            return;
        }
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let Load { devices, tenants, .. } = load;
        println!("\n{} messages of {devices} devices of {tenants} tenants, {cores} cores", self.messages);
        let start = Instant::now();
        self.renew(load).await;
        publish_all(&self.jetstream, (0..self.messages).map(|seq| load.message(seq))).await;
        self.load = Some(load);
        println!("published in {:.1} s\n", start.elapsed().as_secs_f64());
    }

    /// Registers the devices and empties the stream.
    async fn renew(&mut self, load: Load) {
        let Load { devices, tenants, .. } = load;
        // In one statement, as the simulated devices of `ingest_kit::envelope`: there may be very many.
        let sql = format!(
            "TRUNCATE device_registry, subscriptions CASCADE;
             CREATE TEMP TABLE fleet AS SELECT 'tenant-' || i % {tenants} AS tenant_id,
                'dev-' || lpad(i::text, greatest(4, length(i::text)), '0') AS device_id, 'sub-' || i AS subscription_id,
                encode(sha256(convert_to('tok-secret-' || i, 'UTF8')), 'hex') AS hash
                FROM generate_series(0, {devices} - 1) AS i;
             INSERT INTO subscriptions (subscription_id, tenant_id, subscription_type, status, device_limit,
                active_device_count) SELECT subscription_id, tenant_id, 'MAIN', 'ACTIVE', 1, 1 FROM fleet;
             INSERT INTO device_registry (tenant_id, device_id, site_id, status, provision_token_hash, subscription_id)
                SELECT tenant_id, device_id, 'site-1', 'ACTIVE', hash, subscription_id FROM fleet;
             DROP TABLE fleet; ANALYZE device_registry; ANALYZE subscriptions;"
        );
        self.database.execute(&sql).await;
        // A stream created again counts from 1 again.
        create_streams(&self.jetstream).await;
        self.jetstream.delete_stream(STREAM).await.expect("the stream is deleted");
        create_streams(&self.jetstream).await;
        self.load = None;
    }

    /// The node; with points where there is somewhere to write them to.
    fn node(&self, influx: Option<&str>) -> NodeBuilder {
        let mut node = Node::builder(&self.node)
            .env("NATS_URL", self.nats.url())
            .env("DATABASE_URL", self.database.url())
            .env("INFLUXDB_WRITE_ENABLED", u8::from(influx.is_some()));
        if let Some(url) = influx {
            node = node.env("INFLUXDB_URL", url).env("INFLUXDB_TOKEN", "apiv3_bench");
        }
        let further = std::env::var("BENCH_NODE_ENV").unwrap_or_default();
        for (name, value) in further.split_whitespace().filter_map(|pair| pair.split_once('=')) {
            node = node.env(name, value);
        }
        node
    }

    /// Empty tables, no consumer, no route jobs, nothing left over to be written to disk.
    async fn reset(&self, routes: Routes) {
        let stream = self.jetstream.get_stream(STREAM).await.expect("the stream");
        if stream.consumer_info(CONSUMER).await.is_ok() {
            stream.delete_consumer(CONSUMER).await.expect("the consumer is deleted");
        }
        // Created again, it also forgets which jobs it has seen.
        self.jetstream.delete_stream(ROUTES).await.expect("the stream is deleted");
        create_streams(&self.jetstream).await;
        // All but the registered devices and the schema's history.
        let sql = "SELECT string_agg(format('%I', tablename), ', ') FROM pg_tables WHERE schemaname = 'public'
                   AND tablename NOT LIKE '%schema_history' AND tablename NOT LIKE '%secrets' AND tablename
                   NOT IN ('device_registry', 'subscriptions', 'app_settings', 'device_modules', 'device_certificates',
                           'device_tiers')";
        let tables: String = self.database.query(sql, &[]).await[0].get(0);
        self.database.execute(&format!("TRUNCATE {tables}")).await;
        let tenants = self.load.map_or(0, |load| load.tenants);
        let of_tenants: Vec<_> = (0..tenants).filter_map(|tenant| routes.of(&format!("tenant-{tenant}"))).collect();
        seed::routes(&self.database, &of_tenants).await;
        self.database.execute("CHECKPOINT").await;
    }

    async fn run_node(&self, case: &Case) -> Run {
        self.reset(case.routes).await;
        let stub = case.points.then(LineCounter::start);
        let mut node = self.node(stub.as_ref().map(|stub| &*stub.url));
        // Some settings have no name in the environment: they are none to be changed in passing.
        let (file, roots) = (temporary(""), temporary(self.authority.pem()));
        if case.tls {
            let url = self.postgres.url(self.database.name()).replace("127.0.0.1", "localhost");
            let roots = roots.path().to_string_lossy().into_owned();
            node = node.env("DATABASE_URL", url).env("PG_SSLMODE", "verify-full").env("PG_SSLROOTCERT", roots);
        }
        if !case.file.is_empty() {
            std::fs::write(&file, case.file).expect("a temporary file");
            node = node.arguments(&["--config", &file.path().to_string_lossy(), "run"]);
        }
        for (name, value) in case.env {
            node = node.env(name, value);
        }
        let (node, shown) = if case.watched { watched(node) } else { (node, String::new()) };
        let started = Instant::now();
        let mut node = node.start();
        let pid = node.pid();
        let viewer = case.watched.then(|| Viewer::start(shown));

        let mut marks = Marks::default();
        let mut all_cached = None;
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
            if case.cold && all_cached.is_none() && is_all_cached(&node, case.load.devices).await {
                all_cached = Some(Instant::now());
            }
            tokio::time::sleep(LOOK_EVERY).await; // polls: the acknowledgement floor is the server's word on what is done
        }
        if let Some(viewer) = viewer {
            assert!(viewer.finish() > 0, "somebody has watched");
        }
        let peak_rss = procfs::peak_rss_bytes(pid).unwrap_or_default();
        let rss = procfs::rss_bytes(pid).unwrap_or_default();
        if case.cold && all_cached.is_none() {
            wait_for("all devices to be cached", DEADLINE, async || is_all_cached(&node, case.load.devices).await)
                .await;
            all_cached = Some(Instant::now());
        }
        if case.points {
            wait_for("all lines to be confirmed", DEADLINE, async || {
                node.metrics().await.count("ingest_influx_unconfirmed_lines", &[]) == 0
            })
            .await;
        }
        node.sigterm();
        assert_eq!(node.wait_exit(DEADLINE).await, Some(0), "the node's exit code");
        let good = (0..self.messages).filter(|seq| !case.load.is_bad(*seq)).count() as u64;
        assert_eq!(self.database.count("raw_events").await, good, "rows");
        let refused = "SELECT coalesce(sum(cnt), 0)::bigint FROM quarantine_counters_minute";
        let refused: i64 = self.database.query(refused, &[]).await[0].get(0);
        assert_eq!(refused as u64, self.messages - good, "rejections");
        let jobs = self.jetstream.get_stream(ROUTES).await.expect("the stream").cached_info().state.messages;
        assert_eq!(jobs, case.load.matched(case.routes, self.messages), "route jobs");
        if let Some(stub) = stub {
            assert_eq!(stub.finish(), good, "lines");
        }
        let to_all_cached =
            all_cached.zip(marks.first_delivery).map(|(all, first)| all.saturating_duration_since(first.at));
        Run { rss, to_all_cached, ..marks.run(started, self.messages, peak_rss) }
    }
}

/// Whether a node caches so many devices; it reports this once per second. One that does not answer yet holds none.
async fn is_all_cached(node: &Node, devices: usize) -> bool {
    let Some(answer) = node.get("/metrics").await else { return false };
    ingest_kit::Metrics::parse(&answer.body).count("ingest_registry_cache_entries", &[]) >= devices as u64
}

fn temporary(text: &str) -> NamedTempFile {
    let file = NamedTempFile::new().expect("a temporary file");
    std::fs::write(&file, text).expect("a temporary file");
    file
}

fn setting<T: FromStr>(name: &str, default: T) -> T {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}
