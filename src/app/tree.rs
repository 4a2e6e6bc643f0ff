//! The list of children, bottom-up: what others send to comes first. Draining goes the other way.

use std::sync::Arc;

use actix::{Actor, Addr, Context};
use actix_rt::ArbiterHandle;
use slog::{Logger, o};

use super::run::Dependencies;
use crate::config::Config;
use crate::delivery::Lane;
use crate::delivery::pending_ack::Outbox;
use crate::message::{AttachRouter, AttachWriter, Drain};
use crate::metrics::Metrics;
use crate::nats::provision::Provisioner;
use crate::outbox::actor::Replayer;
use crate::outbox::policy::WritePolicy;
use crate::registry::{self, Registry};
use crate::runtime::readiness::Readiness;
use crate::runtime::stats::Stats;
use crate::sink::influx::{self, Router};
use crate::sink::postgres::{self, Downstream, Writer};
use crate::sink::routes::{self, Publisher};
use crate::sink::state::{self, DerivedStateWriter};
use crate::source::{self, Consumer};
use crate::supervisor::child::{Factory, SpawnContext, Wiring};
use crate::validate::{self, Validator};

/// What every child may need.
pub(crate) struct Common {
    /// The whole configuration.
    pub config: Config,
    /// Connections.
    pub dependencies: Dependencies,
    /// The readiness board.
    pub health: Arc<Readiness>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// Who tells `/stats` what.
    pub stats: Arc<Stats>,
    /// The root log.
    pub log: Logger,
}

impl Common {
    fn room(&self, room: &'static str) -> Logger {
        self.log.new(o!("component" => room))
    }
}

/// The list.
pub(crate) fn factories(common: Arc<Common>) -> Vec<Factory> {
    let mut list = Vec::new();
    if common.config.influx.write_enabled {
        list.push(replayer(common.clone()));
        list.push(router(common.clone()));
    }
    list.push(publisher(common.clone()));
    list.push(keeper(common.clone()));
    list.push(writer(common.clone()));
    list.push(registry(common.clone()));
    let shards = common.config.validate.workers;
    list.extend((0..shards).map(|shard| validator(common.clone(), shard, shards)));
    list.extend(Lane::ALL.map(|lane| consumer(common.clone(), lane)));
    list
}

/// Lowest of all: it drains when all others have said what became of their points.
fn replayer(common: Arc<Common>) -> Factory {
    factory("replayer", "side", move |wiring, SpawnContext { thread, actor_guard }| {
        let (outbox, ends) = Outbox::new();
        let influx = &common.config.influx;
        let is_owed = influx.write_policy == WritePolicy::BestEffort && influx.outbox;
        wiring.outbox = is_owed.then(|| outbox.clone());
        let parts = crate::outbox::Parts {
            settings: common.config.influx.redelivery(),
            connection: common.dependencies.connection.clone(),
            outbox: (outbox, ends),
            metrics: common.metrics.clone(),
            stats: common.stats.clone(),
            health: common.health.clone(),
            log: common.room("replay"),
            actor_guard,
        };
        let replayer = start(&thread, Replayer::new(parts));
        wiring.attach_router = Some(replayer.clone().recipient());
        Ok(replayer.recipient())
    })
}

/// The Router has the batchers on threads of its own.
fn router(common: Arc<Common>) -> Factory {
    factory("router", "store", move |wiring, SpawnContext { thread, actor_guard }| {
        let parts = influx::Parts {
            destination: influx::Backend::new(&common.config.influx)?,
            config: common.config.influx.clone(),
            metrics: common.metrics.clone(),
            stats: common.stats.clone(),
            health: common.health.clone(),
            log: common.room("influx"),
            actor_guard,
        };
        let router = start(&thread, Router::new(parts));
        wiring.points = Some(router.clone().recipient());
        wiring.newcomers = Some(router.clone().recipient());
        if let Some(replayer) = &wiring.attach_router {
            replayer.do_send(AttachRouter(router.clone().recipient()));
        }
        wiring.attach_writer = Some(router.clone().recipient());
        Ok(router.recipient())
    })
}

fn publisher(common: Arc<Common>) -> Factory {
    factory("publisher", "side", move |wiring, SpawnContext { thread, actor_guard }| {
        let (client, log) = (common.dependencies.nats_jobs.clone(), common.room("routes"));
        let parts = routes::Parts {
            config: common.config.routes.clone(),
            streams: Provisioner::new(&client, &common.config.nats, &common.metrics, &log),
            client,
            metrics: common.metrics.clone(),
            health: common.health.clone(),
            log,
            actor_guard,
        };
        let publisher = start(&thread, Publisher::new(parts));
        wiring.publish = Some(publisher.clone().recipient());
        Ok(publisher.recipient())
    })
}

