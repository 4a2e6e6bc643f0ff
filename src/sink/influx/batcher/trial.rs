//! Fields that are tried alone, each in a line of its own: which of them have columns. A request of such lines is a part of
//! points that are written anyway, so it needs no owner, and a line of it that is refused costs nothing.

use std::collections::VecDeque;
use std::time::Instant;

use actix::prelude::*;
use bytes::Bytes;

use super::Batcher;
use super::outcome::POISON_SUSPECT_AFTER;
use crate::sink::influx::breaker::Round;
use crate::sink::influx::classify::{Cause, RefusedLine, WriteOutcome};
use ingest_core::influx::columns::Trial;

/// Most fields that are tried in one request.
const MOST_AT_ONCE: usize = 1_000;

/// A tenant's trials.
#[derive(Debug, Default)]
pub(super) struct Trials {
    /// Each is one request.
    waiting: VecDeque<Vec<Trial>>,
    is_under_way: bool,
    /// Whether points wait for what they tell.
    is_awaited: bool,
    /// Requests in a row that have failed, and what was written before the first of them.
    failures: u32,
    written_before: u64,
}

impl Trials {
    /// Fields that were left out for a while: nobody waits for what they tell.
    pub(super) fn add_due(&mut self, trials: Vec<Trial>) {
        if !trials.is_empty() {
            self.waiting.push_back(trials);
        }
    }

    /// Whether points wait.
    pub(super) fn are_awaited(&self) -> bool {
        self.is_awaited && (self.is_under_way || self.are_waiting())
    }

    /// Whether there are some to be sent.
    pub(super) fn are_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }
}

impl Batcher {
    /// A table is full, and these lines bring a column too many: tries their fields that nothing is known of. Whether
    /// something will be learned of the lines by that.
    pub(super) fn try_fields<'a>(&mut self, lines: impl Iterator<Item = &'a str>, now: Instant) -> bool {
        let (mut trials, mut is_open) = (Vec::new(), false);
        for line in lines {
            if trials.len() < MOST_AT_ONCE {
                trials.extend(self.fitting.columns.trials(line, now));
            }
            is_open = is_open || self.fitting.columns.has_open(line);
        }
        if !trials.is_empty() {
            self.trials.waiting.push_back(trials);
        }
        self.trials.is_awaited |= is_open;
        is_open
    }

    /// Sends the next trials, one request at a time.
    pub(super) fn send_trials(&mut self, now: Instant, ctx: &mut Context<Self>) {
        if self.trials.is_under_way || self.breaker.permits(now, usize::MAX) <= self.requests.len() {
            return;
        }
        let Some(trials) = self.trials.waiting.pop_front() else {
            self.trials.is_awaited = false;
            return;
        };
        self.trials.is_under_way = true;
        let (request, round) = (self.request_begins(now), self.breaker.round());
        let body: String = trials.iter().flat_map(|trial| [trial.line.as_str(), "\n"]).collect();
        let answer = self.parts.target.clone().write(Bytes::from(body), trials.len());
        ctx.spawn(answer.into_actor(self).map(move |outcome, this, ctx| {
            this.trials.is_under_way = false;
            this.request_ends(request, now, &outcome);
            this.trials_answered(trials, round, now, outcome);
            this.pump(ctx);
        }));
    }

    fn trials_answered(&mut self, trials: Vec<Trial>, round: Round, sent: Instant, outcome: WriteOutcome) {
        let now = Instant::now();
        match outcome {
            WriteOutcome::Failed { kind, message } => {
                self.failed(round, sent, kind, message);
                return self.trials_failed(trials, now);
            }
            WriteOutcome::Written => trials.iter().for_each(|trial| self.has_column(trial, now)),
            WriteOutcome::Refused { lines, rest_written } => self.learn_named(trials, lines, rest_written, now),
            WriteOutcome::Halve { .. } if trials.len() > 1 => self.halve_trials(trials),
            WriteOutcome::Halve { cause, .. } => {
                trials.iter().for_each(|trial| self.learn_refusal(trial, cause.clone(), now))
            }
        }
        self.trials.failures = 0;
        self.answered(round);
    }

    fn learn_named(&mut self, trials: Vec<Trial>, refused: Vec<RefusedLine>, rest_written: bool, now: Instant) {
        let (mut refused, mut again) = (refused.into_iter().peekable(), Vec::new());
        for (index, trial) in trials.into_iter().enumerate() {
            match refused.next_if(|line| line.index == index) {
                Some(line) => self.learn_refusal(&trial, line.cause, now),
                None if rest_written => self.has_column(&trial, now),
                None => again.push(trial),
            }
        }
        if !again.is_empty() {
            self.trials.waiting.push_front(again);
        }
    }

    /// A field was refused: its column is not as it was taken to be.
    fn learn_refusal(&mut self, trial: &Trial, cause: Cause, now: Instant) {
        let columns = &mut self.fitting.columns;
        match cause {
            Cause::NoColumn => columns.missing(trial, now),
            Cause::Type(conflict) => {
                if conflict.column != trial.column {
                    columns.inconclusive(trial);
                }
                columns.conflict(&trial.table, conflict, now);
            }
            Cause::NoTable => columns.inconclusive(trial),
            // Its point is refused for the same reason, and is told so itself.
            Cause::Line => columns.there(trial, now),
        }
    }

    fn has_column(&mut self, trial: &Trial, now: Instant) {
        self.fitting.columns.there(trial, now);
        self.logged.columns.forget(&trial.column);
    }

    /// Nothing is known of these fields: points that need them are refused, and ask again. Where other requests succeed
    /// meanwhile, again and again, one of the fields is taken for the cause: it is found by halves, and left out.
    fn trials_failed(&mut self, trials: Vec<Trial>, now: Instant) {
        if self.trials.failures == 0 {
            self.trials.written_before = self.written;
        }
        self.trials.failures += 1;
        if self.trials.failures < POISON_SUSPECT_AFTER || self.written == self.trials.written_before {
            let waiting = std::mem::take(&mut self.trials.waiting);
            trials.iter().chain(waiting.iter().flatten()).for_each(|trial| self.fitting.columns.inconclusive(trial));
        } else if trials.len() > 1 {
            self.halve_trials(trials);
        } else {
            trials.iter().for_each(|trial| self.fitting.columns.assume_missing(trial, now));
            self.trials.failures = 0;
        }
    }

    fn halve_trials(&mut self, mut trials: Vec<Trial>) {
        let second = trials.split_off(trials.len() / 2);
        self.trials.waiting.push_front(second);
        self.trials.waiting.push_front(trials);
    }
}
