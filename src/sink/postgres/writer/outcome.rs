//! What becomes of a batch after an attempt.

use std::time::{Duration, Instant};

use actix::{AsyncContext, Context};
use slog::{error, warn};

use super::backlog::{ISOLATED_SIZE, Role};
use super::{Flush, Writer};
use crate::metrics::FlushResult;
use crate::postgres::classify::{Cause, Failure, Meaning, ServerError};
use crate::runtime::failpoint;
use crate::sink::postgres::batch::{PutOff, WriteMode};
use crate::sink::postgres::kinds::{Item, Kind, Stored, each_kind};
use crate::sink::postgres::quarantine::{CountedFor, Known, PendingQuarantine, Traces};
use crate::sink::postgres::row::Row;
use ingest_core::message::rejection::Reason;

/// Attempts of a whole batch that meet trouble of the server's own: a deadlock passes with the next one. Then its parts are
/// tried, for it may be one row's doing.
const WHOLE_ATTEMPTS: u64 = 3;

/// What takes longer is no deadlock that passes with the next attempt.
const PASSING: Duration = Duration::from_secs(5);

impl Writer {
    /// The batch is durable, but for what it put off.
    pub(super) fn stored(&mut self, mut flush: Flush, mut stored: Stored) {
        failpoint::pass("writer-committed");
        let put_off = std::mem::take(&mut flush.batch.put_off);
        let has_stored = !flush.batch.is_empty();
        self.count(&flush, &stored, put_off.iter().any(|put_off| put_off.is_general));
        self.rejections.add(&flush.batch.items.rejections, Instant::now());
        self.end(&flush, put_off);
        if has_stored {
            self.successes += 1;
            self.faults.stored(&self.backlog);
        }
        let mut forwarding = self.parts.downstream.begin(flush.batch.has_unknown_end);
        each_kind!(I, {
            let (items, stored) = (I::among_mut(&mut flush.batch.items), I::among_mut(&mut stored));
            I::forward(std::mem::take(items), std::mem::take(stored), &mut forwarding);
        });
        forwarding.send();
    }

    pub(super) fn failed(&mut self, mut flush: Flush, failure: Failure, ctx: &mut Context<Self>) {
        let write_mode = flush.batch.write_mode;
        match failure {
            // Whatever became of this attempt, it may have stored the batch.
            Failure::Away(words) => {
                flush.batch.has_unknown_end = true;
                if flush.backoff.failures() + 1 < WHOLE_ATTEMPTS || flush.successes == self.successes {
                    self.faults.outage(&words);
                    self.retry_later(flush, ctx);
                } else {
                    self.halve(flush, words);
                }
            }
            Failure::Answered(answer) if write_mode == WriteMode::CopyDirect && answer.is_duplicate() => {
                flush.batch.write_mode = WriteMode::CopyStaged;
                self.attempt(flush, ctx);
            }
            Failure::Answered(answer) if write_mode == WriteMode::Bisect => self.put_off_all(flush, &answer),
            Failure::Answered(answer)
                if answer.meaning == Meaning::NotNow && flush.backoff.failures() + 1 < WHOLE_ATTEMPTS =>
            {
                if flush.began.elapsed() > PASSING {
                    self.faults.outage(&answer.message);
                }
                self.retry_later(flush, ctx);
            }
            Failure::Answered(_) => {
                self.release(&flush.role, flush.items);
                self.backlog.bisect(flush.batch, ISOLATED_SIZE);
            }
        }
    }

    /// Gets no answer while others do: something in it may take for ever, a trigger's lock or loop.
    fn halve(&mut self, flush: Flush, words: String) {
        match flush.items {
            1 => {
                let cause = Cause::default();
                self.put_off_all(flush, &ServerError { meaning: Meaning::Refused, cause, at: None, message: words });
            }
            items => {
                self.release(&flush.role, flush.items);
                self.backlog.attempted(&flush.role, false, &mut self.queue, Instant::now());
                self.backlog.bisect(flush.batch, ISOLATED_SIZE.min(items.div_ceil(2)));
            }
        }
    }

