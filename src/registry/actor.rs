//! The registry: answers which devices there are, and tells who needs to know what changed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use deadpool_postgres::Pool;
use slog::{info, warn};

use super::Config;
use super::availability::{Availability, Reach};
use super::error::RegistryError;
use super::listen::{self, Change, Changed, Listening};
use super::query::Asked;
use super::resolve::{self, Answers, Policy};
use super::routes::RouteBook;
use super::settings::SettingsBook;
use super::tenants::KnownTenants;
use crate::message::{
    Answer, Drain, FollowSettings, Invalidate, Resolve, Resolved, SettingsChanged, Subscribe, TenantsRegistered,
};
use crate::postgres::connector::Connector;
use crate::runtime::drain::DrainWaiters;
use crate::runtime::failpoint;
use crate::runtime::log_once::LogOnce;
use crate::runtime::readiness::Condition;
use crate::runtime::spawn::SpawnContext;
use ingest_core::flow::backoff::Backoff;
use ingest_core::message::device::{DeviceKey, Lookup};
use ingest_core::routes::route::TenantRoutes;

/// Look-ups under way at once: while one waits for PostgreSQL, the next is being gathered.
const MOST_LOOKUPS: usize = 2;
/// Devices registered in one go: what is registered is answered soon, however many wait.
const MOST_REGISTRATIONS: usize = 500;
/// Invalid devices that are logged; beyond, all are forgotten, and logged once more.
const MAX_LOGGED: usize = 1_000;
/// The actor's own clock.
const TICK: Duration = Duration::from_secs(1);

/// What a registry is made of.
pub struct Parts {
    /// Its thread, its tie to the supervisor, where it reports.
    pub spawn: SpawnContext,
    /// The `[registry]` settings.
    pub config: Config,
    /// For the connection that listens.
    pub connector: Connector,
    /// Connections for look-ups.
    pub pool: Pool,
    /// Who reads the settings but does not subscribe: the components that were built before.
    pub settings_readers: Vec<Recipient<SettingsChanged>>,
    /// Who prepares for new tenants; `None` where nobody does.
    pub new_tenants: Option<Recipient<TenantsRegistered>>,
    /// Whether a drain waits for the answers to what is asked: deliveries that are being drained do.
    pub drain_waits: bool,
}

/// The registry.
pub struct Registry {
    pub(super) parts: Parts,
    pub(super) subscribers: Vec<Subscribe>,
    pub(super) settings: SettingsBook,
    pub(super) tenants: KnownTenants,
    routes: RouteBook,
    /// Not asked yet.
    queue: Vec<Asked>,
    /// Unknown, and to be registered.
    to_register: Vec<Asked>,
    /// Who waits for which device, asked or not: a device is asked about once, whoever wants to know.
    waiting: HashMap<DeviceKey, Vec<Recipient<Resolved>>>,
    lookups: Stage,
    registrations: Stage,
    /// Invalid devices.
    logged_invalid: LogOnce,
    pub(super) availability: Availability,
    /// What was last told of it.
    reach: Option<Reach>,
    is_listening: bool,
    drained: DrainWaiters,
}

/// Questions of one kind under way.
struct Stage {
    under_way: usize,
    /// After a failed one none begins before the pause is over.
    pausing: bool,
    backoff: Backoff,
    /// Why the last one failed.
    fault: Option<RegistryError>,
}

impl Default for Stage {
    fn default() -> Self {
        Self { under_way: 0, pausing: false, backoff: Backoff::new(100, 1_000), fault: None }
    }
}

