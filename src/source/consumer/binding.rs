//! Binding: finds or creates the lane's stream and consumer, and binds again when they are lost.

use std::time::Duration;

use actix::prelude::*;
use slog::{debug, error, info, warn};

use super::actor::{Consumer, Parts, Stage};
use super::request_limits::request_limits;
use crate::delivery::Lane;
use crate::nats::provision::{BindError, Binding, Provisioner};
use crate::runtime::spawn::SpawnContext;
use crate::source::inbox::{Inbox, Receiver};
use ingest_core::flow::backoff::delay_for_attempt;
use ingest_core::flow::identity::{Question, Seen};
use ingest_core::flow::permission::Operation;

/// At every so many attempts to bind, a connection that brings no answers is replaced.
const UNANSWERED_ATTEMPTS: u64 = 4;
/// Pause before the first attempt after a loss: replacing a stream or consumer takes a moment.
const REBIND_AFTER: Duration = Duration::from_millis(250);

impl Consumer {
    /// Finds or creates stream and consumer, and opens an inbox; retries without limit.
    ///
    /// Always a new inbox: requests that the broker still has open are answered to the old one, and end with it.
    pub(super) fn bind(&mut self, ctx: &mut Context<Self>) {
        self.stage = Stage::Binding;
        self.distrust();
        self.pulls.clear();
        self.connection.bind();
        let (number, question) = (self.inboxes.next_number(), self.identity.question());
        let Parts { config, client, spawn: SpawnContext { metrics, log, .. }, .. } = &self.parts;
        let provisioner = Provisioner::new(client, config, metrics, log);
        let receiver = Receiver { arrived: self.own.clone().recipient(), closed: self.own.clone().recipient() };
        let (client, lane) = (client.clone(), self.lane);
        let attempt = async move {
            let binding = provisioner.bind(lane).await?;
            let inbox = Inbox::open(&client, number, receiver).await;
            let inbox = inbox.map_err(|error| BindError::Unavailable(error.to_string()))?;
            Ok((binding, inbox))
        };
        ctx.spawn(attempt.into_actor(self).map(move |outcome, consumer, ctx| consumer.bound(outcome, question, ctx)));
    }

    fn bound(&mut self, outcome: Result<(Binding, Inbox), BindError>, question: Question, ctx: &mut Context<Self>) {
        match outcome {
            Ok((binding, inbox)) => {
                let number = inbox.number;
                self.inboxes.opened(inbox);
                if self.stage == Stage::Draining {
                    self.inboxes.close();
                    return;
                }
                self.recognise(binding, number, question, ctx);
            }
            Err(error) if self.stage == Stage::Draining => {
                info!(self.parts.spawn.log, "consumer not bound while draining"; "error" => %error);
                self.check_drained();
            }
            Err(error) => self.not_bound(&error, ctx),
        }
    }

    fn recognise(&mut self, binding: Binding, inbox: u64, question: Question, ctx: &mut Context<Self>) {
        match self.identity.seen(binding.created.unix_timestamp_nanos(), question, self.now_ms()) {
            // The consumer was lost or distrusted during the look-up.
            Seen::Outdated => return self.bind(ctx),
            Seen::Replaced { before } => {
                self.discard_in_flight(before, binding.created);
                self.inboxes.invalidate_before(inbox);
            }
            Seen::First | Seen::Same => {}
        }
        self.bind_attempt = 0;
        info!(self.parts.spawn.log, "consumer bound"; "ack_wait_secs" => binding.terms.ack_wait.as_secs(),
            "stream_created" => binding.stream_created.to_string(), "consumer_created" => binding.created.to_string());
        self.condition.unbound = None;
        self.condition.logged_unbound.reset();
        if self.condition.is_denied {
            self.parts.permissions.allowed(Operation::Api, self.lane);
        }
        self.lag.bound();
        self.stage = Stage::Bound;
        self.last_answer_ms = self.now_ms();
        self.adopt(binding, true);
        self.show_condition();
        self.settle_kept_back(ctx);
        self.pull();
    }

