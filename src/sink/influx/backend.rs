//! Where points go: a server's databases, or files.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use super::catalog::Columns;
use super::classify::WriteOutcome;
use super::error::SettingsError;
use super::files::{Disk, LineFiles, System};
use super::request::{Endpoint, Server};
use super::{Api, Config};
use crate::metrics::InfluxMetrics;
use ingest_core::influx::names::{self, TENANT_PLACE};
use ingest_core::influx::point::Layout;

/// Where the points of all tenants go.
#[derive(Clone, Debug)]
pub(crate) struct Backend {
    pub(super) store: Store,
    names: DatabaseNames,
    alert: Arc<SharedAlert>,
    /// What files are written to.
    pub(super) disk: Arc<dyn Disk>,
}

/// What holds the databases.
#[derive(Clone, Debug)]
pub(super) enum Store {
    /// A server.
    Server(Server),
    /// This directory; its files are rotated at this size.
    Files(PathBuf, u64),
}

/// How a tenant's database is called.
#[derive(Clone, Debug)]
enum DatabaseNames {
    /// By the rule for databases.
    Database,
    /// By the rule for buckets, from this template.
    Bucket(String),
    /// As that of all others.
    Shared(String),
}

impl Backend {
    /// What the configuration asks for.
    ///
    /// # Errors
    /// When a setting, or two of them together, can't be used.
    pub(crate) fn new(config: &Config) -> Result<Self, SettingsError> {
        let store = match (config.target.api, url(config)) {
            (Api::V2, None) => return Err(SettingsError::NoUrl),
            (Api::V2 | Api::V3, Some(url)) => Store::Server(Server::new(url, config)?),
            (Api::Files, _) | (Api::V3, None) => {
                Store::Files(config.files.data_dir.clone(), config.files.file_rotate_bytes)
            }
        };
        let names = match (&store, config.layout()) {
            // Two tenants' batchers can't append to one file; and what limits servers to few databases is no matter here.
            (Store::Files(..), _) => DatabaseNames::Database,
            (Store::Server(server), layout) if server.api() == Api::V2 => buckets(config, layout)?,
            (_, Layout::PerTenant) => DatabaseNames::Database,
            (_, Layout::Shared) => DatabaseNames::Shared(config.target.database.clone()),
        };
        Ok(Self { store, names, alert: Arc::default(), disk: Arc::new(System) })
    }

    /// Everything that keeps a configuration from being used.
    pub(crate) fn problems(config: &Config) -> Vec<SettingsError> {
        let mut problems = match (config.target.api, url(config)) {
            (Api::V2 | Api::V3, Some(url)) => Server::problems(url, config),
            (Api::V2, None) => vec![SettingsError::NoUrl],
            (Api::V3, None) | (Api::Files, _) => Vec::new(),
        };
        if config.target.api == Api::V2 {
            problems.extend(buckets(config, config.layout()).err());
        }
        problems
    }

    /// Counts the requests to its server there from now on.
    pub(super) fn count_in(&mut self, metrics: &InfluxMetrics) {
        if let Store::Server(server) = &mut self.store {
            server.count_in(&metrics.requests);
        }
    }

    /// Where it is: the server's URL as it was given, or the directory.
    pub(crate) fn address(&self) -> String {
        match &self.store {
            Store::Server(server) => server.base().to_owned(),
            Store::Files(directory, _) => directory.display().to_string(),
        }
    }

    /// What a tenant's database is called there.
    pub(crate) fn database(&self, tenant_id: &str) -> String {
        match &self.names {
            DatabaseNames::Database => names::influx_database(tenant_id),
            DatabaseNames::Bucket(template) => names::influx_bucket(template, tenant_id),
            DatabaseNames::Shared(name) => name.clone(),
        }
    }

    /// Whether each tenant has a database of its own.
    pub(crate) fn is_per_tenant(&self) -> bool {
        !matches!(self.names, DatabaseNames::Shared(_))
    }

    /// A tenant's database there. Nothing is touched before the first write.
    pub(crate) fn open(&self, tenant_id: &str) -> TenantTarget {
        let database = self.database(tenant_id);
        let database = match &self.store {
            Store::Server(server) => Database::Endpoint(Box::new(server.database(&database))),
            Store::Files(directory, rotate_bytes) => {
                let files = LineFiles::new(directory, &database, *rotate_bytes, self.disk.clone());
                Database::Files(Arc::new(Mutex::new(files)))
            }
        };
        TenantTarget { database, alert: self.alert.clone() }
    }
}

/// The server's URL, where there is one.
fn url(config: &Config) -> Option<&str> {
    config.target.url.as_deref().filter(|url| !url.trim().is_empty())
}

/// A bucket for each tenant or one for all.
fn buckets(config: &Config, layout: Layout) -> Result<DatabaseNames, SettingsError> {
    match (layout, config.target.bucket.as_deref()) {
        (Layout::PerTenant, None) => Ok(DatabaseNames::Bucket(format!("telemetry_{TENANT_PLACE}"))),
        (Layout::PerTenant, Some(template)) => Ok(DatabaseNames::Bucket(template.to_owned())),
        (Layout::Shared, Some(template)) if template.contains(TENANT_PLACE) => Err(SettingsError::SharedBuckets),
        (Layout::Shared, bucket) => Ok(DatabaseNames::Shared(bucket.unwrap_or(&config.target.database).to_owned())),
    }
}

/// Where the points of one tenant go.
#[derive(Clone, Debug)]
pub(crate) struct TenantTarget {
    database: Database,
    alert: Arc<SharedAlert>,
}