impl Registry {
    /// A registry that has read nothing yet.
    pub fn new(parts: Parts) -> Self {
        parts.spawn.metrics.registry.listening.set(0);
        Self {
            routes: RouteBook::new(
                parts.config.max_routes_per_tenant,
                parts.spawn.readiness.clone(),
                parts.spawn.log.clone(),
            ),
            parts,
            subscribers: Vec::new(),
            settings: SettingsBook::default(),
            tenants: KnownTenants::default(),
            queue: Vec::new(),
            to_register: Vec::new(),
            waiting: HashMap::new(),
            lookups: Stage::default(),
            registrations: Stage::default(),
            logged_invalid: LogOnce::new(MAX_LOGGED),
            availability: Availability::default(),
            reach: None,
            is_listening: false,
            drained: DrainWaiters::default(),
        }
    }

    /// Starts what can be asked.
    fn ask(&mut self, ctx: &mut Context<Self>) {
        self.look_up(ctx);
        self.register(ctx);
        self.parts.spawn.actor_guard.busy(!self.waiting.is_empty());
        if self.waiting.is_empty() {
            self.drained.notify();
        }
    }

    fn policy(&self) -> Policy {
        let config = &self.parts.config;
        Policy { provisions: config.auto_provision, most_routes: config.max_routes_per_tenant }
    }

    fn look_up(&mut self, ctx: &mut Context<Self>) {
        while self.lookups.under_way < MOST_LOOKUPS && !self.lookups.pausing && !self.queue.is_empty() {
            let batch = self.queue.len().min(self.parts.config.lookup_batch.max(1));
            let asked: Vec<Asked> = self.queue.drain(..batch).collect();
            self.lookups.under_way += 1;
            let (pool, policy, metrics) = (self.parts.pool.clone(), self.policy(), self.parts.spawn.metrics.clone());
            let looked_up = async move {
                let answers = resolve::look_up(&pool, &asked, policy, &metrics).await;
                (asked, answers)
            };
            ctx.spawn(looked_up.into_actor(self).map(|(asked, answers), registry, ctx| {
                failpoint::pass("registry");
                registry.lookups.under_way -= 1;
                registry.parts.spawn.actor_guard.progress();
                match answers {
                    Ok(answers) => {
                        registry.lookups.backoff.reset();
                        registry.availability.looked_up();
                        registry.conclude();
                        registry.notify(answers);
                    }
                    Err(fault) => {
                        registry.availability.not_looked_up(fault);
                        registry.conclude();
                        registry.queue.extend(asked);
                        Self::pause(|registry| &mut registry.lookups, registry, ctx);
                    }
                }
                registry.ask(ctx);
            }));
        }
    }

    /// One registration at a time; look-ups never wait for it.
    fn register(&mut self, ctx: &mut Context<Self>) {
        if self.registrations.under_way > 0 || self.registrations.pausing || self.to_register.is_empty() {
            return;
        }
        let batch = self.to_register.len().min(MOST_REGISTRATIONS);
        let asked: Vec<Asked> = self.to_register.drain(..batch).collect();
        self.registrations.under_way += 1;
        let (pool, policy, metrics) = (self.parts.pool.clone(), self.policy(), self.parts.spawn.metrics.clone());
        let registered = async move {
            let answers = resolve::register(&pool, asked.clone(), policy, &metrics).await;
            (asked, answers)
        };
        ctx.spawn(registered.into_actor(self).map(|(asked, answers), registry, ctx| {
            registry.registrations.under_way -= 1;
            registry.parts.spawn.actor_guard.progress();
            let fault = match answers {
                Ok(answers) => {
                    let is_locked = !answers.to_register.is_empty();
                    registry.notify(answers);
                    is_locked.then(|| RegistryError::Locked("a lock of its tenant is held by somebody else".to_owned()))
                }
                Err(fault) => {
                    registry.to_register.extend(asked);
                    Some(fault)
                }
            };
            registry.registrations_ended(fault, ctx);
            registry.ask(ctx);
        }));
    }

