//! The broker's clock: what it says with an answer (from 2.10 on), or with the advisory about one.

use std::time::Duration;

use futures_util::StreamExt;
use serde::Deserialize;

use super::Session;
use crate::app::preflight::clock;
use crate::delivery::Lane;
use crate::nats::provision::answered_at;
use crate::nats::stored::unix_us;

/// Where the server reports every answered request of the API, with its time.
const ADVISORIES: &str = "$JS.EVENT.ADVISORY.API";

/// Longest wait for an advisory, which may be denied.
const WAIT: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
struct Advisory {
    timestamp: String,
}

/// By how much the broker's clock is ahead, microseconds; `None` where it does not show it.
pub(super) async fn ahead(session: &Session) -> Option<i64> {
    let mut advisories = session.client.subscribe(ADVISORIES).await.ok()?;
    let asked_us = clock::now_us();
    let answer = answered_at(&session.context, Lane::TELEMETRY.stream()).await.ok()?;
    let time = match answer {
        Some(time) => time,
        None => {
            let message = tokio::time::timeout(WAIT, advisories.next()).await.ok()??;
            serde_json::from_slice::<Advisory>(&message.payload).ok()?.timestamp
        }
    };
    Some(clock::ahead(asked_us, unix_us(&time).ok()?, clock::now_us()))
}
