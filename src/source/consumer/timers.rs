//! Periodic work: in-progress acks, deadlines, the connection, and the consumer's state.

use std::time::Duration;

use actix::prelude::*;
use async_nats::Subject;
use slog::info;

use super::actor::{Consumer, Stage};

/// The timer's period.
const TICK: Duration = Duration::from_millis(200);
/// Without an answer for this long the lane is bound again.
const SILENCE: Duration = Duration::from_secs(12);
/// Period of reading the consumer's state: well within the time that an answer is valid, so that acks do not wait for one.
const READ_STATE_EVERY: Duration = Duration::from_millis(700);

impl Consumer {
    /// Starts the periodic work.
    pub(super) fn start_timer(&self, ctx: &mut Context<Self>) {
        ctx.run_interval(TICK, |consumer, ctx| consumer.tick(ctx));
    }

    fn tick(&mut self, ctx: &mut Context<Self>) {
        let now_ms = self.now_ms();
        if now_ms.saturating_sub(self.state_requested_ms) >= READ_STATE_EVERY.as_millis() as u64 {
            self.read_state(ctx);
        }
        self.watch_connection(now_ms, ctx);
        if self.may_send() {
            self.extend_ack_wait(now_ms);
            self.nack_overdue(now_ms);
        }
        self.retry_due(now_ms);
        self.pulls.expire(now_ms);
        self.pull();
        self.show_condition();
        self.parts.spawn.metrics.consumers.window_bytes.set(self.lane, self.in_flight.bytes());
        self.parts.spawn.actor_guard.progress();
    }

    /// Extends the `ack_wait` of what is in flight. Skipped while earlier acks are unsent: a client that cannot send would
    /// accumulate them.
    fn extend_ack_wait(&mut self, now_ms: u64) {
        let (Some(binding), Some(acks)) = (&self.binding, &self.acks) else { return };
        if !acks.all_sent() {
            return;
        }
        let third = (binding.terms.ack_wait.as_millis() as u64 / 3).max(1);
        let due: Vec<Subject> = self.in_flight.touch_due(now_ms, third).map(|entry| entry.reply.clone()).collect();
        acks.in_progress(due);
    }

    /// Binds again after a reconnect, since the broker forgets pull requests with their connection, and after silence.
    fn watch_connection(&mut self, now_ms: u64, ctx: &mut Context<Self>) {
        let is_new = self.connection.is_replaced();
        if !self.connection.is_current() {
            self.distrust();
        }
        match self.stage {
            Stage::Binding => {}
            Stage::Draining => self.connection.bind(),
            Stage::Bound if is_new => {
                info!(self.parts.spawn.log, "binding again"; "why" => "reconnected");
                self.bind(ctx);
            }
            Stage::Bound => {
                let silence = now_ms.saturating_sub(self.last_answer_ms);
                if self.pulls.is_open() && silence > SILENCE.as_millis() as u64 {
                    info!(self.parts.spawn.log, "binding again"; "why" => "the broker is silent");
                    self.condition.silent = true;
                    self.bind(ctx);
                }
            }
        }
    }
}