    /// Keeps the transaction's place: everything else would meet the same.
    fn retry_later(&mut self, mut flush: Flush, ctx: &mut Context<Self>) {
        self.parts.spawn.metrics.postgres.flushes.of(FlushResult::Failed).inc();
        flush.batch.write_mode = flush.batch.write_mode.max(WriteMode::CopyStaged);
        let delay = flush.backoff.next(fastrand::f64());
        ctx.run_later(delay, |writer, ctx| writer.attempt(flush, ctx));
    }

    /// Nothing of a part is stored, for a reason that is no row's as far as anyone can tell.
    fn put_off_all(&mut self, mut flush: Flush, answer: &ServerError) {
        self.parts.spawn.metrics.postgres.flushes.of(FlushResult::Failed).inc();
        let is_general = answer.meaning != Meaning::Refused;
        let mut put_off = Vec::new();
        for kind in Kind::ALL {
            if let Some(batch) = flush.batch.take_kind(kind) {
                put_off.push(PutOff { kind, is_general, answer: answer.clone(), batch });
            }
        }
        self.end(&flush, put_off);
    }

    /// Gives the transaction's place away and keeps what was put off.
    fn end(&mut self, flush: &Flush, put_off: Vec<PutOff>) {
        self.release(&flush.role, flush.items);
        let now = Instant::now();
        let is_held_still = match flush.role {
            Role::Trial(kind) => put_off.iter().any(|put_off| put_off.is_general && put_off.kind == kind),
            _ => false,
        };
        for put_off in put_off {
            let (kind, is_general, answer) = (put_off.kind, put_off.is_general, put_off.answer.clone());
            if !is_general && self.drained.is_awaited() {
                // Its deliveries come again: a drain must not wait for what is not taken.
                continue;
            }
            let is_new = self.backlog.put_off(put_off, &flush.role, &mut self.queue, now);
            match is_general {
                true if is_new => self.faults.held(kind, &answer),
                true => {}
                false => self.faults.suspected(kind, &answer),
            }
        }
        self.backlog.attempted(&flush.role, is_held_still, &mut self.queue, now);
        self.faults.show(&self.backlog);
    }

    fn count(&self, flush: &Flush, stored: &Stored, has_failed: bool) {
        let (items, metrics) = (&flush.batch.items, &self.parts.spawn.metrics.postgres);
        each_kind!(I, { I::count(I::among(items), I::among(stored), metrics) });
        metrics.flush_seconds.observe(flush.began.elapsed().as_secs_f64());
        let has_refused = self.count_rejections(&items.rejections);
        let result = match (has_failed, has_refused) {
            (true, _) => FlushResult::Failed,
            (false, true) => FlushResult::Partial,
            (false, false) => FlushResult::Ok,
        };
        metrics.flushes.of(result).inc();
    }

    /// Counts and logs what became of rejections; whether PostgreSQL has refused any item of the batch.
    fn count_rejections(&self, rejections: &[PendingQuarantine]) -> bool {
        let (mut refused, mut rows, mut only_counted, mut dropped) = (None, 0, 0, 0);
        for one in rejections {
            if one.known == Known::Row {
                self.parts.spawn.metrics.postgres.rejections_of_stored_rows.inc();
                continue;
            }
            let reason = one.refusal.rejection.reason;
            if reason == Reason::RowRefused {
                rows += 1;
                refused = refused.or(Some(&one.refusal));
            } else if one.traces == Traces::RejectionOrRow {
                // Only now it is known that it is one.
                self.parts.spawn.metrics.validation.rejections.of(reason).inc();
            }
            only_counted += u64::from(one.is_only_counted);
            dropped += u64::from(one.counted_for == CountedFor::Nobody);
        }
        if let Some(first) = refused {
            self.parts.spawn.metrics.validation.rejections.of(Reason::RowRefused).inc_by(rows);
            warn!(self.parts.spawn.log, "postgresql refused rows, they are in the quarantine";
                "rows" => rows, "first_error" => %first.rejection.detail,
                "first_tenant" => first.tenant_id.as_deref(), "first_device" => first.device_id.as_deref());
        }
        if only_counted > 0 {
            error!(self.parts.spawn.log, "the quarantine can't hold some refusals, they are only counted"; "count" => only_counted);
        }
        if dropped > 0 {
            self.parts.spawn.metrics.postgres.quarantine_dropped.inc_by(dropped);
            error!(self.parts.spawn.log, "postgresql can't even count some refusals, they are dropped"; "count" => dropped);
        }
        refused.is_some()
    }
}
