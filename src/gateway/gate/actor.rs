//! The gate's actor: asks the registry about unknown devices, and hears what is no longer true.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;

use super::door::{Door, DoorParts, now_us};
use super::known::Known;
use super::question::{Ask, Waiter};
use crate::message::{Drain, Invalidate, Resolve, Resolved, SettingsChanged, Subscribe};
use crate::registry::devices::{Answered, DeferredMessages};
use crate::runtime::spawn::{SpawnContext, start};
use ingest_core::message::device::DeviceKey;

/// Idle buckets are looked for so often.
const TICK: Duration = Duration::from_secs(1);

/// What a gate is made of.
pub(crate) struct Parts {
    /// Its thread, its tie to the supervisor, where it reports.
    pub spawn: SpawnContext,
    /// How its door decides.
    pub door: DoorParts,
    /// An idle device's bucket is forgotten after so many seconds.
    pub bucket_ttl_secs: u64,
    /// Who knows the devices.
    pub registry: Recipient<Resolve>,
    /// Who tells of changes.
    pub changes: Recipient<Subscribe>,
}

/// Keeps what the door knows up to date.
pub(crate) struct Gate {
    spawn: SpawnContext,
    known: Arc<Known>,
    registry: Recipient<Resolve>,
    changes: Recipient<Subscribe>,
    waiting: DeferredMessages<Waiter>,
    bucket_ttl_us: i64,
    reported_entries: i64,
}

impl Gate {
    /// Starts a gate that knows nothing yet; returns its door, too.
    pub(crate) fn start(parts: Parts) -> (Addr<Gate>, Door) {
        let Parts { spawn, door, bucket_ttl_secs, registry, changes } = parts;
        let (place, metrics) = (spawn.place(), spawn.metrics.clone());
        let known = Arc::new(Known::new(door.capacity, door.ages));
        let gate = Self {
            spawn,
            known: known.clone(),
            registry,
            changes,
            waiting: DeferredMessages::new(),
            bucket_ttl_us: i64::try_from(bucket_ttl_secs).unwrap_or(i64::MAX).saturating_mul(1_000_000),
            reported_entries: 0,
        };
        let gate = start(&place, gate);
        let door = Door::new(door, known, gate.clone().recipient(), metrics);
        (gate, door)
    }

    fn resolve(&self, devices: Vec<(DeviceKey, String)>, ctx: &mut Context<Self>) {
        if !devices.is_empty() {
            self.registry.do_send(Resolve { devices, reply_to: ctx.address().recipient() });
        }
    }

    fn tick(&mut self) {
        self.known.forget_idle_buckets(now_us().saturating_sub(self.bucket_ttl_us));
        let entries = self.known.len() as i64;
        self.spawn.metrics.registry.cache_entries.inc_by(entries - self.reported_entries);
        self.reported_entries = entries;
        self.spawn.actor_guard.progress();
    }
}

impl Actor for Gate {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // The clock proves that the actor turns.
        self.spawn.actor_guard.busy(true);
        ctx.run_interval(TICK, |gate, _| gate.tick());
        self.changes
            .do_send(Subscribe { invalidations: ctx.address().recipient(), settings: ctx.address().recipient() });
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.spawn.metrics.registry.cache_entries.dec_by(self.reported_entries);
    }
}

impl Handler<Ask> for Gate {
    type Result = ();

    fn handle(&mut self, Ask { device, waiter }: Ask, ctx: &mut Self::Context) {
        // Without a site: the gateway never provisions.
        let asked = self.waiting.defer(device.clone(), String::new(), waiter).map(|site| (device, site));
        self.resolve(asked.into_iter().collect(), ctx);
    }
}

impl Handler<Resolved> for Gate {
    type Result = ();

    fn handle(&mut self, Resolved { devices }: Resolved, ctx: &mut Self::Context) {
        let mut again = Vec::new();
        for (key, answer) in devices {
            match self.waiting.answered(&key) {
                Answered::Outdated(site) => again.push((key, site)),
                Answered::Holds(waiters) => {
                    let lookup = answer.lookup.clone();
                    self.known.insert(key, answer);
                    for waiter in waiters {
                        // An error means that it waits no longer.
                        let _ = waiter.reply.send(lookup.clone());
                    }
                }
            }
        }
        self.resolve(again, ctx);
    }
}

impl Handler<Invalidate> for Gate {
    type Result = ();

    fn handle(&mut self, invalid: Invalidate, _: &mut Self::Context) {
        match invalid {
            Invalidate::Devices(keys) => {
                self.waiting.outdate(|key| keys.contains(key));
                self.known.forget(&keys);
            }
            Invalidate::Tenant(tenant) => {
                self.waiting.outdate(|key| key.tenant_id == tenant);
                self.known.forget_tenant(&tenant);
            }
            Invalidate::All => {
                self.waiting.outdate(|_| true);
                self.known.clear();
            }
            Invalidate::Listening(is_listening) => self.known.set_listening(is_listening),
            Invalidate::Reachable(is_reachable) => {
                self.known.set_reachable(is_reachable);
                if !is_reachable {
                    // Who waits may be served by answers that were too old a moment ago.
                    self.waiting.take_messages();
                }
            }
        }
    }
}

impl Handler<SettingsChanged> for Gate {
    type Result = ();

    fn handle(&mut self, SettingsChanged(settings): SettingsChanged, _: &mut Self::Context) {
        self.known.set_settings(settings);
    }
}

impl Handler<Drain> for Gate {
    type Result = ();

    /// Ways in are drained before it: nobody waits any more.
    fn handle(&mut self, _: Drain, _: &mut Self::Context) {}
}
