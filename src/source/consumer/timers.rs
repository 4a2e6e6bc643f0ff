//! What a consumer does by the clock: signs of life to the broker, deadlines, a look at the connection and at its own state.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix::prelude::*;
use async_nats::Subject;
use async_nats::connection::State;
use slog::info;

use super::{Consumer, Stage};

/// The clockwork.
pub(super) const TICK: Duration = Duration::from_millis(200);
/// Without a sign for so long the binding is made anew.
const SILENCE: Duration = Duration::from_secs(12);
/// How often the consumer's state is read: well within the time that an answer counts, so that nothing waits for one.
const ASK_EVERY: Duration = Duration::from_millis(700);

impl Consumer {
    pub(super) fn tick(&mut self, ctx: &mut Context<Self>) {
        let now_ms = self.now_ms();
        if now_ms.saturating_sub(self.asked_ms) >= ASK_EVERY.as_millis() as u64 {
            self.ask(ctx);
        }
        self.watch_connection(now_ms, ctx);
        if self.may_send() {
            self.keep_alive(now_ms);
            self.nack_overdue(now_ms);
        }
        self.retry_due(now_ms);
        self.pulls.expire(now_ms);
        self.pull();
        self.show_condition();
        self.parts.spawn.metrics.consumers.window_bytes.of(self.lane).set(self.in_flight.bytes() as i64);
        self.parts.spawn.actor_guard.progress();
    }

    /// Tells the broker what is still being worked on. None of it waits behind another: a client that can't send would
    /// pile it up.
    fn keep_alive(&mut self, now_ms: u64) {
        let (Some(binding), Some(acks)) = (&self.binding, &self.acks) else { return };
        if !acks.all_sent() {
            return;
        }
        let third = (binding.terms.ack_wait.as_millis() as u64 / 3).max(1);
        let due: Vec<Subject> = self.in_flight.touch_due(now_ms, third).map(|entry| entry.reply.clone()).collect();
        acks.in_progress(due);
    }

    /// The broker forgets pull requests with the connection they came on, and says nothing when it goes.
    fn watch_connection(&mut self, now_ms: u64, ctx: &mut Context<Self>) {
        let is_new = self.connects_so_far() != self.connects;
        if is_new || self.parts.client.connection_state() != State::Connected {
            self.doubt();
        }
        match self.stage {
            Stage::Binding => {}
            Stage::Draining => self.connects = self.connects_so_far(),
            Stage::Bound if is_new => {
                info!(self.parts.spawn.log, "binding again"; "why" => "reconnected");
                self.bind(ctx);
            }
            Stage::Bound => {
                let silence = now_ms.saturating_sub(self.last_sign_ms);
                if self.pulls.is_open() && silence > SILENCE.as_millis() as u64 {
                    info!(self.parts.spawn.log, "binding again"; "why" => "the broker is silent");
                    self.condition.silent = true;
                    self.bind(ctx);
                }
            }
        }
    }
}

/// The wall clock, Unix microseconds; for the lag only, never for what is stored.
pub(super) fn now_us() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64)
}
