//! Pull requests: asks for as much as the window has credit for, and reads the broker's status messages.

use std::time::Duration;

use actix::prelude::*;
use async_nats::{Message as NatsMessage, StatusCode};
use slog::{info, warn};

use super::actor::{Consumer, Stage};
use crate::source::inbox::request_of;
use ingest_core::flow::permission::Operation;
use ingest_core::flow::pull_status::{self, PullStatus, RequestLimit};

/// How long a pull request waits at the broker for messages.
const EXPIRES: Duration = Duration::from_secs(30);
/// The broker's heartbeat period while a request waits.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// The shortest heartbeat period that the broker accepts.
const SHORTEST_HEARTBEAT: Duration = Duration::from_millis(100);
/// Requests that end sooner than this without a message are renewed by the timer.
const SHORT: Duration = Duration::from_secs(2);

impl Consumer {
    /// Sends pull requests for the remaining credit. None while the connection is down or replaced: the client would keep
    /// them for the next connection.
    pub(super) fn pull(&mut self) {
        let now_ms = self.now_ms();
        let expires = self.expires();
        let (Stage::Bound, Some(inbox)) = (self.stage, self.inboxes.current()) else { return };
        if !self.refusals.may_ask(now_ms) || !self.connection.is_current() {
            return;
        }
        let deadline_ms = now_ms + expires.as_millis() as u64 + 2_000;
        while let Some(request) = self.pulls.next(self.in_flight.credit(), deadline_ms) {
            let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{}", self.lane.stream(), self.lane.consumer());
            let mut body = serde_json::json!({"batch": request.messages, "expires": expires.as_nanos() as u64});
            if let Some(bytes) = request.bytes {
                body["max_bytes"] = bytes.into();
            }
            let heartbeat = HEARTBEAT.min(expires / 3);
            if heartbeat >= SHORTEST_HEARTBEAT {
                body["idle_heartbeat"] = (heartbeat.as_nanos() as u64).into();
            }
            let (client, reply) = (self.parts.client.clone(), inbox.reply(request.id));
            // An error means a closed client; the timer detects the silence.
            actix_rt::spawn(async move { client.publish_with_reply(subject, reply, body.to_string().into()).await });
        }
    }

    fn expires(&self) -> Duration {
        let most = self.binding.as_ref().and_then(|binding| binding.terms.max_expires);
        most.map_or(EXPIRES, |most| most.min(EXPIRES))
    }

    /// Whether the next request follows at once when one ends; where requests expire soon, the timer renews them instead.
    pub(super) fn may_pull_at_once(&self) -> bool {
        self.expires() >= SHORT
    }

    /// The broker has answered on the current inbox.
    pub(super) fn answered(&mut self, has_messages: bool) {
        self.last_answer_ms = self.now_ms();
        self.condition.silent = false;
        if has_messages {
            self.accepted();
        }
    }

    /// A request was accepted: earlier refusals no longer apply.
    fn accepted(&mut self) {
        self.refusals.accepted();
        self.condition.refused = None;
        if self.condition.is_denied {
            for operation in [Operation::Pull, Operation::Inbox] {
                self.parts.permissions.allowed(operation, self.lane);
            }
        }
    }

    /// Reads a status message of the broker about a pull request.
    pub(super) fn status(&mut self, status: StatusCode, message: &NatsMessage, ctx: &mut Context<Self>) {
        let text = message.description.as_deref().unwrap_or_default();
        let read = pull_status::read(status.as_u16(), text);
        if read == PullStatus::Heartbeat {
            return self.accepted();
        }
        let id = request_of(message).unwrap_or_default();
        if read == PullStatus::TooSmall {
            return self.too_small(id, text);
        }
        self.pulls.ended(id);
        match read {
            PullStatus::Heartbeat | PullStatus::TooSmall | PullStatus::Ended => self.accepted(),
            PullStatus::Gone => self.lost(if text.is_empty() { "no responders" } else { text }, ctx),
            PullStatus::Rejected(limit) => {
                if !self.obey(limit, text) {
                    self.refused(text);
                }
            }
        }
    }

    fn too_small(&mut self, id: u64, text: &str) {
        let is_abandoned = self.pulls.too_small(id);
        if is_abandoned {
            self.refused(text);
        } else {
            self.accepted();
        }
    }

    /// Obeys a limit that the server names; returns whether the limit is new.
    fn obey(&mut self, limit: Option<RequestLimit>, text: &str) -> bool {
        let mut is_new = false;
        match limit {
            Some(RequestLimit::Expires(most)) => {
                let Some(binding) = &mut self.binding else { return false };
                is_new = binding.terms.max_expires.is_none_or(|known| most < known);
                binding.terms.max_expires = Some(most);
            }
            Some(limit) => self.pulls.limit(|limits| is_new = limits.obey(limit)),
            // The server names no number: halve the request.
            None if text.contains("MaxRequestBatch") => {
                self.pulls.limit(|limits| limits.messages = (limits.messages / 2).max(1));
            }
            None => {}
        }
        if is_new {
            info!(self.parts.spawn.log, "pull requests keep to a limit of the server"; "words" => text);
        }
        is_new
    }

    fn refused(&mut self, text: &str) {
        let is_out = self.refusals.rejected(self.now_ms()) && !self.pulls.is_open();
        self.log_once(text);
        if is_out {
            self.condition.refused = Some(text.to_owned());
        }
    }

    fn log_once(&mut self, text: &str) {
        if self.condition.logged_refusals.is_new(text) {
            warn!(self.parts.spawn.log, "pull request refused"; "words" => text);
        }
    }
}
