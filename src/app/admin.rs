//! The admin listener of `run`: what it serves, and with which connections.

use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::dev::ServerHandle;
use actix_web::web::{Data, ServiceConfig};
use deadpool_postgres::Pool;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use slog::{Logger, info, o};
use tokio::sync::Semaphore;

use crate::config::Config;
use crate::http::admin;
use crate::observe::tap::{self, Taps};
use crate::observe::{self, Observer, Sources};
use crate::postgres::connector::Connector;
use crate::postgres::{self, pool};
use crate::registry::provisioning::api::DatabaseState;
use crate::registry::provisioning::{self, Activations, Devices, PLACES, TenantDatabases};
use crate::runtime::error_chain::error_chain;
use crate::runtime::failures::Failures;
use crate::sink::influx::{Backend, Presence, Provisioned};

/// Connections to PostgreSQL for administration. Not those of the writers: whoever asks a lot delays no row.
pub(crate) const CONNECTIONS: usize = 4;

/// Starts the listener, where a key is set.
///
/// It does not wait for PostgreSQL: while that is away it answers so.
///
/// # Errors
/// A sentence that names the setting.
pub(super) fn start(
    config: &Config,
    observed: Sources,
    taps: &Arc<Taps>,
    log: &Logger,
) -> Result<Option<AdminListener>, String> {
    if config.admin.key.is_empty() {
        info!(log, "no admin listener: ADMIN_KEY is not set");
        return Ok(None);
    }
    let pool = pool_for(&config.postgres)?;
    let log_of = |component| log.new(o!("component" => component));
    let databases: Option<Arc<dyn TenantDatabases>> = match config.influx.write_enabled {
        true => {
            let backend = Backend::new(&config.influx).map_err(|error| error.to_string())?;
            Some(Arc::new(Databases(backend)))
        }
        false => None,
    };
    let activations = Activations {
        pool: pool.clone(),
        failures: Failures::default(),
        places: Semaphore::new(PLACES),
        log: log_of("provision"),
    };
    let devices = Devices {
        pool,
        activation_ttl_minutes: config.admin.activation_ttl_minutes,
        databases,
        log: log_of("provision"),
    };
    let requests = observed.metrics.admin.clone();
    let observer = Observer::start(observed).map_err(|error| format!("no thread can be started: {error}"))?;
    let (activation, devices) =
        (provisioning::activation(Data::new(activations)), provisioning::devices(Data::new(devices)));
    let shown = observe::shown(Data::from(observer.clone()));
    let tap = tap::route(taps.clone());
    let parts = admin::Parts {
        config: config.admin.clone(),
        requests,
        log: log_of("admin"),
        open: move |service: &mut ServiceConfig| {
            activation(service);
            observe::assets(service);
        },
        keyed: move |service: &mut ServiceConfig| {
            devices(service);
            shown(service);
            tap(service);
        },
        log_in_page: observe::log_in_page,
    };
    let (address, server) = admin::start(parts).map_err(|error| error.to_string())?;
    Ok(Some(AdminListener { address, server, observer, taps: taps.clone() }))
}

/// The running listener, and what it shows.
pub(super) struct AdminListener {
    /// Where it listens.
    pub address: SocketAddr,
    server: ServerHandle,
    observer: Arc<Observer>,
    taps: Arc<Taps>,
}

impl AdminListener {
    /// Ends it. Whoever watches has seen the drain.
    pub(super) async fn stop(self) {
        self.observer.end();
        self.taps.end();
        self.server.stop(true).await;
    }
}

fn pool_for(config: &postgres::Config) -> Result<Pool, String> {
    let config = postgres::Config { pool_max: CONNECTIONS, ..config.clone() };
    let connector = Connector::new(&config).map_err(|error| error.to_string())?;
    pool::pool(&config, &connector).map_err(|error| error_chain(&error))
}

/// The tenants' databases where points go.
struct Databases(Backend);

impl TenantDatabases for Databases {
    fn name(&self, tenant_id: &str) -> String {
        self.0.database(tenant_id)
    }

    fn look(&self, tenant_id: &str) -> LocalBoxFuture<'static, DatabaseState> {
        let (backend, tenant_id) = (self.0.clone(), tenant_id.to_owned());
        async move {
            match backend.presence(&tenant_id).await {
                Presence::Exists => DatabaseState::Exists,
                Presence::Missing => DatabaseState::Requested,
                Presence::NoRoom => DatabaseState::NoRoom,
                Presence::Away => DatabaseState::Failed,
            }
        }
        .boxed_local()
    }

    fn make(&self, tenant_id: &str) -> LocalBoxFuture<'static, DatabaseState> {
        let (backend, tenant_id) = (self.0.clone(), tenant_id.to_owned());
        async move {
            match backend.provision(&tenant_id).await {
                Provisioned::Made | Provisioned::Exists | Provisioned::Warned(_) => DatabaseState::Requested,
                Provisioned::NoRoom(_) => DatabaseState::NoRoom,
                Provisioned::Failed(_) => DatabaseState::Failed,
            }
        }
        .boxed_local()
    }
}
