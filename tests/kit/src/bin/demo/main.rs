//! A whole system on this machine: private servers, a node, a gateway, simulated devices by every way in, and the account in the
//! end.
//!
//! usage: `demo NODE` (the path of the program; `make demo` builds and passes it)
//!
//! Before the load `doctor` looks at the system. Everything lies below `.demo/` in the working directory, and stays there to be
//! looked at. Without an InfluxDB, the node writes its points to files. Exits with 1 when the account does not balance, or
//! `doctor` finds something to be fixed.
//!
//! | environment | default | |
//! |---|---|---|
//! | `DEMO_MESSAGES` | 50000 | messages into NATS, one in a hundred of them bad; a tenth of that by each other way |
//! | `DEMO_RATE` | 5000 | of them per second; 0 = as fast as possible |
//! | `DEMO_DEVICES` | 1000 | devices that send them; a tenth of that by each other way |
//! | `DEMO_TENANTS` | 5 | tenants that own the devices |
#![forbid(unsafe_code)]

mod account;
mod system;

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use ingest_kit::jetstream::consumer_info;
use ingest_kit::{Node, NodeBuilder, wait_for};

use self::account::{Found, Sent};
use self::system::System;

/// Longest time for any one step of the demonstration.
const DEADLINE: Duration = Duration::from_secs(600);

/// Time between two status lines.
const STATUS_EVERY: Duration = Duration::from_millis(250);

/// The ways in, as `simulate --via` names them, each with what its devices' ids begin with.
const WAYS: [(&str, &str); 4] = [("nats", "dev-"), ("http", "http-"), ("mqtt", "mqtt-"), ("nats-mqtt", "nats-mqtt-")];

/// The consumers that telemetry comes by.
const CONSUMERS: [(&str, &str); 2] = [("TELEMETRY", "ingest-workers"), ("$MQTT_msgs", "ingest-mqtt")];

#[tokio::main]
async fn main() -> ExitCode {
    let program = std::env::args().nth(1).map(PathBuf::from).expect("usage: demo NODE");
    let dir = PathBuf::from(".demo");
    // The last demonstration's servers are gone; their data would mix with ours.
    let _ = std::fs::remove_dir_all(&dir);

    println!("starting nats-server, PostgreSQL and Mosquitto below {}", dir.display());
    let mut system = System::start(&program, &dir).await;
    println!("the node is ready: http://{}/stats, /metrics, /ready", system.node.address());
    println!("the gateway is ready: http://{}/metrics, /ready", system.gateway.address());
    println!("the gateway takes messages at http://{}/ingest/v1", system.http);
    let is_healthy = examine(system.doctor()).await;

    let start = Instant::now();
    let simulations: Vec<_> = WAYS.iter().map(|(via, _)| tokio::spawn(simulate(via, system.simulate(via)))).collect();
    let sent = show_progress(&system.node, simulations).await;
    let jetstream = system.nats.jetstream().await;
    wait_for("the streams to be drained", DEADLINE, async || {
        for (stream, consumer) in CONSUMERS {
            let info = consumer_info(&jetstream, stream, consumer).await;
            if info.is_none_or(|info| info.num_pending > 0 || info.num_ack_pending > 0) {
                return false;
            }
        }
        true
    })
    .await;
    let took = start.elapsed();
    let redelivered = system.node.metrics().await.count("ingest_postgres_duplicates_suppressed_total", &[]);
    let codes = [system.gateway.end().await, system.node.end().await];
    println!("\nthe gateway and the node have drained and left with exit codes {codes:?}\n");

    let found = Found::read(&system.database, &dir.join("node/data/line-protocol")).await;
    let balanced = found.compare(&sent) && is_healthy && codes == [0, 0];
    let published: u64 = sent.iter().map(|sent| sent.published).sum();
    println!("rows suppressed as duplicates            {redelivered:>9}");
    println!("messages per second                      {:>9.0}", published as f64 / took.as_secs_f64());
    println!("\n{}", if balanced { "The account balances." } else { "THE ACCOUNT DOES NOT BALANCE." });
    system.stop();
    if balanced { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// SIGTERM, and the exit code.
trait End {
    async fn end(&mut self) -> i32;
}

impl End for Node {
    async fn end(&mut self) -> i32 {
        self.sigterm();
        self.wait_exit(DEADLINE).await.unwrap_or(-1)
    }
}

/// Runs `doctor` beside the node: prints what is to be fixed, and returns whether nothing is.
async fn examine(doctor: NodeBuilder) -> bool {
    let report = doctor.run_to_end(DEADLINE).await;
    let (well, wrong): (Vec<&str>, Vec<&str>) = report.stdout.lines().partition(|line| line.starts_with("OK "));
    println!("ingest-node doctor: {} checks are OK, {} are not", well.len(), wrong.len());
    wrong.iter().for_each(|line| println!("    {line}"));
    report.code == Some(0) && wrong.is_empty() && !well.is_empty()
}

async fn simulate(via: &'static str, command: NodeBuilder) -> Sent {
    let finished = command.run_to_end(DEADLINE).await;
    assert_eq!(finished.code, Some(0), "ingest-node simulate --via {via}: {}", finished.stderr);
    let last = finished.stdout.lines().last().unwrap_or_default();
    serde_json::from_str(last).unwrap_or_else(|e| panic!("the simulation's last line is odd ({e}): {last}"))
}

/// Shows the node's figures until every simulation has ended.
async fn show_progress(node: &Node, simulations: Vec<tokio::task::JoinHandle<Sent>>) -> Vec<Sent> {
    let terminal = std::io::stdout().is_terminal();
    let (mut before, mut at) = (0, Instant::now());
    let mut lines = 0;
    while !simulations.iter().all(tokio::task::JoinHandle::is_finished) {
        tokio::time::sleep(STATUS_EVERY).await; // a picture every so often, nothing waits for it
        let metrics = node.metrics().await;
        let sum =
            |name: &str| CONSUMERS.iter().map(|(_, consumer)| metrics.count(name, &[("consumer", *consumer)])).sum();
        let received: u64 = sum("ingest_deliveries_received_total");
        let rate = (received - before) as f64 / at.elapsed().as_secs_f64();
        (before, at) = (received, Instant::now());
        let (in_flight, pending): (u64, u64) = (sum("ingest_in_flight"), sum("ingest_consumer_pending"));
        let line = format!(
            "received {received}, accepted {}, rejected {}, in flight {in_flight}, waiting {pending}, {rate:.0} messages/s",
            metrics.count("ingest_events_accepted_total", &[]),
            metrics.count("ingest_rejections_total", &[]),
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
    let mut sent = Vec::new();
    for simulation in simulations {
        sent.push(simulation.await.expect("a simulation"));
    }
    sent
}

/// A setting of the demonstration.
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// A folder below the demonstration's, made.
fn folder(dir: &Path, name: &str) -> PathBuf {
    let folder = dir.join(name);
    std::fs::create_dir_all(&folder).unwrap_or_else(|e| panic!("cannot create {}: {e}", folder.display()));
    folder
}
