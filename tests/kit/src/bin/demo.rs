//! A whole system on this machine: private servers, a node, a fleet of simulated devices, and the account in the end.
//!
//! usage: `demo NODE` (the path of the program; `make demo` builds and passes it)
//!
//! Before the load `doctor` looks at the system. Everything lies below `.demo/` in the working directory, and stays there to be
//! looked at. Without an InfluxDB, the node writes its points to files. Exits with 1 when the account does not balance, or
//! `doctor` finds something to be fixed.
//!
//! | environment | default | |
//! |---|---|---|
//! | `DEMO_MESSAGES` | 50000 | messages in all, one in a hundred of them bad |
//! | `DEMO_RATE` | 5000 | messages per second; 0 = as fast as possible |
//! | `DEMO_DEVICES` | 1000 | devices that send them |
//! | `DEMO_TENANTS` | 5 | tenants that own the devices |
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, HashSet};
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use ingest_kit::jetstream::consumer_info;
use ingest_kit::{Database, Nats, Node, NodeBuilder, Postgres, wait_for_value};
use serde::Deserialize;

/// Longest time for any one step of the demonstration.
const DEADLINE: Duration = Duration::from_secs(600);

/// Time between two status lines.
const STATUS_EVERY: Duration = Duration::from_millis(250);

