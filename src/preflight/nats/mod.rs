//! NATS: connection, server, permissions, streams and consumers.

mod clock;
mod consumers;
mod permissions;
mod server;
mod streams;

use std::sync::Arc;
use std::time::Duration;

use async_nats::Client;
use async_nats::jetstream::{self, Context};
use slog::{Discard, Logger, o};

use super::clock::Clocks;
use super::deadline::Deadline;
use super::finding::Finding;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::nats::connect::{AttemptError, Observers, attempt};
use crate::nats::permissions::Permissions;

/// What a finding about the connection is about.
const ABOUT: &str = "nats";

/// Longest wait for an answer of JetStream: a denied inbox is known by then, and two questions fit into the bound.
const ANSWER: Duration = Duration::from_secs(3);

/// A connection, and what the server denied on it.
struct Session {
    client: Client,
    context: Context,
    permissions: Arc<Permissions>,
}

/// The findings about NATS.
pub(super) async fn check(config: &Config, deadline: Deadline, clocks: &Clocks) -> Vec<Finding> {
    let checked = match deadline.of(ABOUT, connect(config)).await {
        Ok(Ok(session)) => deadline.of(ABOUT, look(config, &session, clocks)).await,
        Ok(Err(finding)) | Err(finding) => Err(finding),
    };
    clocks.nats.set(None);
    checked.unwrap_or_else(|finding| vec![finding])
}

async fn connect(config: &Config) -> Result<Session, Finding> {
    let permissions = Permissions::new(Metrics::new());
    let observers = Observers { readiness: None, permissions: Some(permissions.clone()) };
    let log = Logger::root(Discard, o!());
    let client = attempt(&config.nats, "doctor", observers, &log).await.map_err(|error| match error {
        AttemptError::Settings(why) => Finding::err(ABOUT, why, "mend the setting"),
        AttemptError::Refused(why) => Finding::away(
            ABOUT,
            format!("no connection: {why}"),
            "check NATS_URL, the log-in (NATS_USER, NATS_TOKEN, NATS_CREDS_FILE, ..) and that the server runs",
        ),
    })?;
    let mut context = jetstream::new(client.clone());
    context.set_timeout(ANSWER);
    Ok(Session { client, context, permissions })
}

async fn look(config: &Config, session: &Session, clocks: &Clocks) -> Vec<Finding> {
    let mut findings = server::check(session).await;
    if findings.iter().any(|finding| finding.about == server::JETSTREAM && finding.advice.is_some()) {
        return findings;
    }
    let clock = async { clocks.nats.set(clock::ahead(session).await) };
    let (streams, consumers, ()) =
        tokio::join!(streams::check(config, session), consumers::check(config, session), clock);
    // Last: by now the server has answered, or has denied, what came before.
    findings.extend(permissions::check(config, session).await);
    findings.extend(streams);
    findings.extend(consumers);
    findings
}
