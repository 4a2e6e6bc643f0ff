//! NATS: connection, server, permissions, streams and consumers.

mod clock;
mod consumers;
mod permissions;
mod server;
mod server_stream;
mod streams;

use std::sync::Arc;
use std::time::Duration;

use async_nats::Client;
use async_nats::jetstream::{self, Context};
use slog::{Discard, Logger, o};

use super::clock::Clocks;
use super::deadline::Deadline;
use super::result::{CheckResult, Level};
use crate::config::Config;
use crate::metrics::Metrics;
use crate::nats::connect::{AttemptError, Observers, attempt};
use crate::nats::permissions::Permissions;

/// What a result about the connection is about.
const ABOUT: &str = "nats";

/// Longest wait for an answer of JetStream: a denied inbox is known by then, and three questions fit into the bound.
const ANSWER: Duration = Duration::from_millis(2_500);

/// A connection, and what the server denied on it.
struct Session {
    client: Client,
    context: Context,
    permissions: Arc<Permissions>,
}

/// The results about NATS.
pub(super) async fn check(config: &Config, deadline: Deadline, clocks: &Clocks) -> Vec<CheckResult> {
    let checked = match deadline.of(ABOUT, connect(config)).await {
        Ok(Ok(session)) => deadline.of(ABOUT, look(config, &session, clocks)).await,
        Ok(Err(result)) | Err(result) => Err(result),
    };
    clocks.nats.set(None);
    checked.unwrap_or_else(|result| vec![result])
}

async fn connect(config: &Config) -> Result<Session, CheckResult> {
    let permissions = Permissions::new(Metrics::new(), None);
    let observers = Observers { readiness: None, permissions: Some(permissions.clone()) };
    let log = Logger::root(Discard, o!());
    let client = attempt(&config.nats, "doctor", observers, &log).await.map_err(|error| match error {
        AttemptError::Settings(why) => CheckResult::err(ABOUT, why.to_string(), "correct the setting"),
        AttemptError::Refused(why) => CheckResult::away(
            ABOUT,
            format!("no connection: {why}"),
            "check NATS_URL, the log-in (NATS_USER, NATS_TOKEN, NATS_CREDS_FILE, ..) and that the server runs",
        ),
    })?;
    let mut context = jetstream::new(client.clone());
    context.set_timeout(ANSWER);
    Ok(Session { client, context, permissions })
}

async fn look(config: &Config, session: &Session, clocks: &Clocks) -> Vec<CheckResult> {
    let mut results = server::check(config, session).await;
    if results.iter().any(|result| result.about == server::JETSTREAM && result.level == Level::Err) {
        return results;
    }
    let clock = async { clocks.nats.set(clock::ahead(session).await) };
    let (streams, consumers, ()) =
        tokio::join!(streams::check(config, session), consumers::check(config, session), clock);
    // Last: by now the server has answered, or has denied, what came before.
    results.extend(permissions::check(config, session).await);
    results.extend(streams);
    results.extend(consumers);
    results
}