#[tokio::main]
async fn main() -> ExitCode {
    let program = std::env::args().nth(1).map(PathBuf::from).expect("usage: demo NODE");
    let dir = PathBuf::from(".demo");
    // The last demonstration's servers are gone; their data would mix with ours.
    let _ = std::fs::remove_dir_all(&dir);

    println!("starting nats-server and PostgreSQL below {}", dir.display());
    let mut nats = Nats::start_in(&dir.join("nats"));
    let mut postgres = start_postgres(&dir);
    let database = postgres.create_database().await;
    let command = || {
        Node::builder(&program)
            .env("NATS_URL", nats.url())
            .env("DATABASE_URL", database.url())
            .env("INFLUXDB_API", "files")
            .env("LOG_FORMAT", "text")
            .dir(&dir.join("node"))
    };

    let migrated = command().arguments(&["migrate"]).run_to_end(DEADLINE).await;
    assert_eq!(migrated.code, Some(0), "ingest-node migrate: {}", migrated.stderr);
    let mut node = command().start();
    node.wait_ready(DEADLINE).await;
    println!("the node is ready: http://{}/stats, /metrics, /ready", node.address());
    let is_healthy = examine(command().env("HTTP_BIND", node.address())).await;

    let start = Instant::now();
    let simulation = tokio::spawn(simulate(command()));
    let published = show_progress(&node, simulation).await;
    let jetstream = nats.jetstream().await;
    let last = wait_for_value("the stream to be drained", DEADLINE, async || {
        let info = consumer_info(&jetstream, "TELEMETRY", "ingest-workers").await?;
        (info.num_pending == 0 && info.num_ack_pending == 0).then_some(info)
    })
    .await;
    let took = start.elapsed();
    let redelivered = node.metrics().await.count("ingest_postgres_duplicates_suppressed_total", &[]);
    node.sigterm();
    let code = node.wait_exit(DEADLINE).await;
    println!("\nthe node has drained and left with exit code {}\n", code.unwrap_or(-1));

    let found = BufferStats::read(&database, &dir.join("node/data/line-protocol")).await;
    let balanced = found.compare(&published) && is_healthy && code == Some(0);
    println!(
        "redelivered                                {:>9}  (rows suppressed as duplicates: {redelivered})",
        last.num_redelivered
    );
    println!("messages per second                        {:>9.0}", published.published as f64 / took.as_secs_f64());
    println!("\n{}", if balanced { "The account balances." } else { "THE ACCOUNT DOES NOT BALANCE." });
    postgres.stop();
    nats.stop();
    if balanced { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs `doctor` beside the node: prints what is to be fixed, and returns whether nothing is.
async fn examine(command: NodeBuilder) -> bool {
    let report = command.arguments(&["doctor"]).run_to_end(DEADLINE).await;
    let (well, wrong): (Vec<&str>, Vec<&str>) = report.stdout.lines().partition(|line| line.starts_with("OK "));
    println!("ingest-node doctor: {} checks are OK, {} are not", well.len(), wrong.len());
    wrong.iter().for_each(|line| println!("    {line}"));
    report.code == Some(0) && wrong.is_empty() && !well.is_empty()
}

fn start_postgres(dir: &Path) -> Postgres {
    let dir = dir.join("postgres");
    let builder = Postgres::builder().durable(true);
    if Postgres::can_live_in(&dir) {
        builder.dir(&dir).start()
    } else {
        println!("PostgreSQL cannot enter {}: it lies in a temporary directory instead", dir.display());
        builder.start()
    }
}

/// The last line of `ingest-node simulate`.
#[derive(Debug, Deserialize)]
struct Published {
    published: u64,
    accepted: u64,
    rejected: BTreeMap<String, u64>,
}

async fn simulate(command: NodeBuilder) -> Published {
    let setting = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
    let (messages, rate) = (setting("DEMO_MESSAGES", "50000"), setting("DEMO_RATE", "5000"));
    let (devices, tenants) = (setting("DEMO_DEVICES", "1000"), setting("DEMO_TENANTS", "5"));
    let arguments = [
        "simulate",
        "--messages",
        &messages,
        "--rate",
        &rate,
        "--devices",
        &devices,
        "--tenants",
        &tenants,
        "--bad-share",
        "0.01",
        "--lift-rate-limit",
    ];
    let finished = command.arguments(&arguments).run_to_end(DEADLINE).await;
    assert_eq!(finished.code, Some(0), "ingest-node simulate: {}", finished.stderr);
    let last = finished.stdout.lines().last().unwrap_or_default();
    serde_json::from_str(last).unwrap_or_else(|e| panic!("the simulation's last line is odd ({e}): {last}"))
}

/// Shows the node's figures until the simulation has ended.
async fn show_progress(node: &Node, simulation: tokio::task::JoinHandle<Published>) -> Published {
    let terminal = std::io::stdout().is_terminal();
    let (mut before, mut at) = (0, Instant::now());
    let mut lines = 0;
    while !simulation.is_finished() {
        tokio::time::sleep(STATUS_EVERY).await; // a picture every so often, nothing waits for it
        let metrics = node.metrics().await;
        let of = [("consumer", "ingest-workers")];
        let received = metrics.count("ingest_deliveries_received_total", &of);
        let rate = (received - before) as f64 / at.elapsed().as_secs_f64();
        (before, at) = (received, Instant::now());
        let line = format!(
            "received {received}, accepted {}, rejected {}, in flight {}, waiting {}, {rate:.0} messages/s",
            metrics.count("ingest_events_accepted_total", &[]),
            metrics.count("ingest_rejections_total", &[]),
            metrics.count("ingest_in_flight", &of),
            metrics.count("ingest_consumer_pending", &of),
        );
        lines += 1;
        if terminal {
            print!("\r\x1b[K{line}");
            let _ = std::io::stdout().flush();
        } else if lines % 8 == 0 {
            println!("{line}");
        }
    }
    if terminal {
        println!();
    }
    simulation.await.expect("the simulation")
}

/// What is there in the end.
struct BufferStats {
    rows: u64,
    rejected: BTreeMap<String, u64>,
    points: BTreeMap<String, usize>,
}

impl BufferStats {
    async fn read(database: &Database, points: &Path) -> Self {
        let sql = "SELECT reason, sum(cnt)::bigint FROM quarantine_counters_minute GROUP BY 1";
        let counters = database.query(sql, &[]).await;
        Self {
            rows: database.count("raw_events").await,
            rejected: counters.iter().map(|row| (row.get(0), row.get::<_, i64>(1) as u64)).collect(),
            points: read_points(points),
        }
    }

    /// Prints the results beside what the simulation expects, and returns whether they are the same.
    fn compare(&self, expected: &Published) -> bool {
        let rejected: u64 = self.rejected.values().sum();
        let points: usize = self.points.values().sum();
        let mut balanced = true;
        let mut line = |name: &str, is: u64, expected: u64| {
            balanced &= is == expected;
            let remark = if is == expected { String::new() } else { format!("  expected {expected}") };
            println!("{name:<42} {is:>9}{remark}");
        };
        line("published", expected.published, self.rows + rejected);
        line("= accepted", self.rows, expected.accepted);
        line("+ rejected", rejected, expected.rejected.values().sum());
        let reasons: HashSet<&String> = self.rejected.keys().chain(expected.rejected.keys()).collect();
        let mut reasons: Vec<&String> = reasons.into_iter().collect();
        reasons.sort();
        for reason in reasons {
            let of = |counts: &BTreeMap<String, u64>| counts.get(reason).copied().unwrap_or(0);
            line(&format!("    {reason}"), of(&self.rejected), of(&expected.rejected));
        }
        line("rows in PostgreSQL", self.rows, expected.accepted);
        line("points in files", points as u64, expected.accepted);
        for (database, count) in &self.points {
            println!("    {database:<38} {count:>9}");
        }
        balanced
    }
}

/// Different points in the files of each tenant's database: a line that was written again is still the same point.
fn read_points(dir: &Path) -> BTreeMap<String, usize> {
    let databases = std::fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    let count = |database: PathBuf| {
        let files = std::fs::read_dir(database).into_iter().flatten().filter_map(Result::ok);
        let lines =
            files.filter_map(|file| std::fs::File::open(file.path()).ok()).flat_map(|f| BufReader::new(f).lines());
        lines.map_while(Result::ok).filter(|line| !line.is_empty()).collect::<HashSet<_>>().len()
    };
    databases.map(|entry| (entry.file_name().to_string_lossy().into_owned(), count(entry.path()))).collect()
}
