//! The list of children, bottom-up: what others send to comes first. Draining goes the other way.

use std::sync::Arc;

use slog::o;
use uuid::Uuid;

use super::dependencies::Dependencies;
use super::wiring::Addresses;
use crate::config::Config;
use crate::delivery::Lane;
use crate::delivery::pending_ack::Outbox;
use crate::nats::provision::Provisioner;
use crate::observe::tap::Taps;
use crate::outbox::maintainer::{self, OutboxMaintainer};
use crate::outbox::policy::WritePolicy;
use crate::outbox::redelivery::{self, Redelivery};
use crate::outbox::redelivery_state::RedeliveryState;
use crate::postgres::retention::{self, Retention};
use crate::registry::{self, Registry};
use crate::runtime::spawn::{start, start_with};
use crate::runtime::stats::Stats;
use crate::sink::influx::{self, Router};
use crate::sink::postgres::{self, Downstream, Duty, Writer};
use crate::sink::routes::{self, Publisher};
use crate::sink::state::silence::{self, SilenceWatcher};
use crate::sink::state::{self, DerivedStateWriter};
use crate::source::{self, Consumer};
use crate::supervisor::child::{BuildError, Factory, need};
use crate::validate::{self, Validator};

/// What children are made of, the same for every generation.
pub(crate) struct Ingredients {
    /// The whole configuration.
    pub config: Config,
    /// Connections.
    pub dependencies: Dependencies,
    /// What the children show at `/stats`.
    pub stats: Arc<Stats>,
    /// What validators offer messages to.
    pub taps: Arc<Taps>,
}

/// The list.
pub(crate) fn factories(ingredients: Arc<Ingredients>) -> Vec<Factory<Addresses>> {
    let mut list = Vec::new();
    if ingredients.config.retention.is_on() {
        list.push(retention(ingredients.clone()));
    }
    if ingredients.config.influx.write_enabled {
        list.push(outbox_maintainer(ingredients.clone()));
        list.push(quarantine_writer(ingredients.clone()));
        list.push(router(ingredients.clone()));
    }
    list.push(publisher(ingredients.clone()));
    list.push(derived_state_writer(ingredients.clone()));
    if ingredients.config.state.silence.enabled {
        list.push(silence_watcher(ingredients.clone()));
    }
    list.push(writer(ingredients.clone()));
    list.push(registry(ingredients.clone()));
    let shards = ingredients.config.validate.workers;
    list.extend((0..shards).map(|shard| validator(ingredients.clone(), shard, shards)));
    if ingredients.config.influx.write_enabled {
        list.push(redelivery(ingredients.clone()));
    }
    let lanes = ingredients.config.nats.lanes();
    list.extend(lanes.iter().map(|lane| consumer(ingredients.clone(), lane)));
    list
}

/// Nobody sends to it, and it sends to nobody: below all others it delays none of them when they drain.
fn retention(ingredients: Arc<Ingredients>) -> Factory<Addresses> {
    Factory::<Addresses>::new("retention", "retention", "side", move |_, spawn| {
        let place = spawn.place();
        let parts = retention::Parts {
            config: ingredients.config.retention.clone(),
            connector: ingredients.dependencies.connector.clone(),
            stats: ingredients.stats.clone(),
            spawn,
        };
        Ok(start(&place, Retention::new(parts)).recipient())
    })
}

/// Below all that points pass: it is drained when every point has been confirmed or deferred.
fn outbox_maintainer(ingredients: Arc<Ingredients>) -> Factory<Addresses> {
    Factory::<Addresses>::new("outbox-maintainer", "outbox", "side", move |addresses, spawn| {
        let place = spawn.place();
        let (outbox, released) = Outbox::new();
        let state = Arc::<RedeliveryState>::default();
        (addresses.outbox, addresses.redelivery_state) = (Some(outbox.clone()), Some(state.clone()));
        let parts = maintainer::Parts {
            settings: ingredients.config.influx.redelivery(),
            connector: ingredients.dependencies.connector.clone(),
            outbox: (outbox, released),
            state,
            stats: ingredients.stats.clone(),
            spawn,
        };
        Ok(start(&place, OutboxMaintainer::new(parts)).recipient())
    })
}

