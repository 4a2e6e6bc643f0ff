//! A fleet of simulated devices: seeds the registry, publishes telemetry, heartbeats and every kind of bad message, and
//! says at the end what the node should have made of them.

mod generate;
mod publish;
mod seed;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;
use slog::{Logger, info, o};
use thiserror::Error;
use time::OffsetDateTime;

pub(crate) use super::simulate::generate::{Fleet, Generator, Mix};
use crate::config::Config;
use crate::runtime::signals::Signals;
use ingest_core::message::rejection::Reason;

/// What to simulate.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Registered devices that send.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub devices: u32,
    /// Tenants that they are spread over.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub tenants: u32,
    /// Messages to publish; 0 = until Ctrl-C.
    #[arg(long, default_value_t = 10_000)]
    pub messages: u64,
    /// Messages per second; 0 = as fast as possible.
    #[arg(long, default_value_t = 0)]
    pub rate: u32,
    /// Share of bad messages, every kind in turn.
    #[arg(long, default_value_t = 0.01, value_parser = share)]
    pub bad_share: f64,
    /// Share of heartbeats among the good messages.
    #[arg(long, default_value_t = 0.33, value_parser = share)]
    pub heartbeat_share: f64,
    /// The same seed makes the same messages, but for their time.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Publish only: the registry holds the devices already.
    #[arg(long)]
    pub no_seed_registry: bool,
    /// Set RATE_LIMIT_RPS to 0 in app_settings while this runs: at full speed devices send more than they may. It is put
    /// back when the nodes have taken what was published, or at once after Ctrl-C or a failure.
    #[arg(long)]
    pub lift_rate_limit: bool,
}

fn share(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|share| (0.0..=1.0).contains(share)).ok_or_else(|| "a number from 0 to 1 is needed".into())
}

/// Why a simulation ended early.
#[derive(Debug, Error)]
pub(crate) enum SimulateError {
    /// PostgreSQL or NATS did not play along.
    #[error("{0}")]
    Unavailable(String),
}

/// What was published, and what the node should make of it under its default settings and without a rate limit.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Summary {
    /// Messages that the stream has acknowledged.
    pub published: u64,
    /// Those that should become rows.
    pub accepted: u64,
    /// Those that should be refused, by reason.
    pub rejected: BTreeMap<&'static str, u64>,
    /// How long publishing took.
    pub seconds: f64,
    /// Whether this run lifted the rate limit; where it is in force, `RATE_LIMITED` takes its share of `accepted`.
    pub rate_limit_lifted: bool,
}

impl Summary {
    fn count(&mut self, expected: Option<Reason>) {
        self.published += 1;
        match expected {
            None => self.accepted += 1,
            Some(reason) => *self.rejected.entry(reason.as_str()).or_default() += 1,
        }
    }
}

/// Runs a simulation to its end, or to Ctrl-C. The summary holds what was acknowledged, also where it ended early.
pub(crate) async fn run(config: &Config, options: &Options, log: &Logger) -> (Summary, Result<(), SimulateError>) {
    let log = log.new(o!("part" => "simulate"));
    let mut summary = Summary { rate_limit_lifted: options.lift_rate_limit, ..Summary::default() };
    let result = simulate(config, options, &log, &mut summary).await;
    (summary, result)
}

async fn simulate(
    config: &Config,
    options: &Options,
    log: &Logger,
    summary: &mut Summary,
) -> Result<(), SimulateError> {
    let fleet = Fleet { devices: options.devices, tenants: options.tenants.min(options.devices) };
    if !options.no_seed_registry {
        seed::registry(&seed::connect(&config.postgres).await?, fleet).await?;
        info!(log, "registry seeded"; "devices" => fleet.devices, "tenants" => fleet.tenants);
    }
    let publisher = publish::Publisher::connect(&config.nats, log).await?;
    // From here on a signal ends the run in order: what is lifted must be put back.
    let mut signals = Signals::listen();
    if !options.lift_rate_limit {
        return publish(options, fleet, &publisher, &mut signals, summary).await.map(drop);
    }
    let database = seed::connect(&config.postgres).await?;
    let lifted = seed::lift_rate_limit(&database).await?;
    info!(log, "rate limit lifted");
    let published = publish(options, fleet, &publisher, &mut signals, summary).await;
    if let Ok(publish::Ended::Complete) = published {
        publisher.wait_until_taken(&mut signals).await;
    }
    // The session may have died in the meantime.
    let restored = match seed::restore_rate_limit(&database, &lifted).await {
        Ok(()) => Ok(()),
        Err(_) => seed::restore_rate_limit(&seed::connect(&config.postgres).await?, &lifted).await,
    };
    info!(log, "rate limit put back"; "done" => restored.is_ok());
    published.and(restored)
}

/// Publishes the fleet's messages.
async fn publish(
    options: &Options,
    fleet: Fleet,
    publisher: &publish::Publisher,
    signals: &mut Signals,
    summary: &mut Summary,
) -> Result<publish::Ended, SimulateError> {
    let mix = Mix {
        bad_share: options.bad_share,
        heartbeat_share: options.heartbeat_share,
        seed: options.seed,
        start_us: (OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000) as i64,
        // As if they were sent at that rate; at full speed a microsecond apart, so that no two points are the same.
        spacing_us: if options.rate == 0 { 1 } else { (1_000_000 / i64::from(options.rate)).max(1) },
    };
    let started = Instant::now();
    let messages = Generator::new(fleet, mix);
    let result = match options.messages {
        0 => publisher.publish(messages, options.rate, signals, summary).await,
        count => {
            let messages = messages.take(usize::try_from(count).unwrap_or(usize::MAX));
            publisher.publish(messages, options.rate, signals, summary).await
        }
    };
    summary.seconds = Duration::as_secs_f64(&started.elapsed());
    result
}
