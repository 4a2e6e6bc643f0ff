//! A validator: judges the messages of its devices, and asks the registry about those it does not know.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use slog::{Logger, error};

use super::buckets::Buckets;
use super::cache::{Ages, DeviceCache};
use super::tally::ChunkTally;
use super::{Config, SubjectCheck};
use crate::core::device::{DeviceKey, DeviceRef, Lookup};
use crate::core::envelope::Envelope;
use crate::core::event::{CommandAck, Event, Refusal, ShadowReport};
use crate::core::point::Layout;
use crate::core::refusal;
use crate::core::rejection::{Reason, Rejection};
use crate::core::replay::Facts;
use crate::core::route::Matched;
use crate::core::settings::Settings;
use crate::core::topic::Topic;
use crate::core::validate::{self, Context as Checks, Policy};
use crate::delivery::{Delivery, Lane, Origin, Replay};
use crate::drained::Drained;
use crate::failpoint;
use crate::guard;
use crate::lifeline::Lifeline;
use crate::message::{Drain, Invalidate, Resolve, Resolved, SettingsChanged, Subscribe, TenantRoutes, Validate, Write};
use crate::metrics::{Metrics, ReplayClaim};

/// Idle buckets are looked for so often, and the parked are looked over.
const TICK: Duration = Duration::from_secs(1);

/// What a validator is made of.
pub struct Parts {
    /// The `[validate]` settings.
    pub config: Config,
    /// How points are laid out; `None` where no target wants any.
    pub points: Option<Layout>,
    /// Where valid and refused messages go.
    pub writer: Recipient<Write>,
    /// Who knows the devices.
    pub registry: Recipient<Resolve>,
    /// Who tells of changes.
    pub changes: Recipient<Subscribe>,
    /// Its metrics.
    pub metrics: Arc<Metrics>,
    /// Its log.
    pub log: Logger,
    /// Its lifeline.
    pub lifeline: Lifeline,
}

/// One validator; a device always meets the same one, so nothing here needs a lock.
pub struct Validator {
    parts: Parts,
    policy: Policy,
    settings: Option<Arc<Settings>>,
    cache: DeviceCache,
    routes: HashMap<Arc<str>, TenantRoutes>,
    buckets: Buckets,
    parked: HashMap<DeviceKey, Parked>,
    /// Deliveries that came before the settings did.
    early: Vec<Validate>,
    reachable: bool,
    newest_us: i64,
    started: Instant,
    reported_entries: i64,
    drained: Drained,
}

/// Messages that wait for the registry's answer about their device.
#[derive(Default)]
struct Parked {
    deliveries: Vec<(Lane, Delivery, Envelope)>,
    /// The device changed while it was being looked up: the answer under way may be older than the change.
    outdated: bool,
}

/// A valid message of any lane.
enum Valid {
    Event(Event),
    Shadow(ShadowReport),
    Ack(CommandAck),
}

impl Validator {
    /// A validator that knows nothing yet. `share` is how many validators share the configured cache size.
    pub fn new(parts: Parts, share: usize) -> Self {
        let config = &parts.config;
        let ages = Ages {
            ttl_ms: config.entry_ttl().as_millis() as u64,
            negative_ttl_ms: config.negative_ttl_secs * 1_000,
            max_staleness_ms: config.max_staleness_secs * 1_000,
        };
        let policy = Policy {
            require_token: config.require_token,
            cert_auth_enabled: config.cert_auth_enabled,
            points: parts.points,
        };
        Self {
            policy,
            settings: None,
            cache: DeviceCache::new(config.cache_max_size.div_ceil(share.max(1)), ages),
            routes: HashMap::new(),
            buckets: Buckets::default(),
            parked: HashMap::new(),
            early: Vec::new(),
            reachable: true,
            newest_us: 0,
            started: Instant::now(),
            reported_entries: 0,
            drained: Drained::default(),
            parts,
        }
    }

    fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    /// Judges a chunk and hands on what is decided; what is not waits for the registry.
    fn judge_all(
        &mut self,
        chunk: impl Iterator<Item = (Lane, Delivery, Result<Envelope, Rejection>)>,
        ctx: &mut Context<Self>,
    ) {
        let now_ms = self.now_ms();
        let mut tally = ChunkTally::default();
        let mut write = Write::default();
        let mut unknown = Vec::new();
        for (lane, mut delivery, opened) in chunk {
            self.check_replay(&mut delivery);
            self.newest_us = self.newest_us.max(delivery.origin.received_us);
            let envelope = match opened {
                Ok(envelope) => envelope,
                Err(rejection) => {
                    tally.refused(rejection.reason);
                    write.refusals.push(self.refused(delivery, None, rejection));
                    continue;
                }
            };
            let judged = guard::judge(|| self.judge(lane, &delivery, &envelope, now_ms, &mut tally));
            match judged {
                Ok(Some(Valid::Event(event))) => {
                    tally.accepted(&event.msg_type);
                    write.events.push((delivery, event));
                }
                Ok(Some(Valid::Shadow(report))) => write.shadows.push((delivery, report)),
                Ok(Some(Valid::Ack(ack))) => write.acks.push((delivery, ack)),
                Ok(None) => unknown.extend(self.park(lane, delivery, envelope)),
                Err(rejection) => {
                    tally.refused(rejection.reason);
                    write.refusals.push(self.refused(delivery, Some(&envelope), rejection));
                }
            }
        }
        tally.add_to(&self.parts.metrics);
        if !write.is_empty() {
            self.parts.writer.do_send(write);
        }
        if !unknown.is_empty() {
            self.parts.registry.do_send(Resolve { devices: unknown, reply_to: ctx.address().recipient() });
        }
    }

