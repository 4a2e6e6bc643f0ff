//! How a consumer comes by its stream and consumer, and by new ones when it loses them.

use std::time::Duration;

use actix::prelude::*;
use slog::{error, info, warn};

use super::pulling::limits;
use super::{Consumer, Parts, Stage};
use crate::delivery::Lane;
use crate::nats::provision::{BindError, Binding, Provisioner};
use crate::runtime::spawn::SpawnContext;
use crate::source::inbox::{Inlet, Listener};
use ingest_core::flow::backoff::delay_for_attempt;
use ingest_core::flow::identity::{Question, Seen};
use ingest_core::flow::permission::Operation;

/// A connection that nothing arrives on is made again at every so many attempts to bind.
const DEAF_ATTEMPTS: u64 = 4;
/// Before the stream or consumer is looked for again: whoever replaces one takes a moment.
const REBIND_AFTER: Duration = Duration::from_millis(250);

impl Consumer {
    /// Finds or makes stream and consumer, and opens an inlet; tries again for as long as it takes.
    ///
    /// Always a new inlet: requests that the broker still has open are answered to the old one, and end with it.
    pub(super) fn bind(&mut self, ctx: &mut Context<Self>) {
        self.stage = Stage::Binding;
        self.doubt();
        self.pulls.clear();
        self.connects = self.connects_so_far();
        self.inlets.begun += 1;
        let (number, question) = (self.inlets.begun, self.identity.question());
        let Parts { config, client, spawn: SpawnContext { metrics, log, .. }, .. } = &self.parts;
        let provisioner = Provisioner::new(client, config, metrics, log);
        let (client, lane) = (client.clone(), self.lane);
        let listener = Listener { arrived: ctx.address().recipient(), closed: ctx.address().recipient() };
        let attempt = async move {
            let binding = provisioner.bind(lane).await?;
            let inlet = Inlet::open(&client, number, listener).await.map_err(BindError::Unavailable)?;
            Ok((binding, inlet))
        };
        ctx.spawn(attempt.into_actor(self).map(move |outcome, consumer, ctx| consumer.bound(outcome, question, ctx)));
    }

    fn bound(&mut self, outcome: Result<(Binding, Inlet), BindError>, question: Question, ctx: &mut Context<Self>) {
        match outcome {
            Ok((binding, inlet)) => {
                self.inlets.open += 1;
                // The one before is dropped here: what is under way on it still arrives.
                let number = inlet.number;
                self.inlet = Some(inlet);
                if self.stage == Stage::Draining {
                    self.inlet = None;
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

    fn recognise(&mut self, binding: Binding, inlet: u64, question: Question, ctx: &mut Context<Self>) {
        match self.identity.seen(binding.created.unix_timestamp_nanos(), question, self.now_ms()) {
            // Something happened to the consumer while it was being looked up.
            Seen::Outdated => return self.bind(ctx),
            Seen::Replaced { before } => {
                self.let_go(before, binding.created);
                self.inlets.oldest_valid = inlet;
            }
            Seen::First | Seen::Same => {}
        }
        self.bind_attempt = 0;
        info!(self.parts.spawn.log, "consumer bound"; "ack_wait_secs" => binding.terms.ack_wait.as_secs(),
            "stream_created" => binding.stream_created.to_string(), "consumer_created" => binding.created.to_string());
        self.condition.unbound = None;
        if self.condition.is_denied {
            self.parts.permissions.works(Operation::Api, self.lane);
        }
        self.stage = Stage::Bound;
        self.last_sign_ms = self.now_ms();
        self.adopt(binding, true);
        self.show_condition();
        self.settle_kept_back(ctx);
        self.pull();
    }

    fn not_bound(&mut self, error: &BindError, ctx: &mut Context<Self>) {
        self.bind_attempt += 1;
        let delay = delay_for_attempt(self.bind_attempt, Duration::from_millis(200), Duration::from_secs(5));
        match error {
            BindError::Unfit(why) => error!(self.parts.spawn.log, "consumer unfit"; "why" => why),
            BindError::Silent(why) => {
                warn!(self.parts.spawn.log, "consumer not bound"; "error" => why);
                self.reconnect_if_deaf();
            }
            BindError::Unavailable(why) => warn!(self.parts.spawn.log, "consumer not bound"; "error" => why),
        }
        self.condition.unbound = Some(error.to_string());
        self.show_condition();
        ctx.run_later(delay, |consumer, ctx| consumer.rebind(ctx));
    }

    /// A server may drop the subscriptions of a connection and leave it open, as when its permissions change for a while:
    /// no answer arrives any more, and only a new connection helps. One lane does it for all; and none where the server has
    /// refused the question itself, as other lanes may work on this connection.
    fn reconnect_if_deaf(&self) {
        let is_refused = self.parts.permissions.refused(Operation::Api, self.lane).is_some();
        let is_time = self.bind_attempt % DEAF_ATTEMPTS == 1;
        if self.lane == Lane::Telemetry && self.binding.is_some() && is_time && !is_refused && self.is_connected() {
            warn!(self.parts.spawn.log, "nothing arrives on the connection to nats; it is made again");
            let client = self.parts.client.clone();
            // An error means a closed client, which nothing helps.
            actix_rt::spawn(async move { client.force_reconnect().await });
        }
    }

    fn rebind(&mut self, ctx: &mut Context<Self>) {
        if self.stage == Stage::Binding {
            self.bind(ctx);
        }
    }

    /// The consumer is not there any more, or not the same.
    pub(super) fn lost(&mut self, why: &str, ctx: &mut Context<Self>) {
        self.doubt();
        match self.stage {
            Stage::Bound => {
                warn!(self.parts.spawn.log, "consumer lost; binding again"; "why" => why);
                self.condition.unbound = Some(format!("lost: {why}"));
                self.show_condition();
                self.stage = Stage::Binding;
                self.pulls.clear();
                ctx.run_later(REBIND_AFTER, |consumer, ctx| consumer.rebind(ctx));
            }
            // The bind that is under way finds its answer outdated.
            Stage::Binding => {}
            Stage::Draining => warn!(self.parts.spawn.log, "consumer lost while draining"; "why" => why),
        }
    }

    /// Takes a consumer's settings over.
    pub(super) fn adopt(&mut self, binding: Binding, changed: bool) {
        if changed {
            self.pulls.limit(|old| *old = limits(&self.parts, Some(&binding.terms)));
            self.note_differences(&binding.terms.differences);
        }
        self.binding = Some(binding);
    }

    fn note_differences(&self, differences: &[String]) {
        let readiness = &self.parts.spawn.readiness;
        if differences.is_empty() {
            return readiness.clear_note(self.lane.consumer());
        }
        let differences = differences.join("; ");
        warn!(self.parts.spawn.log, "consumer differs from what is recommended"; "differences" => &differences);
        readiness.note(self.lane.consumer(), differences);
    }
}
