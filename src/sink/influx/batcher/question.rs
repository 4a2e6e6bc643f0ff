//! Asking the server which columns there are, before a tenant's points make another one.

use std::time::{Duration, Instant};

use actix::prelude::*;
use slog::debug;

use super::Batcher;
use crate::sink::influx::catalog::Columns;

/// When a server is asked again that could not answer, and one that does not let us ask.
const AGAIN_AFTER_FAILURE: Duration = Duration::from_secs(30);
const AGAIN_AFTER_REFUSAL: Duration = Duration::from_secs(600);

impl Batcher {
    /// Asks; batches wait for the answer. A server that does not tell holds nothing up: names are counted without it then.
    pub(super) fn ask(&mut self, now: Instant, ctx: &mut Context<Self>) {
        self.asked = Some(now);
        let answer = self.parts.target.clone().columns().into_actor(self);
        ctx.spawn(answer.map(move |answer, this, ctx| {
            this.asked = None;
            this.learn_columns(answer, now);
            this.pump(ctx);
        }));
    }

    fn learn_columns(&mut self, answer: Columns, asked: Instant) {
        let now = Instant::now();
        match answer {
            Columns::Are(names) => self.fitting.budget.answered(names.iter().map(String::as_str), now),
            Columns::NoDatabase => {
                self.fitting.columns.clear();
                self.fitting.budget.answered([], now);
            }
            Columns::Refused(why) => {
                debug!(self.parts.log, "influxdb does not tell its columns"; "why" => why);
                self.fitting.budget.unanswered(Some(now + AGAIN_AFTER_REFUSAL));
            }
            Columns::NotNow(why) => {
                debug!(self.parts.log, "influxdb did not tell its columns"; "why" => why);
                self.fitting.budget.unanswered(Some(now + AGAIN_AFTER_FAILURE));
            }
            Columns::Unanswered(why) => {
                debug!(self.parts.log, "influxdb did not tell its columns"; "why" => why);
                self.fitting.budget.unanswered(Some(now + AGAIN_AFTER_FAILURE));
                self.health.unanswered(asked);
            }
        }
    }
}