    fn not_bound(&mut self, error: &BindError, ctx: &mut Context<Self>) {
        self.bind_attempt += 1;
        let delay = delay_for_attempt(self.bind_attempt, Duration::from_millis(200), Duration::from_secs(5));
        let (log, is_new) = (&self.parts.spawn.log, self.condition.logged_unbound.is_new(&error.to_string()));
        match error {
            BindError::Unfit(why) if is_new => error!(log, "consumer unfit; trying on"; "why" => why),
            BindError::Silent(why) | BindError::Unavailable(why) if is_new => {
                warn!(log, "consumer not bound; trying on"; "error" => why);
            }
            _ => debug!(log, "consumer not bound"; "error" => %error),
        }
        if matches!(error, BindError::Silent(_)) {
            self.reconnect_if_unanswered();
        }
        self.condition.unbound = Some(error.to_string());
        self.show_condition();
        self.forget_lag();
        ctx.run_later(delay, |consumer, ctx| consumer.rebind(ctx));
    }

    /// Forces a reconnect when the API does not answer: a server may drop the subscriptions of a connection and leave it
    /// open, as when its permissions change for a while. One lane does it for all; none where the server has denied the
    /// request itself, as other lanes may work on this connection.
    fn reconnect_if_unanswered(&self) {
        let is_denied = self.parts.permissions.denied(Operation::Api, self.lane).is_some();
        let is_time = self.bind_attempt % UNANSWERED_ATTEMPTS == 1;
        if self.lane == Lane::TELEMETRY
            && self.binding.is_some()
            && is_time
            && !is_denied
            && self.connection.is_current()
        {
            warn!(self.parts.spawn.log, "nothing arrives on the connection to nats; it is made again");
            let client = self.parts.client.clone();
            // An error means a closed client: there is nothing to reconnect.
            actix_rt::spawn(async move { client.force_reconnect().await });
        }
    }

    fn rebind(&mut self, ctx: &mut Context<Self>) {
        if self.stage == Stage::Binding {
            self.bind(ctx);
        }
    }

    /// The consumer no longer exists, or is another one: binds again after a pause.
    pub(super) fn lost(&mut self, why: &str, ctx: &mut Context<Self>) {
        self.distrust();
        self.forget_lag();
        match self.stage {
            Stage::Bound => {
                warn!(self.parts.spawn.log, "consumer lost; binding again"; "why" => why);
                self.condition.unbound = Some(format!("lost: {why}"));
                self.show_condition();
                self.stage = Stage::Binding;
                self.pulls.clear();
                ctx.run_later(REBIND_AFTER, |consumer, ctx| consumer.rebind(ctx));
            }
            // The attempt under way finds its answer outdated.
            Stage::Binding => {}
            Stage::Draining => warn!(self.parts.spawn.log, "consumer lost while draining"; "why" => why),
        }
    }

    /// Applies a consumer's settings.
    pub(super) fn adopt(&mut self, binding: Binding, changed: bool) {
        if changed {
            let Parts { config, client, .. } = &self.parts;
            let (lanes, window) = (config.lanes().count(), config.window);
            let limits = request_limits(lanes, window, client.max_payload(), Some(&binding.terms));
            self.pulls.limit(|old| *old = limits);
            self.note_differences(&binding.terms.differences);
        }
        self.binding = Some(binding);
    }

    fn note_differences(&self, differences: &[String]) {
        let readiness = &self.parts.spawn.readiness;
        if differences.is_empty() {
            return readiness.clear_message(self.lane.consumer());
        }
        let differences = differences.join("; ");
        warn!(self.parts.spawn.log, "consumer differs from what is recommended"; "differences" => &differences);
        readiness.set_message(self.lane.consumer(), differences);
    }
}