fn keeper(common: Arc<Common>) -> Factory {
    factory("keeper", "side", move |wiring, SpawnContext { thread, actor_guard }| {
        let parts = state::Parts {
            config: common.config.state.clone(),
            pool: common.dependencies.pool.clone(),
            metrics: common.metrics.clone(),
            log: common.room("state"),
            actor_guard,
        };
        let keeper = start(&thread, DerivedStateWriter::new(parts));
        wiring.observe = Some(keeper.clone().recipient());
        Ok(keeper.recipient())
    })
}

fn writer(common: Arc<Common>) -> Factory {
    factory("writer", "store", move |wiring, SpawnContext { thread, actor_guard }| {
        let parts = postgres::Parts {
            config: common.config.postgres.clone(),
            pool: common.dependencies.pool.clone(),
            outbox: wiring.outbox.clone(),
            downstream: Downstream {
                points: wiring.points.clone(),
                policy: common.config.influx.write_policy,
                jobs: wiring.publish.clone(),
                observe: wiring.observe.clone(),
            },
            metrics: common.metrics.clone(),
            health: common.health.clone(),
            log: common.room("postgres"),
            actor_guard,
        };
        let writer = start(&thread, Writer::new(parts));
        wiring.write = Some(writer.clone().recipient());
        wiring.settings_readers.push(writer.clone().recipient());
        if let Some(router) = &wiring.attach_writer {
            router.do_send(AttachWriter(writer.clone().recipient()));
        }
        Ok(writer.recipient())
    })
}

fn registry(common: Arc<Common>) -> Factory {
    factory("registry", "store", move |wiring, SpawnContext { thread, actor_guard }| {
        let parts = registry::Parts {
            config: common.config.registry.clone(),
            connection: common.dependencies.connection.clone(),
            pool: common.dependencies.pool.clone(),
            settings_readers: wiring.settings_readers.clone(),
            newcomers: wiring.newcomers.clone(),
            metrics: common.metrics.clone(),
            health: common.health.clone(),
            log: common.room("registry"),
            actor_guard,
        };
        let registry = start(&thread, Registry::new(parts));
        wiring.resolve = Some(registry.clone().recipient());
        wiring.subscribe = Some(registry.clone().recipient());
        wiring.follow_settings = Some(registry.clone().recipient());
        Ok(registry.recipient())
    })
}

/// Each validator has a thread of its own: theirs is the work that needs a processor.
fn validator(common: Arc<Common>, shard: usize, shards: usize) -> Factory {
    factory("validator", &format!("validator-{shard}"), move |wiring, SpawnContext { thread, actor_guard }| {
        let parts = validate::Parts {
            config: common.config.validate.clone(),
            points: wiring.points.as_ref().map(|_| common.config.influx.layout()),
            writer: Wiring::need(&wiring.write, "writer")?,
            registry: Wiring::need(&wiring.resolve, "registry")?,
            changes: Wiring::need(&wiring.subscribe, "registry")?,
            metrics: common.metrics.clone(),
            log: common.log.new(o!("component" => "validate", "shard" => shard)),
            actor_guard,
        };
        let validator = start(&thread, Validator::new(parts, shards));
        wiring.validators.push(validator.clone().recipient());
        Ok(validator.recipient())
    })
}

fn consumer(common: Arc<Common>, lane: Lane) -> Factory {
    factory("consumer", "source", move |wiring, SpawnContext { thread, actor_guard }| {
        let parts = source::Parts {
            config: common.config.nats.clone(),
            client: common.dependencies.nats.clone(),
            permissions: common.dependencies.permissions.clone(),
            validators: wiring.validators.clone(),
            settings: Wiring::need(&wiring.follow_settings, "registry")?,
            metrics: common.metrics.clone(),
            health: common.health.clone(),
            log: common.log.new(o!("component" => "source", "consumer" => lane.consumer())),
            actor_guard,
        };
        let consumer = start(&thread, Consumer::new(lane, parts));
        wiring.consumers.push(consumer.clone().recipient());
        Ok(consumer.recipient())
    })
}

fn factory(
    name: &'static str,
    thread: &str,
    build: impl Fn(&mut Wiring, SpawnContext) -> Result<actix::Recipient<Drain>, String> + 'static,
) -> Factory {
    Factory { name, thread: thread.to_owned(), build: Box::new(build) }
}

/// Starts an actor on a thread.
fn start<A>(thread: &ArbiterHandle, actor: A) -> Addr<A>
where
    A: Actor<Context = Context<A>> + Send,
{
    A::start_in_arbiter(thread, |_| actor)
}