    /// A proven replay takes the place of its original; what only claims to be one is a message as any other.
    fn check_replay(&self, delivery: &mut Delivery) {
        let Some(Replay::Claimed(header)) = delivery.replay.as_deref() else { return };
        let key = self.settings.as_ref().and_then(|settings| settings.replay_key.as_ref());
        let facts = key.and_then(|key| Facts::proven(header, key, &delivery.body));
        let replays = &self.parts.metrics.validation.replays;
        delivery.replay = match facts {
            Some(Facts { stream, stream_seq, received_us, trusted }) => {
                replays.of(ReplayClaim::Proven).inc();
                delivery.origin = Origin { stream: stream.into(), stream_seq, received_us };
                Some(Box::new(Replay::Proven { trusted }))
            }
            None => {
                replays.of(ReplayClaim::Unproven).inc();
                None
            }
        };
    }

    /// What the quarantine keeps of a message.
    fn refused(&self, delivery: Delivery, envelope: Option<&Envelope>, rejection: Rejection) -> (Delivery, Refusal) {
        if rejection.reason == Reason::ProcessingFailed {
            error!(self.parts.log, "a message crashes validation; quarantined";
                "stream_seq" => delivery.origin.stream_seq, "attempt" => delivery.attempt);
        }
        let limit = self.settings.as_ref().map_or(0, |settings| settings.max_payload_bytes);
        let refusal = guard::refuse(&delivery.body, rejection, |rejection| match envelope {
            Some(envelope) => refusal::of_envelope(envelope, rejection, limit),
            None => refusal::of_bytes(&delivery.body, rejection, limit),
        });
        (delivery, refusal)
    }

    fn judge(
        &mut self,
        lane: Lane,
        delivery: &Delivery,
        envelope: &Envelope,
        now_ms: u64,
        tally: &mut ChunkTally,
    ) -> validate::Judged<Valid> {
        let Some(settings) = self.settings.as_deref() else { return Ok(None) };
        let Self { cache, routes, buckets, reachable, .. } = self;
        let ChunkTally { lookups, fields, .. } = tally;
        let lookup = |device: DeviceRef<'_>| -> Option<&Lookup> {
            let found = cache.get(device, now_ms, *reachable).filter(|_| routes.contains_key(device.tenant_id));
            lookups.count(found.is_some());
            found
        };
        // A replay was published by an operator, and sent long ago.
        let is_replay = delivery.is_replay();
        let checks = Checks {
            settings,
            policy: self.policy,
            subject: (self.parts.config.subject_check == SubjectCheck::Enforce && !is_replay)
                .then(|| delivery.subject.as_str()),
            received_us: delivery.origin.received_us,
            trusted: delivery.is_trusted(),
        };
        let admit = |device: &DeviceKey| {
            let (at_us, is_redelivery) = (delivery.origin.received_us, delivery.is_redelivery());
            is_replay || buckets.admit(lane, device, at_us, is_redelivery, &settings.limit)
        };
        Ok(match lane {
            Lane::Telemetry => validate::telemetry(envelope, checks, lookup, admit, fields)?.map(|mut event| {
                if let Some(routes) = routes.get(&event.device.key.tenant_id) {
                    event.routes = Matched::of(routes, &event.topic, &event.payload);
                }
                Valid::Event(event)
            }),
            Lane::Shadow => validate::shadow(envelope, checks, lookup, admit)?.map(Valid::Shadow),
            Lane::Commands => validate::command(envelope, checks, lookup, admit)?.map(Valid::Ack),
        })
    }

    /// Keeps a message until its device is known; the device to be asked about, where nobody asks yet.
    fn park(&mut self, lane: Lane, delivery: Delivery, envelope: Envelope) -> Option<(DeviceKey, String)> {
        let topic = Topic::parse(&envelope.topic)?;
        let key = DeviceKey::new(topic.tenant, topic.device);
        let site = guard::or_default(|| validate::claimed_site(&envelope)).unwrap_or_default();
        let asks = !self.parked.contains_key(&key);
        let parked = self.parked.entry(key.clone()).or_default();
        parked.deliveries.push((lane, delivery, envelope));
        asks.then_some((key, site))
    }

    /// Judges again what waited for these devices.
    fn unpark(&mut self, keys: &[DeviceKey], ctx: &mut Context<Self>) {
        let waiting: Vec<_> =
            keys.iter().filter_map(|key| self.parked.remove(key)).flat_map(|p| p.deliveries).collect();
        if !waiting.is_empty() {
            self.judge_all(waiting.into_iter().map(|(lane, delivery, envelope)| (lane, delivery, Ok(envelope))), ctx);
        }
        self.check_drained();
    }

    fn check_drained(&mut self) {
        if self.parked.is_empty() && self.early.is_empty() {
            self.drained.tell();
        }
    }

    fn tick(&mut self) {
        self.buckets.forget_idle(self.newest_us - self.parts.config.bucket_ttl_secs as i64 * 1_000_000);
        let entries = self.cache.len() as i64;
        self.parts.metrics.registry.cache_entries.inc_by(entries - self.reported_entries);
        self.reported_entries = entries;
        self.parts.lifeline.progress();
    }
}

