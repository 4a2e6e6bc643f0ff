//! A fleet of simulated devices: seeds the registry, publishes telemetry, heartbeats and every kind of bad message, and
//! says at the end what the node should have made of them.

mod generate;
mod registry;
mod summary;
mod via;

use std::time::{Duration, Instant};

use clap::Args;
use slog::{Logger, info, o};
use thiserror::Error;
use time::OffsetDateTime;
use tokio::time::sleep;

use self::generate::{Bad, Fleet, Generator, Mix, Tokens};
use self::registry::api::Admin;
use self::registry::sql;
pub(super) use self::summary::Summary;
use self::via::{Ended, Http, Mqtt, Nats, Pace, Via, send_all};
use crate::config::Config;
use crate::runtime::exit::Exit;
use crate::runtime::signals::Signals;

/// What to simulate.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// The way in that the devices take. But for `nats` they are registered and activated by the provisioning API (`--admin`,
    /// `ADMIN_KEY`).
    #[arg(long, value_enum, default_value_t = Via::Nats)]
    pub via: Via,
    /// The gateway, for `--via http`.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8090")]
    pub gateway: String,
    /// The MQTT listener, for `--via mqtt` and `--via nats-mqtt`; with the log-in of `MQTT_USERNAME` or of `NATS_USER`.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:1883", value_parser = host_and_port)]
    pub mqtt: (String, u16),
    /// The node's admin listener: registers the devices there, also with `--via nats`.
    #[arg(long, value_name = "URL")]
    pub admin: Option<String>,
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

fn host_and_port(text: &str) -> Result<(String, u16), String> {
    let (host, port) = text.rsplit_once(':').ok_or("HOST:PORT is needed")?;
    Ok((host.to_owned(), port.parse().map_err(|_| "a port from 1 to 65535 is needed")?))
}

/// Time that a lifted rate limit takes to be in force everywhere.
const LIFTED_WITHIN: Duration = Duration::from_secs(2);

/// Where the admin listener is by default.
const ADMIN: &str = "http://127.0.0.1:8081";

/// Why a simulation ended early.
#[derive(Debug, Error)]
pub(crate) enum SimulateError {
    /// A server did not play along.
    #[error("{0}")]
    Unavailable(String),
    /// A message had another end than it should.
    #[error("{0}")]
    Unexpected(String),
}

impl SimulateError {
    /// How the process ends with it.
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Unavailable(_) => Exit::Unavailable,
            Self::Unexpected(_) => Exit::Incomplete,
        }
    }
}

/// Runs a simulation to its end, or to Ctrl-C. The summary holds what was answered, also where it ended early.
pub(crate) async fn run(config: &Config, options: &Options, log: &Logger) -> (Summary, Result<(), SimulateError>) {
    let log = log.new(o!("component" => "simulate"));
    let mut summary = Summary::new(options.via, options.lift_rate_limit);
    let result = simulate(config, options, &log, &mut summary).await;
    (summary, result)
}

async fn simulate(
    config: &Config,
    options: &Options,
    log: &Logger,
    summary: &mut Summary,
) -> Result<(), SimulateError> {
    let (devices, tenants) = (options.devices, options.tenants.min(options.devices));
    let fleet = Fleet { devices, tenants, prefix: options.via.prefix() };
    let mut bad_kinds: Vec<Bad> = Bad::ALL.into_iter().filter(|bad| options.via.carries(*bad)).collect();
    let admin = options.admin.as_deref().or((options.via != Via::Nats).then_some(ADMIN));
    let mut tokens = Tokens::Derived;
    match admin {
        Some(url) if !options.no_seed_registry => {
            bad_kinds.retain(|bad| !bad.needs_subscription());
            tokens = Admin::new(url, &config.admin.key.expose()).register(fleet.registered(&bad_kinds)).await?;
            info!(log, "devices registered and activated"; "devices" => devices, "tenants" => tenants);
        }
        None if !options.no_seed_registry => {
            let registered = fleet.registered(&bad_kinds).collect();
            sql::registry(&sql::connect(&config.postgres).await?, registered).await?;
            info!(log, "registry seeded"; "devices" => devices, "tenants" => tenants);
        }
        _ => {}
    }
    let nats = Nats::connect(&config.nats, log).await?;
    // From here on a signal ends the run in order: what is lifted must be put back.
    let mut signals = Signals::listen();
    let start = Start { config, options, messages: Generator::new(fleet, tokens, mix(options, bad_kinds)), log };
    if !options.lift_rate_limit {
        return start.publish(&nats, &mut signals, summary).await.map(drop);
    }
    let database = sql::connect(&config.postgres).await?;
    let lifted = sql::lift_rate_limit(&database).await?;
    info!(log, "rate limit lifted");
    // Nodes and gateways hear of it within a second; nobody tells whether they have.
    sleep(LIFTED_WITHIN).await;
    let published = start.publish(&nats, &mut signals, summary).await;
    if let Ok(Ended::Complete) = published {
        nats.wait_until_taken(&mut signals).await;
    }
    // The session may have died in the meantime.
    let restored = match sql::restore_rate_limit(&database, &lifted).await {
        Ok(()) => Ok(()),
        Err(_) => sql::restore_rate_limit(&sql::connect(&config.postgres).await?, &lifted).await,
    };
    info!(log, "rate limit put back"; "done" => restored.is_ok());
    published.and(restored)
}

fn mix(options: &Options, bad_kinds: Vec<Bad>) -> Mix {
    Mix {
        bad_share: options.bad_share,
        bad_kinds,
        heartbeat_share: options.heartbeat_share,
        seed: options.seed,
        start_us: (OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000) as i64,
        // As if they were sent at that rate; at full speed a microsecond apart, so that no two points are the same.
        spacing_us: if options.rate == 0 { 1 } else { (1_000_000 / i64::from(options.rate)).max(1) },
    }
}

/// A fleet that is ready to send.
struct Start<'a> {
    config: &'a Config,
    options: &'a Options,
    messages: Generator,
    log: &'a Logger,
}

impl Start<'_> {
    /// Sends the fleet's messages by the way in that was chosen.
    async fn publish(self, nats: &Nats, signals: &mut Signals, summary: &mut Summary) -> Result<Ended, SimulateError> {
        let Self { config, options, messages, log } = self;
        let count = usize::try_from(options.messages).unwrap_or(usize::MAX);
        let messages = messages.take(if count == 0 { usize::MAX } else { count });
        let pace = Pace { rate: options.rate, signals, log };
        let (host, port) = (options.mqtt.0.as_str(), options.mqtt.1);
        let started = Instant::now();
        let result = match options.via {
            Via::Nats => send_all(nats, messages, pace, summary).await,
            Via::Http => send_all(&Http::new(&options.gateway), messages, pace, summary).await,
            Via::Mqtt => {
                let password = config.mqtt.password.expose();
                let login = config.mqtt.username.as_deref().map(|user| (user, &*password));
                send_all(&Mqtt::connect(host, port, login).await?, messages, pace, summary).await
            }
            Via::NatsMqtt => {
                let password = config.nats.password.expose();
                let login = config.nats.user.as_deref().map(|user| (user, &*password));
                send_all(&Mqtt::connect(host, port, login).await?, messages, pace, summary).await
            }
        };
        summary.seconds = Duration::as_secs_f64(&started.elapsed());
        result
    }
}
