//! The consumer actor: its state, its messages, and its start and end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use async_nats::{Client, Subject};

use super::connection::Connection;
use super::inboxes::Inboxes;
use super::lane_condition::LaneCondition;
use super::lane_lag::LaneLag;
use super::request_limits::request_limits;
use crate::delivery::{Lane, SettleHandle, Settled};
use crate::message::{FollowSettings, SettingsChanged, Settle, Validate};
use crate::nats::config::Config;
use crate::nats::permissions::Permissions;
use crate::nats::provision::Binding;
use crate::runtime::drain::DrainWaiters;
use crate::runtime::spawn::SpawnContext;
use crate::source::ack::{AckSender, AcksSent};
use crate::source::advisory::{self, Deleted};
use crate::source::inbox::{Arrived, InboxClosed};
use crate::source::resend::RetainedMessage;
use ingest_core::flow::backoff::delay_for_attempt;
use ingest_core::flow::disposition::DeliveryLimit;
use ingest_core::flow::identity::Identity;
use ingest_core::flow::in_flight::{InFlight, Window};
use ingest_core::flow::lane_watch::LaneWatch;
use ingest_core::flow::pull::Pulls;
use ingest_core::flow::pull_backoff::PullBackoff;
use ingest_core::reprocess::proof::Key;

/// What a consumer is built from.
pub(crate) struct Parts {
    /// The actor's thread, guard, logger, metrics and readiness.
    pub spawn: SpawnContext,
    /// The `[nats]` settings.
    pub config: Config,
    /// The connection; shared by all lanes.
    pub client: Client,
    /// Operations that the server has denied on it.
    pub permissions: Arc<Permissions>,
    /// Every validator, in shard order.
    pub validators: Vec<Recipient<Validate>>,
    /// The registry, which sends the run-time settings.
    pub settings: Recipient<FollowSettings>,
}

/// Pull consumer of one lane.
pub(crate) struct Consumer {
    pub(super) lane: Lane,
    pub(super) parts: Parts,
    pub(super) stage: Stage,
    /// The consumer at the broker, as last read.
    pub(super) binding: Option<Binding>,
    pub(super) identity: Identity,
    /// Whether a request for the consumer's state is under way, and when the last one was sent.
    pub(super) is_reading_state: bool,
    pub(super) state_requested_ms: u64,
    pub(super) settle_handle: Option<Arc<SettleHandle>>,
    pub(super) acks: Option<AckSender>,
    pub(super) inboxes: Inboxes,
    pub(super) in_flight: InFlight<Entry>,
    /// Settlements that wait until the consumer at the broker has been recognised again. Their slots stay open.
    pub(super) unsent: Vec<Settled>,
    /// Reply subjects of messages that arrived during the drain. They are NAKed after the broker has closed the inbox:
    /// earlier, it would redeliver them to that inbox.
    pub(super) arrived_in_drain: Vec<Subject>,
    pub(super) pulls: Pulls,
    pub(super) refusals: PullBackoff,
    pub(super) watch: LaneWatch,
    pub(super) condition: LaneCondition,
    pub(super) lag: LaneLag,
    pub(super) replay_key: Option<Key>,
    pub(super) started: Instant,
    pub(super) last_answer_ms: u64,
    pub(super) connection: Connection,
    pub(super) bind_attempt: u64,
    pub(super) stream: Arc<str>,
    pub(super) drain_waiters: DrainWaiters,
    pub(super) own: Addr<Self>,
}

/// A delivery in flight.
pub(super) struct Entry {
    pub(super) reply: Subject,
    /// How often the broker has delivered it.
    pub(super) attempt: u32,
    /// How often it has been retried within the node.
    pub(super) retries: u32,
    pub(super) stream_seq: u64,
    /// The message, where the consumer has a finite `max_deliver`.
    pub(super) retained: Option<Box<RetainedMessage>>,
}

/// The consumer's life cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Finding or creating its stream and consumer.
    Binding,
    /// Pulling.
    Bound,
    /// Accepts nothing new.
    Draining,
}

