//! To the gateway, one request for each message.

use std::time::Duration;

use awc::http::StatusCode;
use awc::http::header::RETRY_AFTER;
use awc::{Client, Connector};
use bytes::Bytes;
use futures_util::FutureExt;
use serde::Deserialize;
use tokio::time::{Instant, sleep};

use super::send::{Answer, SendOutcome, Way};
use crate::commands::simulate::SimulateError;
use crate::commands::simulate::generate::Simulated;

/// Requests at once, each on a connection of its own.
const WINDOW: usize = 64;
/// A message that the gateway does not take within this time ends the simulation.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bound on one answer.
const ANSWER_BOUND: Duration = Duration::from_secs(15);
/// Most bytes of an answer that are read.
const MOST_BYTES: usize = 64 * 1024;

/// A gateway.
pub(crate) struct Http {
    client: Client,
    /// `http://HOST:PORT`.
    url: String,
}

/// What the gateway answers to a message that it does not take.
#[derive(Deserialize)]
struct ErrorAnswer {
    reason: String,
}

impl Http {
    /// The gateway at this URL.
    pub(crate) fn new(url: &str) -> Self {
        let client = Client::builder()
            .connector(Connector::new().limit(WINDOW))
            .timeout(ANSWER_BOUND)
            .disable_redirects()
            .finish();
        Self { client, url: url.trim_end_matches('/').to_owned() }
    }
}

impl Way for Http {
    const WINDOW: usize = WINDOW;

    async fn send(&self, message: &Simulated) -> Result<Answer, SimulateError> {
        let (path, body) = message.http();
        let request = Request {
            client: self.client.clone(),
            url: format!("{}{path}", self.url),
            token: message.token.clone(),
            // The same for every attempt: a message whose answer got lost is stored once.
            key: format!("simulate-{:016x}", fastrand::u64(..)),
            body: body.into(),
        };
        Ok(request.answered().boxed_local())
    }
}

/// One message until it has its answer.
struct Request {
    client: Client,
    url: String,
    token: String,
    key: String,
    body: Bytes,
}

impl Request {
    async fn answered(self) -> Result<SendOutcome, SimulateError> {
        let end = Instant::now() + PATIENCE;
        loop {
            let (pause, why) = match self.attempt().await {
                Ok(Attempt::Answered(outcome)) => return Ok(outcome),
                Ok(Attempt::NotNow(pause, status)) => (pause, format!("the gateway answers {status}")),
                Err(why) => (Duration::from_secs(1), why),
            };
            if Instant::now() + pause >= end {
                let secs = PATIENCE.as_secs();
                return Err(SimulateError::Unavailable(format!("a message was not taken within {secs} s: {why}")));
            }
            sleep(pause).await;
        }
    }

    async fn attempt(&self) -> Result<Attempt, String> {
        let mut request = self.client.post(&self.url).insert_header(("Idempotency-Key", self.key.as_str()));
        if !self.token.is_empty() {
            request = request.insert_header(("X-Provision-Token", self.token.as_str()));
        }
        let request = request.content_type("application/json");
        let mut response = request.send_body(self.body.clone()).await.map_err(|error| error.to_string())?;
        let status = response.status();
        let pause = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let body = response.body().limit(MOST_BYTES).await.map_err(|error| error.to_string())?;
        Ok(match status {
            StatusCode::ACCEPTED => Attempt::Answered(SendOutcome::Taken),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                Attempt::NotNow(Duration::from_secs(pause.unwrap_or(1)), status)
            }
            _ => {
                let refused = serde_json::from_slice::<ErrorAnswer>(&body);
                Attempt::Answered(SendOutcome::Refused(refused.map_or_else(|_| status.to_string(), |it| it.reason)))
            }
        })
    }
}

/// What came of one request.
enum Attempt {
    Answered(SendOutcome),
    /// To be sent again after a pause.
    NotNow(Duration, StatusCode),
}
