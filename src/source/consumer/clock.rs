//! What a consumer does by the clock: words to the broker, deadlines, a look at the connection and at the lag.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix::prelude::*;
use async_nats::Subject;
use slog::{info, warn};

use super::{Consumer, Stage};
use crate::core::disposition::Disposition;
use crate::health::Part;
use crate::source::lag;

/// Without a sign for so long the binding is made anew.
const SILENCE: Duration = Duration::from_secs(12);
/// How often the consumer's state is read.
const LAG_EVERY: Duration = Duration::from_secs(2);

impl Consumer {
    pub(super) fn tick(&mut self, ctx: &mut Context<Self>) {
        let now_ms = self.now_ms();
        if let Stage::Bound(binding) = &self.stage {
            let third = (binding.ack_wait.as_millis() as u64 / 3).max(1);
            let may_hand_back = binding.unlimited_deliveries;
            let due: Vec<Subject> = self.in_flight.touch_due(now_ms, third).map(|entry| entry.reply.clone()).collect();
            if let Some(acks) = &self.acks {
                acks.in_progress(due);
            }
            if may_hand_back {
                self.hand_back_overdue(now_ms);
            }
            self.watch_connection(now_ms, ctx);
        }
        self.pulls.expire(now_ms);
        self.pull();
        self.observe_lag(now_ms, ctx);
    }

    /// A delivery held past the bound goes back, for another replica to try.
    fn hand_back_overdue(&mut self, now_ms: u64) {
        let overdue = self.in_flight.hand_back_overdue(now_ms, self.parts.config.hold_secs * 1_000);
        if overdue.is_empty() {
            return;
        }
        warn!(self.parts.log, "handed back deliveries held past the bound"; "deliveries" => overdue.len());
        {
            let mut ledger = self.parts.metrics.ledgers.lane(self.lane);
            ledger.in_flight -= overdue.len() as u64;
            ledger.nacked += overdue.len() as u64;
        }
        let settled =
            overdue.into_iter().map(|entry| (entry.reply, Disposition::Nak(self.retry_delay(entry.attempt)))).collect();
        self.tell(settled);
    }

    /// The broker forgets pull requests with the connection they came on, and says nothing when it goes.
    fn watch_connection(&mut self, now_ms: u64, ctx: &mut Context<Self>) {
        let silent = self.pulls.is_open() && now_ms.saturating_sub(self.last_sign_ms) > SILENCE.as_millis() as u64;
        if silent || self.connects_so_far() != self.connects {
            let why = if silent { "the broker is silent" } else { "reconnected" };
            info!(self.parts.log, "binding anew"; "why" => why);
            if silent {
                self.parts.health.down(Part::Consumer(self.lane), why);
            }
            self.bind(ctx);
        }
    }

    fn observe_lag(&mut self, now_ms: u64, ctx: &mut Context<Self>) {
        let Stage::Bound(binding) = &self.stage else { return };
        if now_ms.saturating_sub(self.last_lag_ms) < LAG_EVERY.as_millis() as u64 {
            return;
        }
        self.last_lag_ms = now_ms;
        let (lane, consumer, newest_us) = (self.lane, binding.consumer.clone(), self.newest_us);
        let metrics = self.parts.metrics.clone();
        let observed = async move { lag::observe(lane, consumer, newest_us, now_us(), &metrics).await };
        // A failed reading shows as a stale gauge; the lane's own signs of life decide about its health.
        ctx.spawn(observed.into_actor(self).map(|_, _, _| ()));
    }
}

/// The wall clock, Unix microseconds; for the lag only, never for what is stored.
fn now_us() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64)
}
