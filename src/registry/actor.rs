//! The registry: answers which devices there are, tells who needs to know what changed, and keeps the settings.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use deadpool_postgres::Pool;
use slog::{Logger, info, warn};

use super::Config;
use super::listen::{self, Change};
use super::query::{self, Answers, Asked, SettingsRead};
use crate::core::backoff::Backoff;
use crate::core::device::DeviceKey;
use crate::core::route::BadRoute;
use crate::core::settings::{Refused, Settings};
use crate::drained::Drained;
use crate::failpoint;
use crate::health::{Health, Part};
use crate::lifeline::Lifeline;
use crate::message::{
    Drain, FollowSettings, Invalidate, Resolve, Resolved, SettingsChanged, Subscribe, TenantsRegistered,
};
use crate::metrics::Metrics;

/// Look-ups under way at once: while one waits for PostgreSQL, the next is being gathered.
const MOST_LOOKUPS: usize = 2;
/// The actor's own clock.
const TICK: Duration = Duration::from_secs(1);

/// What a registry is made of.
pub struct Parts {
    /// The `[registry]` settings.
    pub config: Config,
    /// For the connection that listens.
    pub connection: tokio_postgres::Config,
    /// Connections for look-ups.
    pub pool: Pool,
    /// Who reads the settings but does not subscribe: the rooms that were built before.
    pub settings_readers: Vec<Recipient<SettingsChanged>>,
    /// Who prepares for new tenants; `None` where nobody does.
    pub newcomers: Option<Recipient<TenantsRegistered>>,
    /// Its metrics.
    pub metrics: Arc<Metrics>,
    /// The readiness board.
    pub health: Arc<Health>,
    /// Its log.
    pub log: Logger,
    /// Its lifeline.
    pub lifeline: Lifeline,
}

/// The registry.
pub struct Registry {
    parts: Parts,
    subscribers: Vec<Subscribe>,
    settings: Option<Arc<Settings>>,
    refused_settings: Vec<Refused>,
    bad_routes: HashSet<String>,
    /// Tenants known to have devices, as far as changes told.
    tenants: HashSet<Arc<str>>,
    /// Not asked yet.
    queue: Vec<Asked>,
    /// Who waits for which device, asked or not: a device is asked about once, whoever wants to know.
    waiting: HashMap<DeviceKey, Vec<Recipient<Resolved>>>,
    lookups: usize,
    /// After a failed look-up none begins before the pause is over.
    pausing: bool,
    backoff: Backoff,
    reachable: bool,
    drained: Drained,
}

/// From the listener: whether it hears changes.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Listening(pub bool);

/// From the listener: something changed; `None` = no telling what.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Changed(pub Option<Change>);

impl Registry {
    /// A registry that has read nothing yet.
    pub fn new(parts: Parts) -> Self {
        Self {
            parts,
            subscribers: Vec::new(),
            settings: None,
            refused_settings: Vec::new(),
            bad_routes: HashSet::new(),
            tenants: HashSet::new(),
            queue: Vec::new(),
            waiting: HashMap::new(),
            lookups: 0,
            pausing: false,
            backoff: Backoff::new(100, 1_000),
            reachable: true,
            drained: Drained::default(),
        }
    }

    /// Starts look-ups for what is queued.
    fn look_up(&mut self, ctx: &mut Context<Self>) {
        while self.lookups < MOST_LOOKUPS && !self.pausing && !self.queue.is_empty() {
            let batch = self.queue.len().min(self.parts.config.lookup_batch.max(1));
            let asked: Vec<Asked> = self.queue.drain(..batch).collect();
            self.lookups += 1;
            let (pool, provisions) = (self.parts.pool.clone(), self.parts.config.auto_provision);
            let metrics = self.parts.metrics.clone();
            let looked_up = async move {
                let answers = query::look_up(&pool, &asked, provisions, &metrics).await;
                (asked, answers)
            };
            ctx.spawn(looked_up.into_actor(self).map(|(asked, answers), registry, ctx| {
                registry.lookups -= 1;
                registry.answered(asked, answers, ctx);
            }));
        }
        self.parts.lifeline.busy(!self.waiting.is_empty());
        if self.waiting.is_empty() {
            self.drained.tell();
        }
    }

    fn answered(&mut self, asked: Vec<Asked>, answers: Result<Answers, String>, ctx: &mut Context<Self>) {
        failpoint::pass("registry");
        self.parts.lifeline.progress();
        match answers {
            Ok(answers) => {
                self.backoff.reset();
                self.reached(Ok(()));
                self.tell(answers);
                self.look_up(ctx);
            }
            Err(error) => {
                self.reached(Err(error));
                self.queue.extend(asked);
                if !self.pausing {
                    self.pausing = true;
                    ctx.run_later(self.backoff.next(fastrand::f64()), |registry, ctx| {
                        registry.pausing = false;
                        registry.look_up(ctx);
                    });
                }
            }
        }
    }

    /// A broken route is said once, not at every look-up.
    fn report_bad_routes(&mut self, bad_routes: Vec<BadRoute>) {
        for bad in bad_routes {
            if self.bad_routes.insert(bad.id.clone()) {
                warn!(self.parts.log, "route ignored"; "route" => bad.id, "why" => bad.why);
            }
        }
    }

    fn tell(&mut self, answers: Answers) {
        self.report_bad_routes(answers.bad_routes);
        for error in answers.provision_errors {
            warn!(self.parts.log, "devices not registered"; "error" => error);
        }
        let mut told: HashMap<Recipient<Resolved>, Resolved> = HashMap::new();
        for (key, lookup) in answers.devices {
            for recipient in self.waiting.remove(&key).unwrap_or_default() {
                let resolved = told.entry(recipient).or_default();
                if let Some(routes) = answers.routes.get(&key.tenant_id)
                    && !resolved.routes.iter().any(|(tenant, _)| *tenant == key.tenant_id)
                {
                    resolved.routes.push((key.tenant_id.clone(), routes.clone()));
                }
                resolved.devices.push((key.clone(), lookup.clone()));
            }
        }
        told.into_iter().for_each(|(recipient, resolved)| recipient.do_send(resolved));
    }

