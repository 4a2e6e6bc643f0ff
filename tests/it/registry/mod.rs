//! The registry with a real PostgreSQL, asked directly, and as a node's messages meet it.
#![allow(clippy::unwrap_used)]

mod caches;
mod changes;
mod half_open;
mod isolation;
mod lookups;
mod outage;
mod poison;
mod provisioning;
mod strangers;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix::prelude::*;
use ingest_core::message::device::{Device, DeviceKey, Lookup};
use ingest_core::validate::settings::Settings;
use ingest_kit::{Database, Postgres, wait_for, wait_for_value};
use ingest_node::testing::message::{Answer, Invalidate, Resolve, Resolved, SettingsChanged, Subscribe};
use ingest_node::testing::metrics::Metrics;
use ingest_node::testing::postgres::config::Config as Postgresql;
use ingest_node::testing::postgres::connector::Connector;
use ingest_node::testing::postgres::schema;
use ingest_node::testing::registry::{Config, Parts, Registry};
use ingest_node::testing::runtime::actor_guard::{ActorExit, Heartbeat};
use ingest_node::testing::runtime::readiness::{Condition, Readiness};
use ingest_node::testing::runtime::spawn::SpawnContext;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::world::{open, pool_of};

const SOON: Duration = Duration::from_secs(20);

/// A registry, and somebody who asks and listens.
struct Bench {
    registry: Addr<Registry>,
    asker: Addr<Asker>,
    heard: Heard,
    readiness: Arc<Readiness>,
    metrics: Arc<Metrics>,
    _exits: UnboundedReceiver<ActorExit>,
}

/// What the asker was told.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Told>>);

#[derive(Default)]
struct Told {
    devices: BTreeMap<DeviceKey, Lookup>,
    /// The answers as they came, the last one for each device.
    whole: BTreeMap<DeviceKey, Answer>,
    answers: usize,
    is_listening: bool,
    invalid: Vec<Invalidate>,
    settings: Vec<Arc<Settings>>,
}

struct Asker(Heard);

impl Actor for Asker {
    type Context = Context<Self>;
}

impl Handler<Resolved> for Asker {
    type Result = ();
    fn handle(&mut self, resolved: Resolved, _: &mut Self::Context) {
        let mut told = self.0.0.lock().unwrap();
        told.answers += resolved.devices.len();
        told.devices.extend(resolved.devices.iter().map(|(key, answer)| (key.clone(), answer.lookup.clone())));
        told.whole.extend(resolved.devices);
    }
}

impl Handler<Invalidate> for Asker {
    type Result = ();
    fn handle(&mut self, invalid: Invalidate, _: &mut Self::Context) {
        let mut told = self.0.0.lock().unwrap();
        match invalid {
            Invalidate::Listening(is_listening) => told.is_listening = is_listening,
            invalid => told.invalid.push(invalid),
        }
    }
}

impl Handler<SettingsChanged> for Asker {
    type Result = ();
    fn handle(&mut self, settings: SettingsChanged, _: &mut Self::Context) {
        self.0.0.lock().unwrap().settings.push(settings.0);
    }
}

impl Bench {
    fn new(database: &Database) -> Self {
        Self::with(database, Config { settings_poll_secs: 1, ..Config::default() })
    }

    fn with(database: &Database, config: Config) -> Self {
        Self::at(settings_of(database), config)
    }

    /// A registry that logs in as another role than the database's owner.
    fn as_role(database: &Database, role: &str, config: Config) -> Self {
        let url = database.url().replace("postgres://ingest@", &format!("postgres://{role}@"));
        Self::at(
            Postgresql { url: ingest_node::testing::runtime::secret::Secret::new(&url), ..Postgresql::default() },
            config,
        )
    }

    fn at(postgres: Postgresql, config: Config) -> Self {
        let (spawn, died) = SpawnContext::detached("registry", Arc::new(Heartbeat::default()));
        let (metrics, readiness) = (spawn.metrics.clone(), spawn.readiness.clone());
        // The writer's own condition.
        readiness.up(Condition::Postgres);
        let heard = Heard::default();
        let asker = Asker(heard.clone()).start();
        let registry = Registry::new(Parts {
            config,
            connector: Connector::new(&postgres).unwrap(),
            pool: pool_of(&postgres),
            new_tenants: None,
            drain_waits: true,
            settings_readers: Vec::new(),
            spawn,
        })
        .start();
        let (invalidations, settings) = (asker.clone().recipient(), asker.clone().recipient());
        registry.do_send(Subscribe { invalidations, settings });
        Self { registry, asker, heard, readiness, metrics, _exits: died }
    }

    fn ask(&self, devices: &[(&str, &str, &str)]) {
        let devices =
            devices.iter().map(|(tenant, device, site)| (DeviceKey::new(tenant, device), (*site).to_owned())).collect();
        self.registry.do_send(Resolve { devices, reply_to: self.asker.clone().recipient() });
    }

    async fn lookup(&self, tenant: &str, device: &str) -> Lookup {
        self.lookup_at(tenant, device, "site-1").await
    }

    async fn lookup_at(&self, tenant: &str, device: &str, site: &str) -> Lookup {
        let key = DeviceKey::new(tenant, device);
        self.heard.0.lock().unwrap().devices.remove(&key);
        self.ask(&[(tenant, device, site)]);
        let answer = async || self.heard.0.lock().unwrap().devices.get(&key).cloned();
        wait_for_value("an answer", SOON, answer).await
    }

    /// The answer, with what goes with the device.
    async fn answer(&self, tenant: &str, device: &str) -> Answer {
        self.lookup(tenant, device).await;
        self.heard.0.lock().unwrap().whole[&DeviceKey::new(tenant, device)].clone()
    }

    async fn found(&self, tenant: &str, device: &str) -> Arc<Device> {
        match self.lookup(tenant, device).await {
            Lookup::Found(device) => device,
            other => panic!("{tenant}/{device}: {other:?}"),
        }
    }

    /// Waits until the registry hears changes.
    async fn listening(&self) {
        wait_for("the registry to listen", SOON, async || {
            self.heard.0.lock().unwrap().invalid.iter().any(|invalid| matches!(invalid, Invalidate::All))
        })
        .await;
        self.heard.0.lock().unwrap().invalid.clear();
    }

    async fn next_invalid(&self) -> Invalidate {
        let next = async || {
            let mut told = self.heard.0.lock().unwrap();
            (!told.invalid.is_empty()).then(|| told.invalid.remove(0))
        };
        wait_for_value("an invalidation", SOON, next).await
    }

    async fn settings(&self, what: &str, holds: impl Fn(&Settings) -> bool) {
        wait_for(what, SOON, async || self.heard.0.lock().unwrap().settings.last().is_some_and(|last| holds(last)))
            .await;
    }
}

fn settings_of(database: &Database) -> Postgresql {
    Postgresql { url: ingest_node::testing::runtime::secret::Secret::new(database.url()), ..Postgresql::default() }
}

async fn migrated(cluster: &Postgres) -> Database {
    let database = cluster.create_database().await;
    schema::migrate(&mut open(&settings_of(&database)).await).await.unwrap();
    database
}