/// Below the batchers, which send it the points that InfluxDB has rejected.
fn quarantine_writer(ingredients: Arc<Ingredients>) -> Factory<Addresses> {
    Factory::<Addresses>::new("quarantine-writer", "quarantine", "side", move |addresses, spawn| {
        let place = spawn.place();
        let mut config = ingredients.config.postgres.clone();
        // Rejected points are rare: the pool is for rows and look-ups. Two, as one transaction may hang on a record while the
        // other shows that it is that record's fault.
        config.writers = config.writers.min(2);
        let parts = postgres::Parts {
            duty: Duty::RejectedPoints,
            config,
            pool: ingredients.dependencies.pool.clone(),
            outbox: None,
            downstream: Downstream::default(),
            spawn,
        };
        let writer = start(&place, Writer::new(parts));
        addresses.quarantine = Some(writer.clone().recipient());
        addresses.settings_readers.push(writer.clone().recipient());
        Ok(writer.recipient())
    })
}

/// The Router has the batchers on threads of its own.
fn router(ingredients: Arc<Ingredients>) -> Factory<Addresses> {
    Factory::<Addresses>::new("router", "influx", "store", move |addresses, spawn| {
        let place = spawn.place();
        let parts = influx::Parts {
            backend: influx::Backend::new(&ingredients.config.influx)
                .map_err(|error| BuildError::Settings(error.into()))?,
            quarantine: need(&addresses.quarantine, "quarantine-writer")?,
            config: ingredients.config.influx.clone(),
            stats: ingredients.stats.clone(),
            spawn,
        };
        let router = start(&place, Router::new(parts));
        addresses.points = Some(router.clone().recipient());
        addresses.new_tenants = Some(router.clone().recipient());
        Ok(router.recipient())
    })
}

/// A source, as the consumers are: it is drained with them, before everything that it sends to.
fn redelivery(ingredients: Arc<Ingredients>) -> Factory<Addresses> {
    Factory::<Addresses>::new("redelivery", "outbox", "side", move |addresses, spawn| {
        let place = spawn.place();
        let parts = redelivery::Parts {
            settings: ingredients.config.influx.redelivery(),
            connector: ingredients.dependencies.connector.clone(),
            outbox: need(&addresses.outbox, "outbox-maintainer")?,
            state: need(&addresses.redelivery_state, "outbox-maintainer")?,
            points: need(&addresses.points, "router")?,
            spawn,
        };
        Ok(start(&place, Redelivery::new(parts)).recipient())
    })
}

fn publisher(ingredients: Arc<Ingredients>) -> Factory<Addresses> {
    Factory::<Addresses>::new("publisher", "routes", "side", move |addresses, spawn| {
        let place = spawn.place();
        let client = ingredients.dependencies.nats_jobs.clone();
        let parts = routes::Parts {
            config: ingredients.config.routes.clone(),
            streams: Provisioner::new(&client, &ingredients.config.nats, &spawn.metrics, &spawn.log),
            client,
            spawn,
        };
        let publisher = start(&place, Publisher::new(parts));
        addresses.publish = Some(publisher.clone().recipient());
        Ok(publisher.recipient())
    })
}

fn derived_state_writer(ingredients: Arc<Ingredients>) -> Factory<Addresses> {
    Factory::<Addresses>::new("state-writer", "state", "side", move |addresses, spawn| {
        let place = spawn.place();
        let node_id: Arc<str> = Uuid::new_v4().to_string().into();
        addresses.state_writer_id = Some(node_id.clone());
        let parts = state::Parts {
            config: ingredients.config.state.clone(),
            pool: ingredients.dependencies.pool.clone(),
            node_id,
            spawn,
        };
        let writer = start(&place, DerivedStateWriter::new(parts));
        addresses.observe = Some(writer.clone().recipient());
        Ok(writer.recipient())
    })
}