    /// Whether PostgreSQL answers a question, as of now. Changes are told.
    fn reached(&mut self, answer: Result<(), String>) {
        let reachable = answer.is_ok();
        if self.reachable == reachable {
            return;
        }
        self.reachable = reachable;
        match answer {
            Ok(()) => {
                info!(self.parts.log, "postgresql answers look-ups again");
                self.parts.health.up(Part::Postgres);
            }
            Err(why) => {
                warn!(self.parts.log, "postgresql does not answer look-ups; what is cached serves"; "error" => &why);
                self.parts.health.down(Part::Postgres, why);
            }
        }
        self.broadcast(&Invalidate::Reachable(reachable));
    }

    /// Devices of a tenant changed (of any tenant, where none is named): it may be a new one. Best effort.
    fn look_for_newcomers(&mut self, tenant: Option<&str>, ctx: &mut Context<Self>) {
        let Some(newcomers) = self.parts.newcomers.clone() else { return };
        let (pool, tenant) = (self.parts.pool.clone(), tenant.map(Arc::<str>::from));
        // At once, so that a burst of new devices asks one question.
        if tenant.as_ref().is_some_and(|tenant| !self.tenants.insert(tenant.clone())) {
            return;
        }
        let found = async move {
            let found = query::tenants_with_devices(&pool, tenant.as_deref()).await;
            (tenant, found.unwrap_or_default())
        };
        ctx.spawn(found.into_actor(self).map(move |(asked, found), registry, _| {
            // Not there, or not answered: the next change asks again.
            if let Some(asked) = asked {
                registry.tenants.remove(&asked);
            }
            let found = found.into_iter().map(Arc::from);
            let news: Vec<Arc<str>> = found.filter(|tenant| registry.tenants.insert(Arc::clone(tenant))).collect();
            if !news.is_empty() {
                newcomers.do_send(TenantsRegistered(news));
            }
        }));
    }

    fn broadcast(&mut self, invalid: &Invalidate) {
        self.subscribers.retain(|subscriber| subscriber.invalidations.connected());
        self.subscribers.iter().for_each(|subscriber| subscriber.invalidations.do_send(invalid.clone()));
    }

    fn read_settings(&self, ctx: &mut Context<Self>) {
        let pool = self.parts.pool.clone();
        let read = async move { query::settings(&pool).await };
        ctx.spawn(read.into_actor(self).map(|rows, registry, _| match rows {
            Ok(read) => {
                registry.reached(Ok(()));
                registry.apply_settings(read);
            }
            // The old ones stay.
            Err(error) => registry.reached(Err(error)),
        }));
    }

    fn apply_settings(&mut self, SettingsRead { rows, replay_key }: SettingsRead) {
        let before = self.settings.clone().unwrap_or_default();
        let (mut settings, refused) = before.apply(rows.iter().map(|(key, value)| (key.as_str(), value.as_str())));
        settings.replay_key = replay_key;
        for bad in refused.iter().filter(|bad| !self.refused_settings.contains(bad)) {
            warn!(self.parts.log, "setting refused; the previous value stays";
                "key" => &bad.key, "value" => &bad.value, "accepted" => bad.accepted);
        }
        self.refused_settings = refused;
        if self.settings.as_deref() == Some(&settings) {
            return;
        }
        info!(self.parts.log, "settings in force"; "settings" => ?settings);
        let settings = Arc::new(settings);
        self.settings = Some(settings.clone());
        let subscribed = self.subscribers.iter().map(|subscriber| &subscriber.settings);
        for reader in subscribed.chain(&self.parts.settings_readers) {
            reader.do_send(SettingsChanged(settings.clone()));
        }
    }
}

impl Actor for Registry {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let log = self.parts.log.clone();
        actix_rt::spawn(listen::run(self.parts.connection.clone(), ctx.address(), log));
        self.read_settings(ctx);
        let poll = Duration::from_secs(self.parts.config.settings_poll_secs.max(1));
        ctx.run_interval(poll, |registry, ctx| registry.read_settings(ctx));
        ctx.run_interval(TICK, |registry, _| registry.parts.lifeline.progress());
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
        self.look_up(ctx);
    }
}

impl Handler<Subscribe> for Registry {
    type Result = ();

    fn handle(&mut self, subscriber: Subscribe, _: &mut Self::Context) {
        if let Some(settings) = &self.settings {
            subscriber.settings.do_send(SettingsChanged(settings.clone()));
        }
        if !self.reachable {
            subscriber.invalidations.do_send(Invalidate::Reachable(false));
        }
        self.subscribers.push(subscriber);
    }
}

impl Handler<FollowSettings> for Registry {
    type Result = ();

    fn handle(&mut self, FollowSettings(reader): FollowSettings, _: &mut Self::Context) {
        if let Some(settings) = &self.settings {
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
        // Tells at once whether PostgreSQL is away, or back.
        self.read_settings(ctx);
    }
}

impl Handler<Changed> for Registry {
    type Result = ();

    fn handle(&mut self, Changed(change): Changed, ctx: &mut Self::Context) {
        self.parts.metrics.registry.invalidations.inc();
        if let Some(change) = change.as_ref().filter(|change| change.table == "device_registry") {
            self.look_for_newcomers(change.tenant.as_deref(), ctx);
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
        let drained = self.drained.wait();
        self.look_up(ctx);
        Box::pin(drained)
    }
}
