//! A lane's consumer: pulls what its window has room for, hands it to the validators, and settles it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use async_nats::connection::State;
use async_nats::{Client, Subject};

use super::lane_condition::LaneCondition;
use super::{pulling, timers};
use crate::delivery::{Lane, SettleHandle, Settled};
use crate::message::{FollowSettings, SettingsChanged, Settle, Validate};
use crate::nats::config::Config;
use crate::nats::permissions::Permissions;
use crate::nats::provision::Binding;
use crate::runtime::drain::DrainWaiters;
use crate::runtime::spawn::SpawnContext;
use crate::source::ack::Acks;
use crate::source::advisory;
use crate::source::events::{AcksSent, Arrived, Deleted, InletClosed};
use crate::source::inbox::Inlet;
use crate::source::resend::Kept;
use ingest_core::flow::backoff::delay_for_attempt;
use ingest_core::flow::disposition::DeliveryLimit;
use ingest_core::flow::identity::Identity;
use ingest_core::flow::in_flight::{InFlight, Window};
use ingest_core::flow::lane_watch::LaneWatch;
use ingest_core::flow::pull::Pulls;
use ingest_core::flow::pull_backoff::PullBackoff;
use ingest_core::reprocess::proof::Key;

/// What a consumer is made of.
pub(crate) struct Parts {
    /// Its thread, its tie to the supervisor, where it reports.
    pub spawn: SpawnContext,
    /// The `[nats]` settings.
    pub config: Config,
    /// The connection; shared by all lanes.
    pub client: Client,
    /// What the server does not permit on it.
    pub permissions: Arc<Permissions>,
    /// Every validator, in shard order.
    pub validators: Vec<Recipient<Validate>>,
    /// Who knows the run-time settings.
    pub settings: Recipient<FollowSettings>,
}

/// One lane's consumer.
pub(crate) struct Consumer {
    pub(super) lane: Lane,
    pub(super) parts: Parts,
    pub(super) stage: Stage,
    /// The consumer at the broker, as it was last found.
    pub(super) binding: Option<Binding>,
    pub(super) identity: Identity,
    /// Whether the broker is being asked about the consumer, and when it was asked for the last time.
    pub(super) asking: bool,
    pub(super) asked_ms: u64,
    pub(super) settle_handle: Option<Arc<SettleHandle>>,
    pub(super) acks: Option<Acks>,
    pub(super) inlet: Option<Inlet>,
    pub(super) inlets: Inlets,
    pub(super) in_flight: InFlight<Entry>,
    /// Verdicts that wait until it is certain again whose messages they settle. Their slots stay open.
    pub(super) kept_back: Vec<Settled>,
    /// What came during the drain. It goes back when the broker has closed the inlet: before, it would send it again to where
    /// nobody listens.
    pub(super) untouched: Vec<Subject>,
    pub(super) pulls: Pulls,
    pub(super) refusals: PullBackoff,
    pub(super) watch: LaneWatch,
    pub(super) condition: LaneCondition,
    pub(super) replay_key: Option<Key>,
    pub(super) started: Instant,
    pub(super) last_sign_ms: u64,
    pub(super) connects: u64,
    pub(super) bind_attempt: u64,
    pub(super) newest_us: i64,
    pub(super) stream: Arc<str>,
    pub(super) drained: DrainWaiters,
}

/// What the consumer remembers of a delivery.
pub(super) struct Entry {
    pub(super) reply: Subject,
    /// How often the broker has delivered it.
    pub(super) attempt: u32,
    /// How often it has been tried again within the node.
    pub(super) retries: u32,
    pub(super) stream_seq: u64,
    /// The whole message, where the broker delivers it only so often.
    pub(super) kept: Option<Box<Kept>>,
}

/// The inlets opened so far.
#[derive(Default)]
pub(super) struct Inlets {
    /// How many were begun; also the number of the newest.
    pub(super) begun: u64,
    /// How many may still bring messages.
    pub(super) open: usize,
    /// Whatever an inlet before this one brings belongs to a consumer that exists no more.
    pub(super) oldest_valid: u64,
}

/// Where the consumer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Making or finding its stream and consumer.
    Binding,
    /// Pulling.
    Bound,
    /// Takes nothing new.
    Draining,
}

impl Consumer {
    /// A consumer of this lane.
    pub(crate) fn new(lane: Lane, parts: Parts) -> Self {
        let window = Window { messages: parts.config.window, bytes: parts.config.window_bytes };
        Self {
            lane,
            stage: Stage::Binding,
            binding: None,
            identity: Identity::default(),
            asking: false,
            asked_ms: 0,
            settle_handle: None,
            acks: None,
            inlet: None,
            inlets: Inlets::default(),
            in_flight: InFlight::new(window),
            kept_back: Vec::new(),
            untouched: Vec::new(),
            pulls: Pulls::new(pulling::limits(&parts, None)),
            refusals: PullBackoff::default(),
            watch: LaneWatch::default(),
            condition: LaneCondition::default(),
            replay_key: None,
            started: Instant::now(),
            last_sign_ms: 0,
            connects: 0,
            bind_attempt: 0,
            newest_us: 0,
            stream: lane.stream().into(),
            drained: DrainWaiters::default(),
            parts,
        }
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    pub(super) fn connects_so_far(&self) -> u64 {
        self.parts.client.statistics().connects.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Whether the connection stands, and is the one that the lane was bound on.
    pub(super) fn is_connected(&self) -> bool {
        self.parts.client.connection_state() == State::Connected && self.connects_so_far() == self.connects
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
        // The timer proves that the thread turns: always busy, always getting on, or dead.
        self.parts.spawn.actor_guard.busy(true);
        self.settle_handle = Some(SettleHandle::new(ctx.address().recipient()));
        let log = self.parts.spawn.log.clone();
        self.acks = Some(Acks::start(self.parts.client.clone(), ctx.address().recipient(), log));
        self.parts.settings.do_send(FollowSettings(ctx.address().recipient()));
        actix_rt::spawn(advisory::listen(self.parts.client.clone(), self.lane, ctx.address().recipient()));
        self.bind(ctx);
        ctx.run_interval(timers::TICK, |consumer, ctx| consumer.tick(ctx));
    }
}

impl Drop for Consumer {
    /// Whatever it dies of: the broker delivers again what it held.
    fn drop(&mut self) {
        let count = self.in_flight.len() as u64;
        let mut ledger = self.parts.spawn.metrics.ledgers.lane(self.lane);
        ledger.in_flight -= count;
        ledger.nacked += count;
    }
}

impl Handler<Arrived> for Consumer {
    type Result = ();

    fn handle(&mut self, Arrived { inlet, messages }: Arrived, ctx: &mut Self::Context) {
        if inlet >= self.inlets.oldest_valid {
            self.take_in(inlet, messages, ctx);
        }
        self.check_drained();
    }
}

impl Handler<InletClosed> for Consumer {
    type Result = ();

    fn handle(&mut self, InletClosed { inlet }: InletClosed, ctx: &mut Self::Context) {
        self.inlets.open -= 1;
        if self.inlets.open == 0 {
            self.return_untouched();
        }
        if self.inlet.as_ref().is_some_and(|current| current.number == inlet) {
            self.inlet = None;
            if self.stage == Stage::Bound {
                self.bind(ctx);
            }
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
        self.lost("deleted, as the server says", ctx);
    }
}

impl Handler<SettingsChanged> for Consumer {
    type Result = ();

    fn handle(&mut self, SettingsChanged(settings): SettingsChanged, _: &mut Self::Context) {
        self.replay_key.clone_from(&settings.replay_key);
    }
}
