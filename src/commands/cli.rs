//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::{backfill, check_config, doctor, explain, generated, provision_tenants, quarantine, simulate, tap, top};

/// Validates IoT messages from NATS JetStream and makes them durable in PostgreSQL and InfluxDB before it acknowledges
/// them.
///
/// Settings come from a TOML file under environment variables; `check-config` shows what is in force and where each
/// value comes from.
#[derive(Debug, Parser)]
#[command(name = "ingest-node", version, max_term_width = 100)]
#[command(after_help = "Exit codes: 0 done, 1 done but for what is told, 64 bad configuration or arguments, \
    69 a dependency was unavailable, 70 the supervisor gave up, 75 stopped with work undone")]
pub(crate) struct Cli {
    /// The configuration file [default: config/ingest-node.toml, if there is one].
    #[arg(long, global = true, value_name = "PATH")]
    pub config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the gateway does.
#[derive(Clone, Debug, Args)]
pub(crate) struct GatewayOptions {
    /// End the session at the MQTT broker for good: take back its subscription, take in what the broker still has for it, and
    /// have it forgotten. Its gateway must not run.
    #[arg(long)]
    pub retire: bool,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the node until SIGTERM or SIGINT.
    Run,
    /// Run the gateway until SIGTERM or SIGINT: ways in over HTTP and from an MQTT broker, into NATS JetStream.
    ///
    /// A client gets its answer when the stream has acknowledged the message, and never before.
    Gateway(GatewayOptions),
    /// Bring the database to this version's schema.
    Migrate,
    /// Give every tenant of the registry its InfluxDB database: OK, EXISTS, WARN or ERR for each; exit code 1 if any failed.
    ProvisionTenants(provision_tenants::Options),
    /// Write a tenant's points to InfluxDB again, from the rows in PostgreSQL; run again, it goes on where it stopped.
    ///
    /// For an InfluxDB that is new, was restored or has another layout. Writing a point twice changes nothing. Exit codes: 0
    /// done, 1 the target refused points (their rows stay) or a tenant is unknown, 69 PostgreSQL is away or another run works on the same backfill,
    /// 75 stopped before the end. While the target is away it waits.
    Backfill(backfill::Options),
    /// Print the effective configuration, without secrets, each value with its source.
    ///
    /// Every error is a line of standard error, and the exit code then 64; what is doubtful is a line `# WARN`: variables
    /// that look like settings and are none, settings that do not go together well, safety that is switched off.
    CheckConfig(check_config::Options),
    /// Find what cannot work, or will hurt: settings, machine, NATS, PostgreSQL, InfluxDB, rights, limits, clocks.
    ///
    /// One line for each result: OK, WARN or ERR, what it is about, what was found, what to do. Nothing is changed at any
    /// server. All checks run side by side, 10 s at most. Exit codes: 0 all is well, 1 something is to be fixed, 69 something
    /// can't be reached.
    Doctor(doctor::Options),
    /// Simulate devices: seed the registry, publish messages, print as one JSON line what must become of them.
    Simulate(simulate::Options),
    /// Look at refused messages, and send them through the pipeline again.
    #[command(subcommand)]
    Quarantine(quarantine::Action),
    /// Tell what became of one message, and what would become of it now.
    ///
    /// Dated steps from the stream, PostgreSQL, the outbox and the registry, and one sentence at the end. Nothing is changed at
    /// any server. Exit codes: 0 it was found, 1 no trace of it, 64 bad arguments, 69 a server can't be reached (what the others
    /// know is told).
    Explain(explain::Options),
    /// Look at messages of a running node as its checks decide them: one JSON line each, without tokens.
    ///
    /// Asks the node's admin listener; ends by itself after --limit messages or 10 minutes, and with Ctrl-C. Exit codes: 0 ended,
    /// 64 bad arguments or a wrong key, 69 the node can't be reached, or has ended it.
    Tap(tap::Options),
    /// Watch the actors and lanes of running nodes, side by side; lines where standard output is no terminal.
    ///
    /// Asks each node's admin listener. Keys: q quit, p pause, s sort, arrows move. Exit codes: 0 ended, 64 no key or a wrong one, a
    /// wrong URL, 69 none of the nodes can be reached at the start.
    Top(top::Options),
    /// Print the completions of a shell, for its folder of completions.
    Completions(generated::CompletionsOptions),
    /// Print a page of the manual; `ingest-node man | man -l -` shows it.
    Man(generated::ManOptions),
}