#[derive(Clone, Debug)]
enum Database {
    /// A server's.
    Endpoint(Box<Endpoint>),
    /// Files.
    Files(Arc<Mutex<LineFiles>>),
}

impl TenantTarget {
    /// How many writes may be under way at once, where `wanted` were configured.
    pub(crate) fn most_in_flight(&self, wanted: usize) -> usize {
        match &self.database {
            Database::Endpoint(_) => wanted.max(1),
            Database::Files(_) => 1, // they would only wait for each other
        }
    }

    /// Writes `lines` lines, each ended by a line feed. They are durable when it says that they are written.
    pub(crate) async fn write(self, body: Bytes, lines: usize) -> WriteOutcome {
        match self.database {
            Database::Endpoint(endpoint) => endpoint.write(body, lines).await,
            Database::Files(files) => blocking(files, move |files| files.append(&body)).await,
        }
    }

    /// Whether it may know SQL, and tell its columns.
    pub(crate) fn can_be_asked(&self) -> bool {
        matches!(self.database, Database::Endpoint(_))
    }

    /// The columns of its table of metrics.
    pub(crate) async fn columns(self) -> Columns {
        match self.database {
            Database::Endpoint(endpoint) => endpoint.columns().await,
            Database::Files(_) => Columns::Refused("files have no columns".to_owned()),
        }
    }

    /// Lets go of what is open there; nothing is written afterwards.
    pub(crate) async fn close(self) {
        if let Database::Files(files) = self.database {
            blocking(files, |files| {
                files.close();
                Ok(())
            })
            .await;
        }
    }

    /// What is wrong with all databases there, as far as their tenants have found out.
    pub(crate) fn alert(&self) -> &SharedAlert {
        &self.alert
    }
}

/// What is wrong with a whole server is new once, not once per tenant.
#[derive(Debug, Default)]
pub(crate) struct SharedAlert(Mutex<Option<String>>);

impl SharedAlert {
    /// Whether this is new.
    pub(crate) fn raise(&self, message: &str) -> bool {
        let mut raised = self.0.lock();
        let is_new = raised.as_deref() != Some(message);
        *raised = Some(message.to_owned());
        is_new
    }

    /// Something works there; whether that is new.
    pub(crate) fn settle(&self) -> bool {
        self.0.lock().take().is_some()
    }
}

/// File systems block: that must not hold up the other tenants of an actor's thread.
async fn blocking(
    files: Arc<Mutex<LineFiles>>,
    work: impl FnOnce(&mut LineFiles) -> std::io::Result<()> + Send + 'static,
) -> WriteOutcome {
    let work = move || {
        let mut files = files.lock();
        work(&mut files).map_err(|error| {
            let what = match error.kind() {
                ErrorKind::StorageFull => "the disk is full: ",
                ErrorKind::QuotaExceeded => "the disk quota is used up: ",
                _ => "",
            };
            format!("{what}{}: {error}", files.directory().display())
        })
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(())) => WriteOutcome::Written,
        Ok(Err(error)) => WriteOutcome::passing(error),
        Err(error) => WriteOutcome::passing(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::influx::config::with;

    fn config(api: Api, layout: Layout, bucket: Option<&str>) -> Config {
        with(Config::default(), |config| {
            config.target.api = api;
            config.target.url = Some("http://influx:8181".to_owned());
            config.target.database_layout = layout;
            config.target.bucket = bucket.map(str::to_owned);
        })
    }

    #[test]
    fn layout_and_template_decide_where_a_tenants_points_go() {
        use Layout::{PerTenant, Shared};
        for (config, database) in [
            (config(Api::V3, PerTenant, None), "telemetry_acme"),
            (config(Api::V3, Shared, None), "telemetry"),
            (config(Api::V2, PerTenant, None), "telemetry_acme"),
            (config(Api::V2, PerTenant, Some("iot-{tenant_id}-raw")), "iot-acme-raw"),
            (config(Api::V2, Shared, None), "telemetry"),
            (config(Api::V2, Shared, Some("iot")), "iot"),
            (config(Api::V2, PerTenant, Some("iot")), "iot"),
            (config(Api::Files, Shared, None), "telemetry_acme"),
        ] {
            let backend = Backend::new(&config).unwrap();
            assert_eq!(backend.database("acme"), database);
            let is_alone = backend.database("acme") != backend.database("other");
            assert!(is_alone || config.layout() == Shared, "tenants never share a database without a tag");
        }
    }

    #[test]
    fn settings_that_do_not_go_together_are_told() {
        let why = Backend::new(&config(Api::V2, Layout::Shared, Some("iot_{tenant_id}"))).unwrap_err().to_string();
        assert!(why.contains("INFLUXDB_BUCKET") && why.contains("INFLUXDB_DATABASE_LAYOUT"), "{why}");
        let no_url = with(config(Api::V2, Layout::PerTenant, None), |config| config.target.url = None);
        let no_url = Backend::new(&no_url).unwrap_err().to_string();
        assert_eq!(no_url, "INFLUXDB_API=v2 needs INFLUXDB_URL");
        let both = with(config(Api::V2, Layout::Shared, Some("iot_{tenant_id}")), |config| config.target.url = None);
        let problems: Vec<String> = Backend::problems(&both).iter().map(ToString::to_string).collect();
        assert_eq!(problems, [no_url, why]);
    }

    #[test]
    fn an_alert_is_new_until_something_works_again() {
        let alert = SharedAlert::default();
        assert!(alert.raise("a") && !alert.raise("a") && alert.raise("b"));
        assert!(alert.settle() && !alert.settle());
        assert!(alert.raise("b"));
    }
}
