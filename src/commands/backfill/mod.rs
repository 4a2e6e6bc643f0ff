//! `ingest-node backfill`: writes a range of `raw_events` to InfluxDB again, for one that is new or lost something.
//!
//! ```text
//! raw_events --page--> reader --points--> sender: Router -> Batcher -> InfluxDB
//!                                            |
//! influx_backfills <--position-- track <--confirmed
//! ```
//!
//! Points are idempotent, so what is written twice changes nothing; the position only spares the work. It moves over
//! confirmed pages without a gap, so whatever ends a run, nothing is ever behind it that is not in the target.

mod progress;
mod reader;
mod record;
mod sender;
mod session;
mod stop;
mod tenant;
mod track;

use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use self::sender::Sender;
use self::session::Session;
use self::stop::Stop;
use self::tenant::{Backfill, Ending, TenantRun};
use crate::config::Config;
use crate::config::url::masked;
use crate::postgres::start;
use crate::runtime::error_chain::error_chain;
use crate::runtime::exit::Exit;
use crate::runtime::terminal::{print, print_error};
use crate::sink::influx::Backend;
use ingest_core::influx::point::Layout;
use ingest_core::message::timestamp;

/// What to write again, and where to.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Of this tenant; may be given several times: one after the other.
    #[arg(long = "tenant", value_name = "TENANT", required = true)]
    pub tenants: Vec<String>,
    /// From this moment on, ISO 8601 (2026-11-21, 2026-11-21T06:00Z): when the broker received the messages, not the time
    /// that they state. Readings that were sent late are found where they came.
    #[arg(long, value_name = "TIME", value_parser = parsed)]
    pub from: i64,
    /// Until then, this moment not included [default: the moment at which the backfill first began].
    #[arg(long, value_name = "TIME", value_parser = parsed)]
    pub to: Option<i64>,
    /// Write to this server instead of INFLUXDB_URL, with the same token.
    #[arg(long, value_name = "URL")]
    pub target: Option<String>,
    /// At most so many lines per second.
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub rate: u32,
    /// Count the range's rows and points, and write nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Begin again, whatever an earlier run of the same backfill has done.
    #[arg(long)]
    pub restart: bool,
}

fn parsed(text: &str) -> Result<i64, String> {
    timestamp::from_text(text).ok_or_else(|| "an ISO 8601 time is needed, such as 2026-11-21T06:00Z".to_owned())
}

/// Why the command ended early: the exit code and a sentence.
type Failure = (Exit, String);

/// Writes tenant by tenant: one line for each, on standard output.
///
/// # Errors
/// The exit code and a sentence, where it could not go on.
pub(crate) async fn run(config: &Config, options: &Options) -> Result<Exit, Failure> {
    let now_us = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64);
    check_range(options, now_us)?;
    let mut influx = config.influx.clone();
    influx.target.url = options.target.clone().or(influx.target.url);
    let backend = Backend::new(&influx).map_err(|why| match options.target {
        Some(_) => (Exit::Config, format!("--target: {why}")),
        None => (Exit::Config, why.to_string()),
    })?;
    let stop = Stop::listen().map_err(|error| (Exit::Unavailable, error_chain(&error)))?;
    let session = tokio::select! {
        session = connect(config) => session?,
        () = stop.told_times(1) => return Err(stopped(options)),
    };
    let sender = Sender::start(&influx, backend.clone());
    let backfill = Backfill { options, layout: influx.layout(), now_us, session, sender, stop: stop.clone() };
    tokio::select! {
        done = every_tenant(backfill, &backend) => done,
        () = stop.told_times(2) => Err(stopped(options)),
    }
}

fn stopped(options: &Options) -> Failure {
    let sentence = match (options.dry_run, options.restart) {
        (true, _) => "stopped before the end; nothing was written",
        (false, true) => "stopped; the same command line without --restart goes on where this one stopped",
        (false, false) => "stopped; the same command line goes on where this one stopped",
    };
    (Exit::Unfinished, sentence.to_owned())
}

fn check_range(options: &Options, now_us: i64) -> Result<(), Failure> {
    let wrong = match options.to {
        Some(to_us) if to_us > now_us => "--to lies in the future; leave it out to go up to now",
        _ if options.from >= options.to.unwrap_or(now_us) => "--from must lie before --to",
        _ => return Ok(()),
    };
    Err((Exit::Config, wrong.to_owned()))
}

