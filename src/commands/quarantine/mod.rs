//! `ingest-node quarantine`: what was refused, and sending it through the pipeline again once its cause is gone.

pub(super) mod event;
pub(super) mod query;
pub(super) mod replayable;
mod reprocess;
mod table;

use std::time::{SystemTime, UNIX_EPOCH};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use slog::{Logger, o};
use tokio_postgres::Client;

use self::query::Selection;
use crate::config::Config;
use crate::postgres::start;
use crate::runtime::error_chain::error_chain;
use crate::runtime::exit::Exit;
use crate::runtime::terminal::print;
use ingest_core::message::rejection::Reason;
use ingest_core::reprocess::period;

/// How many events `list` shows unless told otherwise.
const LISTED: i64 = 50;
/// The period of `stats` unless told otherwise.
const STATS_SINCE: &str = "24h";

/// What to do with the quarantine.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Action {
    /// List events, newest first [limit: 50].
    List {
        /// Which.
        #[command(flatten)]
        filter: Filter,
        /// Of this device.
        #[arg(long)]
        device: Option<String>,
        /// One JSON object per line instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Show one event as a whole.
    Show {
        /// Its id, as `list` shows it.
        id: i64,
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Count rejections and stored events per tenant and reason [since: 24h; limit: none].
    Stats {
        /// Which.
        #[command(flatten)]
        filter: Filter,
        /// One JSON object per line instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Send events through the pipeline again, oldest first; each is stored once, however often it is replayed.
    Replay(reprocess::Options),
}

/// Which events.
#[derive(Clone, Debug, Args)]
pub(crate) struct Filter {
    /// Of this tenant; `unknown` = of none.
    #[arg(long)]
    pub tenant: Option<String>,
    /// Refused for this reason, in upper or lower case.
    #[arg(long, ignore_case = true, value_parser = reason_parser())]
    pub reason: Option<Reason>,
    /// Refused since then: a duration such as 2h or 3d, or a moment such as 2026-11-21T06:00Z.
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    pub since: Option<i64>,
    /// At most so many [default: 50 with list, all otherwise].
    #[arg(long, value_parser = clap::value_parser!(i64).range(1..))]
    pub limit: Option<i64>,
}

impl Filter {
    fn selection(&self, limit: i64) -> Selection<'_> {
        Selection {
            tenant: self.tenant.as_deref(),
            reason: self.reason.map(Reason::as_str),
            since_us: self.since,
            limit: self.limit.unwrap_or(limit),
        }
    }
}

/// Every reason code; help and errors list them.
pub(super) fn reason_parser() -> impl TypedValueParser<Value = Reason> {
    PossibleValuesParser::new(Reason::ALL.map(Reason::as_str)).try_map(|code| {
        let is_named = |reason: &Reason| reason.as_str().eq_ignore_ascii_case(&code);
        Reason::ALL.into_iter().find(is_named).ok_or("no reason code")
    })
}

fn moment(text: &str) -> Result<i64, String> {
    let now_us = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64);
    period::since(text, now_us).ok_or_else(|| "a duration (90s, 15m, 2h, 3d, 1w) or an ISO 8601 time is needed".into())
}

/// Why an action ended early: the exit code and a sentence.
type Failure = (Exit, String);

/// Does it. What it finds goes to standard output.
///
/// # Errors
/// The exit code and a sentence.
pub(crate) async fn run(config: &Config, action: &Action, log: &Logger) -> Result<(), Failure> {
    let database = connect(config).await?;
    match action {
        Action::List { filter, device, json } => {
            let events =
                query::newest(&database, &filter.selection(LISTED), device.as_deref()).await.map_err(unavailable)?;
            let text = if *json { json_lines(&events)? } else { event::table_of(&events) };
            print(&text);
        }
        Action::Show { id, json } => {
            let event = query::by_ids(&database, &[*id]).await.map_err(unavailable)?.pop();
            let event = event.ok_or_else(|| (Exit::Config, format!("the quarantine has no event {id}")))?;
            let text = if *json { json_lines(&[event])? } else { event.page() };
            print(&text);
        }
        Action::Stats { filter, json } => {
            let since_us = filter.since.or_else(|| moment(STATS_SINCE).ok());
            let selection = Selection { since_us, ..filter.selection(i64::MAX) };
            let counts = query::counts(&database, &selection).await.map_err(unavailable)?;
            let text = if *json { json_lines(&counts)? } else { event::counts_table(&counts) };
            print(&text);
        }
        Action::Replay(options) => {
            let log = log.new(o!("component" => "replay"));
            let (summary, result) = reprocess::run(config, &database, options, &log).await;
            let text = if options.json { json_lines(&[summary])? } else { summary.page() };
            print(&text);
            result.map_err(|why| (Exit::Unavailable, why))?;
        }
    }
    Ok(())
}

async fn connect(config: &Config) -> Result<Client, Failure> {
    let opened = start::open_checked(&config.postgres).await;
    let (_, client) = opened.map_err(|error| (error.exit(), error_chain(&error)))?;
    Ok(client)
}

fn unavailable(error: impl std::error::Error + 'static) -> Failure {
    (Exit::Unavailable, format!("PostgreSQL does not answer: {}", error_chain(&error)))
}

fn json_lines<T: serde::Serialize>(items: &[T]) -> Result<String, Failure> {
    let mut text = String::new();
    for item in items {
        let line = serde_json::to_string(item).map_err(|error| (Exit::Unavailable, error_chain(&error)))?;
        text.push_str(&line);
        text.push('\n');
    }
    Ok(text)
}