/// Drained before the writer by whose progress it assesses devices.
fn silence_watcher(ingredients: Arc<Ingredients>) -> Factory<Addresses> {
    Factory::<Addresses>::new("silence-watcher", "state", "side", move |addresses, spawn| {
        let place = spawn.place();
        let client = ingredients.dependencies.nats_jobs.clone();
        let parts = silence::Parts {
            config: ingredients.config.state.clone(),
            pool: ingredients.dependencies.pool.clone(),
            node_id: need(&addresses.state_writer_id, "state-writer")?,
            streams: Provisioner::new(&client, &ingredients.config.nats, &spawn.metrics, &spawn.log),
            client,
            stats: ingredients.stats.clone(),
            spawn,
        };
        Ok(start(&place, SilenceWatcher::new(parts)).recipient())
    })
}

fn writer(ingredients: Arc<Ingredients>) -> Factory<Addresses> {
    Factory::<Addresses>::new("writer", "postgres", "store", move |addresses, spawn| {
        let place = spawn.place();
        let influx = &ingredients.config.influx;
        let is_recorded = influx.write_policy == WritePolicy::BestEffort && influx.outbox.enabled;
        let parts = postgres::Parts {
            duty: Duty::Messages,
            config: ingredients.config.postgres.clone(),
            pool: ingredients.dependencies.pool.clone(),
            outbox: addresses.outbox.clone().filter(|_| is_recorded),
            downstream: Downstream {
                points: addresses.points.clone(),
                policy: ingredients.config.influx.write_policy,
                jobs: addresses.publish.clone(),
                observe: addresses.observe.clone(),
            },
            spawn,
        };
        let writer = start(&place, Writer::new(parts));
        addresses.write = Some(writer.clone().recipient());
        addresses.settings_readers.push(writer.clone().recipient());
        Ok(writer.recipient())
    })
}

fn registry(ingredients: Arc<Ingredients>) -> Factory<Addresses> {
    Factory::<Addresses>::new("registry", "registry", "store", move |addresses, spawn| {
        let place = spawn.place();
        let parts = registry::Parts {
            config: ingredients.config.registry.clone(),
            connector: ingredients.dependencies.connector.clone(),
            pool: ingredients.dependencies.pool.clone(),
            settings_readers: addresses.settings_readers.clone(),
            new_tenants: addresses.new_tenants.clone(),
            drain_waits: true,
            spawn,
        };
        let registry = start(&place, Registry::new(parts));
        addresses.resolve = Some(registry.clone().recipient());
        addresses.subscribe = Some(registry.clone().recipient());
        addresses.follow_settings = Some(registry.clone().recipient());
        Ok(registry.recipient())
    })
}

/// Each validator has a thread of its own: theirs is the work that needs a processor.
fn validator(ingredients: Arc<Ingredients>, shard: usize, shards: usize) -> Factory<Addresses> {
    Factory::<Addresses>::new("validator", "validate", &format!("validator-{shard}"), move |addresses, mut spawn| {
        spawn.log = spawn.log.new(o!("shard" => shard));
        let place = spawn.place();
        let parts = validate::Parts {
            config: ingredients.config.validate.clone(),
            points: addresses.points.as_ref().map(|_| ingredients.config.influx.layout()),
            writer: need(&addresses.write, "writer")?,
            registry: need(&addresses.resolve, "registry")?,
            changes: need(&addresses.subscribe, "registry")?,
            taps: ingredients.taps.clone(),
            spawn,
        };
        let validator = start(&place, Validator::new(parts, shards));
        addresses.validators.push(validator.clone().recipient());
        Ok(validator.recipient())
    })
    .told_apart_by(shard)
}

fn consumer(ingredients: Arc<Ingredients>, lane: Lane) -> Factory<Addresses> {
    Factory::<Addresses>::new("consumer", "source", "source", move |addresses, mut spawn| {
        spawn.log = spawn.log.new(o!("consumer" => lane.consumer()));
        let place = spawn.place();
        let parts = source::Parts {
            config: ingredients.config.nats.clone(),
            client: ingredients.dependencies.nats.clone(),
            permissions: ingredients.dependencies.permissions.clone(),
            validators: addresses.validators.clone(),
            settings: need(&addresses.follow_settings, "registry")?,
            spawn,
        };
        let consumer = start_with(&place, move |own| Consumer::new(lane, parts, own));
        addresses.consumers.push(consumer.clone().recipient());
        Ok(consumer.recipient())
    })
    .told_apart_by(lane.consumer())
}