    fn registrations_ended(&mut self, fault: Option<RegistryError>, ctx: &mut Context<Self>) {
        const SUBJECT: &str = "auto-provisioning";
        match &fault {
            None => {
                self.registrations.backoff.reset();
                self.parts.spawn.readiness.clear_message(SUBJECT);
            }
            Some(fault) => {
                if self.registrations.fault.as_ref() != Some(fault) {
                    warn!(self.parts.spawn.log, "unknown devices can't be registered now"; "error" => %fault);
                    self.parts.spawn.readiness.set_message(SUBJECT, format!("unknown devices wait: {fault}"));
                }
                Self::pause(|registry| &mut registry.registrations, self, ctx);
            }
        }
        self.registrations.fault = fault;
    }

    fn pause(stage: fn(&mut Self) -> &mut Stage, registry: &mut Self, ctx: &mut Context<Self>) {
        let paused = stage(registry);
        if !paused.pausing {
            paused.pausing = true;
            ctx.run_later(paused.backoff.next(fastrand::f64()), move |registry, ctx| {
                stage(registry).pausing = false;
                registry.ask(ctx);
            });
        }
    }

    fn notify(&mut self, answers: Answers) {
        self.report_invalid(&answers.invalid);
        self.to_register.extend(answers.to_register);
        let routes: HashMap<Arc<str>, TenantRoutes> =
            answers.routes.iter().map(|rows| (rows.tenant.clone(), self.routes.routes(rows))).collect();
        let mut resolved: HashMap<Recipient<Resolved>, Resolved> = HashMap::new();
        for (key, lookup, is_final) in answers.devices {
            let is_found = matches!(lookup, Lookup::Found(_));
            let answer = Answer {
                routes: routes.get(&key.tenant_id).filter(|_| is_found).cloned().unwrap_or_default(),
                tenant_is_registered: answers.registered.contains(&key.tenant_id),
                lookup,
                is_final,
            };
            for recipient in self.waiting.remove(&key).unwrap_or_default() {
                resolved.entry(recipient).or_default().devices.push((key.clone(), answer.clone()));
            }
        }
        resolved.into_iter().for_each(|(recipient, answers)| recipient.do_send(answers));
    }

    /// One line for all that are new, with the first of them.
    fn report_invalid(&mut self, invalid: &[(DeviceKey, String)]) {
        self.logged_invalid.reset_before(invalid.len());
        let mut is_new = |key: &DeviceKey| self.logged_invalid.is_new(&format!("{}/{}", key.tenant_id, key.device_id));
        let changes: Vec<_> = invalid.iter().filter(|(key, _)| is_new(key)).collect();
        if let Some((key, why)) = changes.first() {
            warn!(self.parts.spawn.log, "devices can't be looked up; their messages are refused as unregistered";
                "devices" => changes.len(), "tenant" => &*key.tenant_id, "device" => &*key.device_id, "why" => why);
        }
    }

    /// Tells whether look-ups are answered, where that has changed.
    pub(super) fn conclude(&mut self) {
        let reach = self.availability.reach();
        if reach == self.reach {
            return;
        }
        let answered = |reach: &Option<Reach>| matches!(reach, None | Some(Reach::Answers));
        let (before, now) = (answered(&self.reach), answered(&reach));
        match &reach {
            None => {}
            Some(Reach::Answers) => {
                if !before {
                    info!(self.parts.spawn.log, "postgresql answers look-ups again");
                }
                self.parts.spawn.readiness.up(Condition::Registry);
            }
            Some(Reach::Busy) => {
                info!(self.parts.spawn.log, "look-ups wait for a connection of the pool; what is cached serves");
                self.parts.spawn.readiness.up(Condition::Registry);
            }
            Some(Reach::Silent(why)) => {
                warn!(self.parts.spawn.log, "postgresql does not answer look-ups; what is cached serves"; "error" => why);
                self.parts.spawn.readiness.down(Condition::Registry, why);
            }
        }
        self.reach = reach;
        if before != now {
            self.broadcast(&Invalidate::Reachable(now));
        }
    }

    fn broadcast(&mut self, invalid: &Invalidate) {
        self.subscribers.retain(|subscriber| subscriber.invalidations.connected());
        self.subscribers.iter().for_each(|subscriber| subscriber.invalidations.do_send(invalid.clone()));
    }
}

