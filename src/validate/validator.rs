//! A validator: validates the messages of its devices, and asks the registry about those it does not know.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use slog::error;

use super::Config;
use super::check::{Valid, check};
use super::chunk_metrics::ChunkCounts;
use super::inquiry::Inquiry;
use super::outcome::{Outcome, tapped};
use crate::delivery::{Delivery, Lane, Origin, Replay, Settlement};
use crate::message::{Answer, Drain, Invalidate, Resolve, Resolved, SettingsChanged, Subscribe, Validate, Write};
use crate::metrics::ReplayClaim;
use crate::observe::tap::Taps;
use crate::registry::devices::{Answered, Buckets, DeferredMessages, DeviceCache, RegistryLink};
use crate::runtime::drain::DrainWaiters;
use crate::runtime::spawn::SpawnContext;
use crate::runtime::{failpoint, panics};
use ingest_core::flow::disposition::Verdict;
use ingest_core::influx::point::Layout;
use ingest_core::message::device::DeviceKey;
use ingest_core::message::envelope::Envelope;
use ingest_core::message::rejection::{Reason, Rejection};
use ingest_core::message::topic::Topic;
use ingest_core::reprocess::proof;
use ingest_core::tap;
use ingest_core::validate::event::QuarantineRecord;
use ingest_core::validate::settings::Settings;
use ingest_core::validate::{self, Checks, Policy, quarantine_record};

/// Idle buckets are looked for so often.
const TICK: Duration = Duration::from_secs(1);

/// What a validator is made of.
pub(crate) struct Parts {
    /// Its thread, its tie to the supervisor, where it reports.
    pub spawn: SpawnContext,
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
    /// Who looks at messages as they are decided.
    pub taps: Arc<Taps>,
}

/// One validator; a device always meets the same one, so nothing here needs a lock.
pub(crate) struct Validator {
    parts: Parts,
    policy: Policy,
    settings: Option<Arc<Settings>>,
    cache: DeviceCache,
    buckets: Buckets,
    deferred: DeferredMessages<(Lane, Delivery, Envelope)>,
    /// Deliveries that came before the settings did.
    awaiting_settings: Vec<Validate>,
    link: RegistryLink,
    newest_us: i64,
    started: Instant,
    reported_entries: i64,
    drained: DrainWaiters,
}

impl Validator {
    /// A validator that knows nothing yet. `share` is how many validators share the configured cache size.
    pub(crate) fn new(parts: Parts, share: usize) -> Self {
        let config = &parts.config;
        let policy = Policy {
            require_token: config.require_token,
            cert_auth_enabled: config.cert_auth_enabled,
            points: parts.points,
        };
        Self {
            policy,
            settings: None,
            cache: DeviceCache::new(config.cache_max_size, share, config.ages()),
            buckets: Buckets::default(),
            deferred: DeferredMessages::new(),
            awaiting_settings: Vec::new(),
            link: RegistryLink { is_reachable: true, is_listening: false },
            newest_us: 0,
            started: Instant::now(),
            reported_entries: 0,
            drained: DrainWaiters::default(),
            parts,
        }
    }

    fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    /// Validates a chunk and forwards what is decided; what is not waits for the registry. A message that has waited comes
    /// with its answer.
    fn validate_all(
        &mut self,
        chunk: impl Iterator<Item = (Lane, Delivery, Result<Envelope, Rejection>, Option<Answer>)>,
        ctx: &mut Context<Self>,
    ) {
        let now_ms = self.now_ms();
        let mut counts = ChunkCounts::default();
        let mut write = Write::default();
        let (mut unknown, mut ignored) = (Vec::new(), Vec::new());
        let taps = self.parts.taps.offered();
        for (lane, mut delivery, opened, answer) in chunk {
            if !lane.takes(&delivery.subject) {
                ignored.push(delivery);
                continue;
            }
            self.check_replay(&mut delivery);
            self.newest_us = self.newest_us.max(delivery.origin.received_us);
            let envelope = match opened {
                Ok(envelope) => envelope,
                Err(rejection) => {
                    tapped(taps.as_ref(), &delivery, None, tap::Decision::Rejected(&rejection));
                    counts.refused(&delivery, rejection.reason);
                    write.rejections.push(self.refused(delivery, None, rejection));
                    continue;
                }
            };
            let outcome = self.validate(lane, &delivery, &envelope, answer.as_ref(), now_ms, &mut counts);
            if let Some(verdict) = outcome.verdict() {
                tapped(taps.as_ref(), &delivery, Some(&envelope), verdict);
            }
            match outcome {
                Outcome::Valid(Valid::Event(event)) => {
                    counts.accepted(delivery.origin.received_us, &event);
                    write.events.push((delivery, event));
                }
                Outcome::Valid(Valid::Shadow(report)) => write.shadows.push((delivery, report)),
                Outcome::Valid(Valid::Ack(ack)) => write.acks.push((delivery, ack)),
                Outcome::Waits { may_provision } => {
                    unknown.extend(self.defer(lane, delivery, envelope, may_provision));
                }
                Outcome::Ignored => ignored.push(delivery),
                Outcome::Refused { rejection, of_unknown_tenant } => {
                    counts.refused(&delivery, rejection.reason);
                    let (delivery, mut quarantine_record) = self.refused(delivery, Some(&envelope), rejection);
                    quarantine_record.of_unknown_tenant = of_unknown_tenant;
                    write.rejections.push((delivery, quarantine_record));
                }
            }
        }
        counts.add_to(&self.parts.spawn.metrics);
        if !write.is_empty() {
            self.parts.writer.do_send(write);
        }
        self.acknowledge(ignored);
        self.resolve(unknown, ctx);
    }

