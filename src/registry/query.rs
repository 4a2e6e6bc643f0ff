//! What the registry asks PostgreSQL, each question bounded in time.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use deadpool_postgres::{Client, Object, Pool};
use tokio_postgres::Error;

use super::{lookup, provision};
use crate::core::device::{DeviceKey, Lookup};
use crate::core::replay;
use crate::core::route::BadRoute;
use crate::metrics::{LookupResult, Metrics};
use crate::sentence::sentence;

/// Bound on one question: a frozen server becomes a fault that passes.
const BOUND: Duration = Duration::from_secs(5);

/// A device to be looked up.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Which.
    pub key: DeviceKey,
    /// The site that its message claims; empty where it claims none, and then it is not provisioned.
    pub site: String,
}

impl Asked {
    /// Whether it says where it would be registered, in text that PostgreSQL can hold.
    fn claims_a_site(&self) -> bool {
        !self.site.is_empty() && !self.site.contains('\0')
    }
}

/// One answer per device asked about, and the routes of their tenants.
#[derive(Debug, Default)]
pub struct Answers {
    /// The devices.
    pub devices: Vec<(DeviceKey, Lookup)>,
    /// The enabled routes by tenant; every tenant among the devices has an entry.
    pub routes: lookup::Routes,
    /// Rows of `message_routes` that make no route.
    pub bad_routes: Vec<BadRoute>,
    /// Why devices could not be registered.
    pub provision_errors: Vec<String>,
}

/// Looks devices up, registering unknown ones where that is asked for.
///
/// # Errors
/// A sentence; nothing is known then.
pub async fn look_up(pool: &Pool, asked: &[Asked], provisions: bool, metrics: &Metrics) -> Result<Answers, String> {
    let started = Instant::now();
    let answers = bounded(pool, async |client| answers(client, asked, provisions, metrics).await).await;
    if answers.is_err() {
        metrics.registry.lookups.of(LookupResult::Failed).inc_by(asked.len() as u64);
    }
    metrics.registry.lookup_seconds.observe(started.elapsed().as_secs_f64());
    answers
}

/// What is read again and again.
#[derive(Debug)]
pub struct SettingsRead {
    /// The rows of `app_settings`.
    pub rows: Vec<(String, String)>,
    /// What signs replays.
    pub replay_key: Option<replay::Key>,
}

/// The run-time settings, and the key that goes with them.
///
/// # Errors
/// A sentence.
pub async fn settings(pool: &Pool) -> Result<SettingsRead, String> {
    bounded(pool, async |client| {
        let rows = client.query("SELECT key, value FROM app_settings WHERE value IS NOT NULL", &[]).await?;
        let replay_key = replay_key(client).await?;
        Ok(SettingsRead { rows: rows.iter().map(|row| (row.get(0), row.get(1))).collect(), replay_key })
    })
    .await
}

/// What signs replays; `None` where somebody has removed it, or put something else there.
///
/// # Errors
/// When PostgreSQL does not answer.
pub async fn replay_key(client: &tokio_postgres::Client) -> Result<Option<replay::Key>, Error> {
    let row = client.query_opt("SELECT secret FROM ingest_node_secrets WHERE name = 'replay'", &[]).await?;
    Ok(row.and_then(|row| replay::Key::new(row.get(0))))
}

/// This tenant, if it has a device; every tenant that has one, where none is named.
///
/// # Errors
/// A sentence.
pub async fn tenants_with_devices(pool: &Pool, tenant: Option<&str>) -> Result<Vec<String>, String> {
    const SQL: &str = "SELECT DISTINCT tenant_id FROM device_registry WHERE tenant_id = $1 OR $1 IS NULL";
    let rows = bounded(pool, async |client| client.query(SQL, &[&tenant]).await).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

async fn answers(client: &mut Client, asked: &[Asked], provisions: bool, metrics: &Metrics) -> Result<Answers, Error> {
    let keys: Vec<DeviceKey> = asked.iter().map(|asked| asked.key.clone()).collect();
    let mut found = lookup::devices(client, &keys).await?;
    let (mut no_room, mut provision_errors) = (HashSet::new(), Vec::new());
    let wanted: Vec<(DeviceKey, String)> = asked
        .iter()
        .filter(|asked| provisions && asked.claims_a_site() && !found.contains_key(&asked.key))
        .map(|asked| (asked.key.clone(), asked.site.clone()))
        .collect();
    if !wanted.is_empty() {
        let provisioned = provision::provision(client, &wanted).await?;
        found.extend(lookup::devices(client, &provisioned.registered).await?);
        metrics.registry.provisioned.inc_by(provisioned.made);
        no_room.extend(provisioned.no_room);
        provision_errors = provisioned.errors;
    }
    let (routes, bad_routes) = lookup::routes(client, &keys).await?;
    let devices = keys.into_iter().map(|key| {
        let lookup = match found.get(&key) {
            Some(device) => Lookup::Found(device.clone()),
            None if no_room.contains(&key) => Lookup::NoCapacity,
            None => Lookup::Unknown,
        };
        metrics.registry.lookups.of(result_of(&lookup)).inc();
        (key, lookup)
    });
    Ok(Answers { devices: devices.collect(), routes, bad_routes, provision_errors })
}

fn result_of(lookup: &Lookup) -> LookupResult {
    match lookup {
        Lookup::Found(_) => LookupResult::Found,
        Lookup::Unknown => LookupResult::Unknown,
        Lookup::NoCapacity => LookupResult::NoCapacity,
    }
}

/// Asks over a connection of the pool. One whose answer did not come in time, or was an error, is not used again: it may
/// still be busy, or remember a statement that a change of the schema has made useless.
async fn bounded<T>(pool: &Pool, question: impl AsyncFnOnce(&mut Client) -> Result<T, Error>) -> Result<T, String> {
    let late = |_| format!("PostgreSQL did not answer within {} s", BOUND.as_secs());
    let mut client = tokio::time::timeout(BOUND, pool.get()).await.map_err(late)?.map_err(|error| sentence(&error))?;
    let answer = tokio::time::timeout(BOUND, question(&mut client)).await;
    match answer {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => {
            drop(Object::take(client));
            Err(sentence(&error))
        }
        Err(elapsed) => {
            drop(Object::take(client));
            Err(late(elapsed))
        }
    }
}