async fn connect(config: &Config) -> Result<Session, Failure> {
    let opened = start::open_checked(&config.postgres).await;
    let (connector, _) = opened.map_err(|error| (error.exit(), error_chain(&error)))?;
    Ok(Session::new(connector))
}

async fn every_tenant(mut backfill: Backfill<'_>, backend: &Backend) -> Result<Exit, Failure> {
    let mut exit = Exit::Ok;
    let mut done: Vec<&str> = Vec::new();
    for tenant_id in &backfill.options.tenants {
        if done.contains(&tenant_id.as_str()) {
            continue;
        }
        done.push(tenant_id);
        let tenant_run = match backfill.options.dry_run {
            true => backfill.count(tenant_id).await?,
            false => backfill.fill(tenant_id, &target(backend, backfill.layout, tenant_id)).await?,
        };
        print(&line(tenant_id, &tenant_run));
        if tenant_run.all_refused > 0 {
            exit = Exit::Incomplete;
        }
        if tenant_run.is_empty() && !backfill.is_registered(tenant_id).await? {
            print_error(format_args!(
                "{tenant_id}: no such tenant in device_registry, and no row of it in this range; is the name right?"
            ));
            exit = Exit::Incomplete;
        }
        if tenant_run.ending == Ending::Stopped {
            backfill.sender.close().await;
            return Err(stopped(backfill.options));
        }
    }
    backfill.sender.close().await;
    Ok(exit)
}

/// What a backfill writes to, without credentials: another place, database or layout makes it another backfill.
fn target(backend: &Backend, layout: Layout, tenant_id: &str) -> String {
    let layout = match layout {
        Layout::PerTenant => "per_tenant",
        Layout::Shared => "shared",
    };
    let address = backend.address();
    let place = if address.contains("://") { masked(&address) } else { address };
    format!("{place} {} {layout}", backend.database(tenant_id))
}

/// What became of one tenant, for people.
fn line(tenant_id: &str, tenant_run: &TenantRun) -> String {
    let TenantRun { counts, range_us: (from_us, to_us), ending, all_refused, .. } = tenant_run;
    let range = format!("from {} to {}", moment(*from_us), moment(*to_us));
    match ending {
        Ending::Counted => {
            format!("{tenant_id}  rows {}  points {}  would be written  {range}\n", counts.rows, counts.points)
        }
        Ending::FinishedBefore => {
            format!("{tenant_id}  finished already  written {}  refused {all_refused}  {range}\n", counts.written)
        }
        Ending::Finished | Ending::Stopped => format!(
            "{tenant_id}  rows {}  points {}  written {}  refused {}  {range}\n",
            counts.rows, counts.points, counts.written, counts.refused
        ),
    }
}

/// A moment as ISO 8601 text.
fn moment(us: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(us) * 1_000).ok();
    // No time that the database holds is beyond what the format can say.
    time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_else(|| format!("{us} us"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::influx;

    #[test]
    fn a_target_is_named_without_its_credentials() {
        let target = |url: Option<&str>, database_layout| {
            let url = url.map(str::to_owned);
            let mut config = influx::Config::default();
            (config.target.url, config.target.database_layout) = (url, database_layout);
            super::target(&Backend::new(&config).unwrap(), database_layout, "acme")
        };
        let url = Some("https://user:secret@influx/path/");
        assert_eq!(target(url, Layout::PerTenant), "https://***@influx/path telemetry_acme per_tenant");
        assert_eq!(target(url, Layout::Shared), "https://***@influx/path telemetry shared");
        assert_eq!(target(None, Layout::Shared), "data/line-protocol telemetry_acme shared");
    }

    #[test]
    fn a_range_ends_after_it_begins_and_not_in_the_future() {
        let options = |from, to| Options {
            tenants: vec!["acme".to_owned()],
            from,
            to,
            target: None,
            rate: 1,
            dry_run: false,
            restart: false,
        };
        assert!(check_range(&options(0, Some(5)), 10).is_ok());
        assert!(check_range(&options(0, None), 10).is_ok());
        for (from, to) in [(5, Some(5)), (10, None), (0, Some(11))] {
            assert!(check_range(&options(from, to), 10).is_err(), "{from} {to:?}");
        }
    }

    #[test]
    fn moments_read_as_they_are_typed() {
        assert_eq!(moment(1_795_219_200_123_456), "2026-11-21T00:00:00.123456Z");
        assert_eq!(parsed(&moment(1_795_219_200_000_000)), Ok(1_795_219_200_000_000));
        assert!(parsed("yesterday").is_err());
    }
}