    /// Settles what has no effect.
    fn acknowledge(&self, ignored: Vec<Delivery>) {
        self.parts.spawn.metrics.nats_mqtt.ignored(ignored.len());
        let mut settlement = Settlement::default();
        ignored.into_iter().for_each(|delivery| settlement.add(delivery.into_guard(), Verdict::Done));
        settlement.send();
    }

    fn resolve(&self, devices: Vec<(DeviceKey, String)>, ctx: &mut Context<Self>) {
        if !devices.is_empty() {
            self.parts.registry.do_send(Resolve { devices, reply_to: ctx.address().recipient() });
        }
    }

    /// A proven replay takes the place of its original; what only claims to be one is a message as any other.
    fn check_replay(&self, delivery: &mut Delivery) {
        let Some(Replay::Claimed(header)) = delivery.replay.as_deref() else { return };
        let key = self.settings.as_ref().and_then(|settings| settings.replay_key.as_ref());
        let facts = key.and_then(|key| proof::FirstDelivery::proven(header, key, &delivery.body));
        let replays = &self.parts.spawn.metrics.validation.replays;
        delivery.replay = match facts {
            Some(proof::FirstDelivery { stream, stream_seq, received_us, trusted }) => {
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
    fn refused(
        &self,
        delivery: Delivery,
        envelope: Option<&Envelope>,
        rejection: Rejection,
    ) -> (Delivery, QuarantineRecord) {
        if rejection.reason == Reason::ProcessingFailed {
            error!(self.parts.spawn.log, "a message crashes validation; quarantined";
                "stream_seq" => delivery.origin.stream_seq, "attempt" => delivery.attempt);
        }
        let limit = self.settings.as_ref().map_or(0, |settings| settings.max_payload_bytes);
        let quarantine_record = panics::record_catching_panics(&delivery.body, rejection, |rejection| match envelope {
            Some(envelope) => quarantine_record::of_envelope(envelope, rejection, limit),
            None => quarantine_record::of_bytes(&delivery.body, rejection, limit),
        });
        (delivery, quarantine_record)
    }

    fn validate(
        &mut self,
        lane: Lane,
        delivery: &Delivery,
        envelope: &Envelope,
        in_hand: Option<&Answer>,
        now_ms: u64,
        counts: &mut ChunkCounts,
    ) -> Outcome {
        let Some(settings) = self.settings.as_deref() else { return Outcome::Waits { may_provision: false } };
        let Some(checks) = lane.checks(&envelope.topic) else { return Outcome::Ignored };
        let inquiry = Inquiry::new(in_hand, &self.cache, now_ms, self.link);
        // A replay was published by an operator, and sent long ago.
        let is_replay = delivery.is_replay();
        let is_subject_checked = self.parts.config.subject_check.applies_to(lane.opening()) && !is_replay;
        let context = validate::Context {
            settings,
            policy: self.policy,
            subject: is_subject_checked.then(|| delivery.subject.as_str()),
            received_us: delivery.origin.received_us,
            trusted: delivery.is_trusted(),
        };
        let admit = |device: &DeviceKey| {
            let (at_us, is_redelivery) = (delivery.origin.received_us, delivery.is_redelivery());
            is_replay || self.buckets.admit(lane, device, at_us, is_redelivery, &settings.limit)
        };
        let checked = panics::validate_catching_panics(|| check(checks, envelope, context, &inquiry, admit, counts));
        match checked {
            Ok(Some(valid)) => Outcome::Valid(valid),
            Ok(None) => Outcome::Waits { may_provision: checks == Checks::Telemetry },
            Err(rejection) => match inquiry.is_of_stranger(envelope, rejection.reason, &mut counts.lookups) {
                Some(of_unknown_tenant) => Outcome::Refused { rejection, of_unknown_tenant },
                // Nothing is provisioned for a message that is refused in any case.
                None => Outcome::Waits { may_provision: false },
            },
        }
    }

    /// Keeps a message until its device is known; the device to be asked about, where nobody asks yet.
    fn defer(
        &mut self,
        lane: Lane,
        delivery: Delivery,
        envelope: Envelope,
        may_provision: bool,
    ) -> Option<(DeviceKey, String)> {
        let topic = Topic::parse(&envelope.topic)?;
        let key = DeviceKey::new(topic.tenant, topic.device);
        let claimed = || panics::or_default(|| validate::claimed_site(&envelope));
        let site = may_provision.then(claimed).flatten().unwrap_or_default();
        self.deferred.defer(key.clone(), site, (lane, delivery, envelope)).map(|site| (key, site))
    }

    fn check_drained(&mut self) {
        if self.drained.is_awaited() && self.deferred.is_empty() && self.awaiting_settings.is_empty() {
            self.drained.notify();
        }
    }

    fn tick(&mut self) {
        self.buckets.forget_idle(self.newest_us - self.parts.config.bucket_ttl_secs as i64 * 1_000_000);
        let entries = self.cache.len() as i64;
        self.parts.spawn.metrics.registry.cache_entries.inc_by(entries - self.reported_entries);
        self.reported_entries = entries;
        self.parts.spawn.actor_guard.progress();
    }
}

impl Actor for Validator {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // The clock makes progress as long as the thread runs.
        self.parts.spawn.actor_guard.always_on();
        ctx.run_interval(TICK, |validator, _| validator.tick());
        self.parts
            .changes
            .do_send(Subscribe { invalidations: ctx.address().recipient(), settings: ctx.address().recipient() });
    }
}

impl Drop for Validator {
    fn drop(&mut self) {
        self.parts.spawn.metrics.registry.cache_entries.dec_by(self.reported_entries);
    }
}

impl Handler<Validate> for Validator {
    type Result = ();

    fn handle(&mut self, chunk: Validate, ctx: &mut Self::Context) {
        if self.settings.is_none() {
            return self.awaiting_settings.push(chunk);
        }
        failpoint::pass("validator");
        let Validate { lane, deliveries } = chunk;
        self.validate_all(deliveries.into_iter().map(|(delivery, envelope)| (lane, delivery, envelope, None)), ctx);
        self.parts.spawn.actor_guard.progress();
    }
}

impl Handler<Resolved> for Validator {
    type Result = ();

    fn handle(&mut self, Resolved { devices }: Resolved, ctx: &mut Self::Context) {
        let now_ms = self.now_ms();
        let (mut decided, mut again) = (Vec::new(), Vec::new());
        for (key, answer) in devices {
            match self.deferred.answered(&key) {
                Answered::Outdated(site) => again.push((key, site)),
                Answered::Holds(waiting) => {
                    decided.extend(
                        waiting
                            .into_iter()
                            .map(|(lane, delivery, envelope)| (lane, delivery, Ok(envelope), Some(answer.clone()))),
                    );
                    self.cache.insert(key, answer, now_ms);
                }
            }
        }
        self.resolve(again, ctx);
        self.validate_all(decided.into_iter(), ctx);
        self.check_drained();
    }
}

impl Handler<Invalidate> for Validator {
    type Result = ();

    fn handle(&mut self, invalid: Invalidate, ctx: &mut Self::Context) {
        match invalid {
            Invalidate::Devices(keys) => {
                self.deferred.outdate(|key| keys.contains(key));
                keys.iter().for_each(|key| self.cache.forget(key));
            }
            Invalidate::Tenant(tenant) => {
                self.deferred.outdate(|key| key.tenant_id == tenant);
                self.cache.forget_tenant(&tenant);
            }
            Invalidate::All => {
                self.deferred.outdate(|_| true);
                self.cache.clear();
            }
            Invalidate::Listening(is_listening) => self.link.is_listening = is_listening,
            Invalidate::Reachable(is_reachable) => {
                self.link.is_reachable = is_reachable;
                if !is_reachable {
                    // What waits may be served by answers that were too old a moment ago.
                    let waiting = self.deferred.take_messages().into_iter();
                    self.validate_all(
                        waiting.map(|(lane, delivery, envelope)| (lane, delivery, Ok(envelope), None)),
                        ctx,
                    );
                    self.check_drained();
                }
            }
        }
    }
}

impl Handler<SettingsChanged> for Validator {
    type Result = ();

    fn handle(&mut self, SettingsChanged(settings): SettingsChanged, ctx: &mut Self::Context) {
        self.settings = Some(settings);
        for chunk in std::mem::take(&mut self.awaiting_settings) {
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