impl Actor for Registry {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let (pool, log) = (self.parts.pool.clone(), self.parts.spawn.log.clone());
        actix_rt::spawn(listen::run(self.parts.connector.clone(), pool, ctx.address(), log));
        self.read_settings(ctx);
        let poll = Duration::from_secs(self.parts.config.settings_poll_secs.max(1));
        ctx.run_interval(poll, |registry, ctx| registry.read_settings(ctx));
        ctx.run_interval(TICK, |registry, _| registry.parts.spawn.actor_guard.progress());
    }
}

impl Handler<Resolve> for Registry {
    type Result = ();

    fn handle(&mut self, Resolve { devices, reply_to }: Resolve, ctx: &mut Self::Context) {
        for (key, site) in devices {
            match self.waiting.get_mut(&key) {
                Some(waiting) => {
                    if !waiting.contains(&reply_to) {
                        waiting.push(reply_to.clone());
                    }
                }
                None => {
                    self.waiting.insert(key.clone(), vec![reply_to.clone()]);
                    self.queue.push(Asked { key, site });
                }
            }
        }
        self.ask(ctx);
    }
}

impl Handler<Subscribe> for Registry {
    type Result = ();

    fn handle(&mut self, subscriber: Subscribe, _: &mut Self::Context) {
        if let Some(settings) = &self.settings.in_force {
            subscriber.settings.do_send(SettingsChanged(settings.clone()));
        }
        if !matches!(self.reach, None | Some(Reach::Answers)) {
            subscriber.invalidations.do_send(Invalidate::Reachable(false));
        }
        subscriber.invalidations.do_send(Invalidate::Listening(self.is_listening));
        self.subscribers.push(subscriber);
    }
}

impl Handler<FollowSettings> for Registry {
    type Result = ();

    fn handle(&mut self, FollowSettings(reader): FollowSettings, _: &mut Self::Context) {
        if let Some(settings) = &self.settings.in_force {
            reader.do_send(SettingsChanged(settings.clone()));
        }
        self.parts.settings_readers.push(reader);
    }
}

impl Handler<Listening> for Registry {
    type Result = ();

    fn handle(&mut self, Listening(listening): Listening, ctx: &mut Self::Context) {
        if listening {
            // Whatever changed while nobody listened is unknown.
            self.broadcast(&Invalidate::All);
        }
        if self.is_listening != listening {
            self.is_listening = listening;
            self.parts.spawn.metrics.registry.listening.set(i64::from(listening));
            self.broadcast(&Invalidate::Listening(listening));
        }
        // Tells at once whether PostgreSQL is away, or back.
        self.read_settings(ctx);
    }
}

impl Handler<Changed> for Registry {
    type Result = ();

    fn handle(&mut self, Changed(change): Changed, ctx: &mut Self::Context) {
        self.parts.spawn.metrics.registry.invalidations.inc();
        if let Some(change) = change.as_ref().filter(|change| change.table == "device_registry") {
            self.look_for_new_tenants(change.tenant.as_deref(), ctx);
        }
        let invalid = match change {
            Some(change) if change.table == "app_settings" => return self.read_settings(ctx),
            Some(Change { tenant: Some(tenant), device: Some(device), .. }) => {
                Invalidate::Devices([DeviceKey::new(&tenant, &device)].into())
            }
            Some(Change { tenant: Some(tenant), device: None, .. }) => Invalidate::Tenant(tenant.into()),
            _ => Invalidate::All,
        };
        self.broadcast(&invalid);
    }
}

impl Handler<Drain> for Registry {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Drain, ctx: &mut Self::Context) -> Self::Result {
        if !self.parts.drain_waits {
            return Box::pin(std::future::ready(()));
        }
        let drained = self.drained.wait();
        self.ask(ctx);
        Box::pin(drained)
    }
}
