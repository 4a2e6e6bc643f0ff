//! What was sent, and what must become of it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::SimulateError;
use super::generate::Simulated;
use super::via::{SendOutcome, Via};

/// What was published, and what the node should make of it under its default settings and without a rate limit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Summary {
    /// The way in.
    pub via: &'static str,
    /// Messages that a stream has acknowledged.
    pub published: u64,
    /// Those that should become rows.
    pub accepted: u64,
    /// Those that should be refused by the pipeline, by reason.
    pub rejected: BTreeMap<&'static str, u64>,
    /// Messages that the way in has refused, by code; they are in no stream.
    pub refused: BTreeMap<String, u64>,
    /// How long publishing took.
    pub seconds: f64,
    /// Whether this run lifted the rate limit; where it is in force, `RATE_LIMITED` takes its share of `accepted`.
    pub rate_limit_lifted: bool,
    #[serde(skip)]
    way: Via,
}

impl Summary {
    /// Of nothing yet.
    pub(super) fn new(way: Via, rate_limit_lifted: bool) -> Self {
        Self {
            via: way.name(),
            published: 0,
            accepted: 0,
            rejected: BTreeMap::new(),
            refused: BTreeMap::new(),
            seconds: 0.0,
            rate_limit_lifted,
            way,
        }
    }

    /// Counts a message by its answer.
    ///
    /// # Errors
    /// There is none, or not the one that the message should have.
    pub(super) fn count(
        &mut self,
        message: &Simulated,
        answer: Result<SendOutcome, SimulateError>,
    ) -> Result<(), SimulateError> {
        let expected = message.bad.map(|bad| self.way.refusal(bad));
        match (answer?, expected) {
            (SendOutcome::Taken, None) => {
                self.published += 1;
                self.accepted += 1;
            }
            (SendOutcome::Taken, Some(reason)) => {
                self.published += 1;
                *self.rejected.entry(reason).or_default() += 1;
            }
            (SendOutcome::Refused(code), Some(reason)) if code == reason => {
                *self.refused.entry(code).or_default() += 1;
            }
            (SendOutcome::Refused(code), expected) => {
                let (device, expected) = (&message.device.device_id, expected.unwrap_or("nothing"));
                let sentence = format!("a message of {device} was refused with {code}, not with {expected}");
                return Err(SimulateError::Unexpected(sentence));
            }
        }
        Ok(())
    }
}