impl Consumer {
    /// A consumer of this lane, not bound yet. What is sent to its `own` address is counted as its traffic.
    pub(crate) fn new(lane: Lane, parts: Parts, own: Addr<Self>) -> Self {
        let limits =
            request_limits(parts.config.lanes().count(), parts.config.window, parts.client.max_payload(), None);
        let window = Window { messages: parts.config.window, bytes: parts.config.window_bytes };
        Self {
            lane,
            stage: Stage::Binding,
            binding: None,
            identity: Identity::default(),
            is_reading_state: false,
            state_requested_ms: 0,
            settle_handle: None,
            acks: None,
            inboxes: Inboxes::default(),
            in_flight: InFlight::new(window),
            unsent: Vec::new(),
            arrived_in_drain: Vec::new(),
            pulls: Pulls::new(limits),
            refusals: PullBackoff::default(),
            watch: LaneWatch::default(),
            condition: LaneCondition::default(),
            lag: LaneLag::default(),
            replay_key: None,
            started: Instant::now(),
            last_answer_ms: 0,
            connection: Connection::new(parts.client.clone()),
            bind_attempt: 0,
            stream: lane.stream().into(),
            drain_waiters: DrainWaiters::default(),
            own,
            parts,
        }
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    /// Brings the lane's readiness condition up to date.
    pub(super) fn show_condition(&mut self) {
        self.condition.show(self.lane, &self.parts.permissions, &self.parts.spawn);
    }

    pub(super) fn limit(&self) -> DeliveryLimit {
        self.binding.as_ref().map_or(DeliveryLimit::Unlimited, |binding| binding.terms.limit)
    }

    pub(super) fn retry_delay(&self, attempt: u32) -> Duration {
        let first = Duration::from_millis(self.parts.config.nak_delay_ms);
        let longest = Duration::from_millis(self.parts.config.nak_delay_max_ms);
        delay_for_attempt(u64::from(attempt), first, longest)
    }
}

impl Actor for Consumer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // The timer makes progress as long as the thread runs.
        self.parts.spawn.actor_guard.always_on();
        self.settle_handle = Some(SettleHandle::new(self.own.clone().recipient()));
        let log = self.parts.spawn.log.clone();
        self.acks = Some(AckSender::start(self.parts.client.clone(), self.own.clone().recipient(), log));
        self.parts.settings.do_send(FollowSettings(ctx.address().recipient()));
        actix_rt::spawn(advisory::listen(self.parts.client.clone(), self.lane, ctx.address().recipient()));
        self.bind(ctx);
        self.start_timer(ctx);
    }
}

impl Drop for Consumer {
    /// Stopped or panicked: the broker redelivers what was in flight.
    fn drop(&mut self) {
        self.count_nacked(self.in_flight.len());
    }
}

impl Handler<Arrived> for Consumer {
    type Result = ();

    fn handle(&mut self, Arrived { inbox, messages }: Arrived, ctx: &mut Self::Context) {
        if self.inboxes.is_valid(inbox) {
            self.admit_all(inbox, messages, ctx);
        }
        self.check_drained();
    }
}

impl Handler<InboxClosed> for Consumer {
    type Result = ();

    fn handle(&mut self, InboxClosed { inbox }: InboxClosed, ctx: &mut Self::Context) {
        let was_current = self.inboxes.closed(inbox);
        if self.inboxes.all_closed() {
            self.nack_arrived_in_drain();
        }
        if was_current && self.stage == Stage::Bound {
            self.bind(ctx);
        }
        self.check_drained();
    }
}

impl Handler<Settle> for Consumer {
    type Result = ();

    fn handle(&mut self, Settle { settled }: Settle, ctx: &mut Self::Context) {
        self.settle(settled, ctx);
        self.parts.spawn.actor_guard.progress();
        self.pull();
    }
}

impl Handler<AcksSent> for Consumer {
    type Result = ();

    fn handle(&mut self, _: AcksSent, _: &mut Self::Context) {
        self.check_drained();
    }
}

impl Handler<Deleted> for Consumer {
    type Result = ();

    fn handle(&mut self, _: Deleted, ctx: &mut Self::Context) {
        self.lost("deleted, by an advisory of the server", ctx);
    }
}

impl Handler<SettingsChanged> for Consumer {
    type Result = ();

    fn handle(&mut self, SettingsChanged(settings): SettingsChanged, _: &mut Self::Context) {
        self.replay_key.clone_from(&settings.replay_key);
    }
}
