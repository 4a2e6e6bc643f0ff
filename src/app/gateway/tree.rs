//! The list of the gateway's children, bottom-up: what others send to comes first. Draining goes the other way.

use std::sync::Arc;

use actix_web::web::Data;
use async_nats::Client;
use deadpool_postgres::Pool;
use slog::o;
use tokio::sync::Semaphore;

use super::wiring::Addresses;
use crate::config::Config;
use crate::gateway::gate::{DoorParts, Gate, GateParts};
use crate::gateway::http::{self, Further, IngestServer, Listener};
use crate::gateway::{StreamPublisher, StreamWatch, StreamWatchParts, Streams, mqtt};
use crate::nats::permissions::Permissions;
use crate::postgres::connector::Connector;
use crate::registry::provisioning::{self, Activations, PLACES};
use crate::registry::{self, Registry};
use crate::runtime::failures::Failures;
use crate::runtime::spawn::{SpawnContext, start};
use crate::supervisor::child::{Factory, need};
use ingest_core::validate::Policy;

/// What children are made of, the same for every generation.
pub(super) struct Ingredients {
    /// The whole configuration.
    pub config: Config,
    /// The connection that publishes.
    pub client: Client,
    /// Publishes on it, within one window for all ways in.
    pub publisher: StreamPublisher,
    /// What the server has denied it.
    pub permissions: Arc<Permissions>,
    /// Whether the streams take messages.
    pub streams: Arc<Streams>,
    /// Makes connections to PostgreSQL outside of the pool.
    pub connector: Connector,
    /// Connections to PostgreSQL, made when they are needed.
    pub pool: Pool,
    /// Where HTTP is served.
    pub listener: Listener,
}

/// The list.
pub(super) fn factories(ingredients: Arc<Ingredients>) -> Vec<Factory<Addresses>> {
    let mut list = vec![
        stream_watch(ingredients.clone()),
        registry(ingredients.clone()),
        gate(ingredients.clone()),
        ingest_server(ingredients.clone()),
    ];
    list.extend(ingredients.config.mqtt.host.is_some().then(|| mqtt_session(ingredients)));
    list
}

fn mqtt_session(ingredients: Arc<Ingredients>) -> Factory<Addresses> {
    Factory::<Addresses>::new("mqtt-session", "mqtt", "mqtt", move |_, spawn| {
        let place = spawn.place();
        let link = mqtt::BrokerLink {
            config: ingredients.config.mqtt.clone(),
            publish_timeout: ingredients.config.gateway.publish_timeout(),
            publisher: ingredients.publisher.clone(),
            client: ingredients.client.clone(),
            streams: ingredients.streams.clone(),
        };
        Ok(start(&place, mqtt::Session::new(mqtt::Parts { spawn, link })).recipient())
    })
}

fn stream_watch(ingredients: Arc<Ingredients>) -> Factory<Addresses> {
    Factory::<Addresses>::new("stream-watch", "gateway", "side", move |_, spawn| {
        let place = spawn.place();
        let (client, permissions) = (ingredients.client.clone(), ingredients.permissions.clone());
        let parts = StreamWatchParts { client, permissions, streams: ingredients.streams.clone(), spawn };
        Ok(start(&place, StreamWatch::new(parts)).recipient())
    })
}

/// Asks PostgreSQL about devices, and never registers one: unknown devices are left to the pipeline.
fn registry(ingredients: Arc<Ingredients>) -> Factory<Addresses> {
    Factory::<Addresses>::new("registry", "registry", "side", move |addresses, spawn| {
        let place = spawn.place();
        let parts = registry::Parts {
            config: registry::Config { auto_provision: false, ..ingredients.config.registry.clone() },
            connector: ingredients.connector.clone(),
            pool: ingredients.pool.clone(),
            settings_readers: Vec::new(),
            new_tenants: None,
            drain_waits: false,
            spawn,
        };
        let registry = start(&place, Registry::new(parts));
        addresses.resolve = Some(registry.clone().recipient());
        addresses.subscribe = Some(registry.clone().recipient());
        Ok(registry.recipient())
    })
}

fn gate(ingredients: Arc<Ingredients>) -> Factory<Addresses> {
    Factory::<Addresses>::new("gate", "gateway", "side", move |addresses, spawn| {
        let (validate, http) = (&ingredients.config.validate, &ingredients.config.gateway_http);
        let (require_token, cert_auth_enabled) = (validate.require_token, validate.cert_auth_enabled);
        let parts = GateParts {
            door: DoorParts {
                policy: Policy { require_token, cert_auth_enabled, points: None },
                auto_provision: ingredients.config.registry.auto_provision,
                capacity: validate.cache_max_size,
                ages: validate.ages(),
                max_lookups: http.lookups_waiting,
                lookup_bound: http.lookup_timeout(),
            },
            bucket_ttl_secs: validate.bucket_ttl_secs,
            registry: need(&addresses.resolve, "registry")?,
            changes: need(&addresses.subscribe, "registry")?,
            spawn,
        };
        let (gate, door) = Gate::start(parts);
        addresses.door = Some(door);
        Ok(gate.recipient())
    })
}

/// Serves on threads of its own.
fn ingest_server(ingredients: Arc<Ingredients>) -> Factory<Addresses> {
    Factory::<Addresses>::new("ingest-http", "gateway", "ingest", move |addresses, spawn| {
        let place = spawn.place();
        let parts = http::Parts {
            config: ingredients.config.gateway_http.clone(),
            listener: ingredients.listener.clone(),
            door: need(&addresses.door, "gate")?,
            publisher: ingredients.publisher.clone(),
            streams: ingredients.streams.clone(),
            pool: ingredients.pool.clone(),
            further: activation(&ingredients, &spawn),
            drain_secs: ingredients.config.supervisor.longest_wait_secs(),
            spawn,
        };
        Ok(start(&place, IngestServer::new(parts)).recipient())
    })
}

/// `POST /api/device/activate`, as at the admin listener of a node.
fn activation(ingredients: &Ingredients, spawn: &SpawnContext) -> Further {
    let log = spawn.log.new(o!("component" => "provision"));
    let activations = Activations {
        pool: ingredients.pool.clone(),
        failures: Failures::default(),
        places: Semaphore::new(PLACES),
        log,
    };
    Further { routes: Arc::new(provisioning::activation(Data::new(activations))), document: provisioning::openapi() }
}