impl Actor for Validator {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // The clock proves that the actor turns: always busy, always getting on, or dead.
        self.parts.lifeline.busy(true);
        ctx.run_interval(TICK, |validator, _| validator.tick());
        self.parts
            .changes
            .do_send(Subscribe { invalidations: ctx.address().recipient(), settings: ctx.address().recipient() });
    }
}

impl Drop for Validator {
    fn drop(&mut self) {
        self.parts.metrics.registry.cache_entries.dec_by(self.reported_entries);
    }
}

impl Handler<Validate> for Validator {
    type Result = ();

    fn handle(&mut self, chunk: Validate, ctx: &mut Self::Context) {
        if self.settings.is_none() {
            return self.early.push(chunk);
        }
        failpoint::pass("validator");
        let Validate { lane, deliveries } = chunk;
        self.judge_all(deliveries.into_iter().map(|(delivery, envelope)| (lane, delivery, envelope)), ctx);
        self.parts.lifeline.progress();
    }
}

impl Handler<Resolved> for Validator {
    type Result = ();

    fn handle(&mut self, Resolved { devices, routes }: Resolved, ctx: &mut Self::Context) {
        let now_ms = self.now_ms();
        self.routes.extend(routes);
        let mut known = Vec::with_capacity(devices.len());
        let mut again = Vec::new();
        for (key, lookup) in devices {
            match self.parked.get_mut(&key) {
                Some(parked) if parked.outdated => {
                    parked.outdated = false;
                    let first = parked.deliveries.first();
                    let site =
                        first.and_then(|(_, _, envelope)| guard::or_default(|| validate::claimed_site(envelope)));
                    again.push((key, site.unwrap_or_default()));
                }
                _ => {
                    self.cache.insert(key.clone(), lookup, now_ms);
                    known.push(key);
                }
            }
        }
        if !again.is_empty() {
            self.parts.registry.do_send(Resolve { devices: again, reply_to: ctx.address().recipient() });
        }
        self.unpark(&known, ctx);
    }
}

impl Handler<Invalidate> for Validator {
    type Result = ();

    fn handle(&mut self, invalid: Invalidate, ctx: &mut Self::Context) {
        let mut outdate = |applies: &dyn Fn(&DeviceKey) -> bool| {
            self.parked.iter_mut().filter(|(key, _)| applies(key)).for_each(|(_, parked)| parked.outdated = true);
        };
        match invalid {
            Invalidate::Devices(keys) => {
                outdate(&|key| keys.contains(key));
                keys.iter().for_each(|key| self.cache.forget(key));
            }
            Invalidate::Tenant(tenant) => {
                outdate(&|key| key.tenant_id == tenant);
                self.cache.forget_tenant(&tenant);
                self.routes.remove(&tenant);
            }
            Invalidate::All => {
                outdate(&|_| true);
                self.cache.clear();
                self.routes.clear();
            }
            Invalidate::Reachable(reachable) => {
                self.reachable = reachable;
                // What waits may be served by answers that were too old a moment ago.
                let keys: Vec<DeviceKey> = if reachable { Vec::new() } else { self.parked.keys().cloned().collect() };
                self.unpark(&keys, ctx);
            }
        }
    }
}

impl Handler<SettingsChanged> for Validator {
    type Result = ();

    fn handle(&mut self, SettingsChanged(settings): SettingsChanged, ctx: &mut Self::Context) {
        self.settings = Some(settings);
        for chunk in std::mem::take(&mut self.early) {
            self.handle(chunk, ctx);
        }
        self.check_drained();
    }
}

impl Handler<Drain> for Validator {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Drain, _: &mut Self::Context) -> Self::Result {
        let drained = self.drained.wait();
        self.check_drained();
        Box::pin(drained)
    }
}
