//! Sending, many messages ahead of their answers.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use slog::{Logger, info};
use tokio::time::{Instant, sleep_until};

use crate::commands::simulate::SimulateError;
use crate::commands::simulate::generate::Simulated;
use crate::commands::simulate::summary::Summary;
use crate::runtime::signals::Signals;

/// How often progress is logged.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

/// What became of a message on its way in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SendOutcome {
    /// A stream has it.
    Taken,
    /// The way in refused it, with this code.
    Refused(String),
}

/// The answer to one message.
pub(crate) type Answer = LocalBoxFuture<'static, Result<SendOutcome, SimulateError>>;

/// Something that takes messages.
pub(crate) trait Way {
    /// Messages on their way at once.
    const WINDOW: usize;

    /// Sends one; ready when it is on its way, with its answer to come.
    fn send(&self, message: &Simulated) -> impl Future<Output = Result<Answer, SimulateError>>;
}

/// How sending ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Every message has its answer.
    Complete,
    /// A signal came first.
    Interrupted,
}

/// How fast, and who may end it.
pub(crate) struct Pace<'a> {
    /// Messages per second, 0 = no limit.
    pub rate: u32,
    /// Ctrl-C.
    pub signals: &'a mut Signals,
    /// Where progress is logged.
    pub log: &'a Logger,
}

/// Sends until the messages end or a signal comes. The summary holds what was answered, also where it ended early.
///
/// # Errors
/// The way in does not take them, or an answer is none that the message should have.
pub(crate) async fn send_all<W: Way>(
    way: &W,
    messages: impl Iterator<Item = Simulated>,
    pace: Pace<'_>,
    summary: &mut Summary,
) -> Result<Ended, SimulateError> {
    let Pace { rate, signals, log } = pace;
    let mut ended = Ended::Complete;
    let mut interrupted = pin!(signals.stop());
    let mut open = FuturesUnordered::new();
    let started = Instant::now();
    let mut next_word = started + PROGRESS_EVERY;
    for (number, message) in messages.enumerate() {
        if rate > 0 {
            let due = started + Duration::from_secs_f64(number as f64 / f64::from(rate));
            // Answers are taken in meanwhile.
            let wait = async {
                let mut due = pin!(sleep_until(due));
                loop {
                    tokio::select! {
                        () = &mut due => return Ok(()),
                        Some((message, answer)) = open.next() => summary.count(&message, answer)?,
                    }
                }
            };
            match stop_or(&mut interrupted, wait).await {
                Some(waited) => waited?,
                None => {
                    ended = Ended::Interrupted;
                    break;
                }
            }
        }
        let Some(sent) = stop_or(&mut interrupted, way.send(&message)).await else {
            ended = Ended::Interrupted;
            break;
        };
        let answer = sent?;
        open.push(async move { (message, answer.await) });
        while open.len() >= W::WINDOW {
            if let Some((message, answer)) = open.next().await {
                summary.count(&message, answer)?;
            }
        }
        if Instant::now() >= next_word {
            next_word += PROGRESS_EVERY;
            info!(log, "publishing"; "published" => summary.published, "rate" => summary.published / started.elapsed().as_secs().max(1));
        }
    }
    while let Some((message, answer)) = open.next().await {
        summary.count(&message, answer)?;
    }
    Ok(ended)
}

/// What `work` answers, unless a signal comes first.
pub(super) async fn stop_or<T>(interrupted: &mut (impl Future + Unpin), work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        // Asked first: work that is always ready at once would never let it be heard.
        biased;
        _ = interrupted => None,
        done = work => Some(done),
    }
}
