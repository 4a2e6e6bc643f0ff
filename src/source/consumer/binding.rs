//! How a consumer comes by its stream and consumer, and by new ones when it loses them.

use std::time::Duration;

use actix::prelude::*;
use async_nats::{Message as NatsMessage, StatusCode};
use slog::{error, info, warn};

use super::{Consumer, Stage};
use crate::core::backoff::delay_for_attempt;
use crate::health::Part;
use crate::source::connect::{BindError, Binding, bind};
use crate::source::inlet::{Inlet, request_of};

impl Consumer {
    /// Finds or makes stream, consumer and inlet; tries again for as long as it takes.
    pub(super) fn bind(&mut self, ctx: &mut Context<Self>) {
        self.stage = Stage::Binding;
        self.pulls.clear();
        self.connects = self.connects_so_far();
        let (client, config, lane) = (self.parts.client.clone(), self.parts.config.clone(), self.lane);
        let (addr, has_inlet) = (ctx.address(), self.inlet.is_some());
        let attempt = async move {
            let binding = bind(&client, lane, &config).await?;
            let inlet = match has_inlet {
                true => None,
                false => Some(Inlet::open(&client, addr).await.map_err(BindError::Unavailable)?),
            };
            Ok((binding, inlet))
        };
        ctx.spawn(attempt.into_actor(self).map(|outcome, consumer, ctx| consumer.bound(outcome, ctx)));
    }

    fn bound(&mut self, outcome: Result<(Binding, Option<Inlet>), BindError>, ctx: &mut Context<Self>) {
        if matches!(self.stage, Stage::Draining) {
            return;
        }
        match outcome {
            Ok((binding, inlet)) => {
                self.bind_attempt = 0;
                self.inlet = inlet.or(self.inlet.take());
                self.note_differences(&binding);
                self.parts.health.up(Part::Consumer(self.lane));
                info!(self.parts.log, "consumer bound"; "ack_wait_secs" => binding.ack_wait.as_secs());
                self.stage = Stage::Bound(Box::new(binding));
                self.last_sign_ms = self.now_ms();
                self.pull();
            }
            Err(error) => {
                self.bind_attempt += 1;
                let delay = delay_for_attempt(self.bind_attempt, Duration::from_millis(200), Duration::from_secs(5));
                match &error {
                    BindError::Unfit(why) => error!(self.parts.log, "consumer unfit"; "why" => why),
                    BindError::Unavailable(why) => warn!(self.parts.log, "consumer not bound"; "error" => why),
                }
                self.parts.health.down(Part::Consumer(self.lane), error.to_string());
                ctx.run_later(delay, |consumer, ctx| consumer.rebind(ctx));
            }
        }
    }

    fn rebind(&mut self, ctx: &mut Context<Self>) {
        if !matches!(self.stage, Stage::Draining) {
            self.bind(ctx);
        }
    }

    fn note_differences(&self, binding: &Binding) {
        let health = &self.parts.health;
        if binding.differences.is_empty() {
            return health.clear_note(self.lane.consumer());
        }
        let differences = binding.differences.join("; ");
        warn!(self.parts.log, "consumer differs from what is recommended"; "differences" => &differences);
        health.note(self.lane.consumer(), differences);
    }

    /// A status word of the broker about a pull request.
    pub(super) fn status(&mut self, status: StatusCode, message: &NatsMessage, ctx: &mut Context<Self>) {
        if status == StatusCode::IDLE_HEARTBEAT {
            return;
        }
        if let Some(id) = request_of(message) {
            self.pulls.ended(id);
        }
        let words = message.description.as_deref().unwrap_or_default();
        let is_gone = status == StatusCode::NO_RESPONDERS
            || status == StatusCode::REQUEST_TERMINATED && (words.contains("Deleted") || words.contains("Shutdown"));
        // Ordinary ends of a request (timeout, bytes full) need no word.
        if is_gone && matches!(self.stage, Stage::Bound(_)) {
            warn!(self.parts.log, "consumer lost; binding anew"; "status" => status.as_u16(), "words" => words);
            self.parts.health.down(Part::Consumer(self.lane), format!("lost: {words}"));
            self.stage = Stage::Binding;
            self.pulls.clear();
            ctx.run_later(Duration::from_millis(250), |consumer, ctx| consumer.rebind(ctx));
        }
    }
}
