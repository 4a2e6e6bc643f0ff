//! A look-up from the question to the answers, and the registration of what is unknown.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use deadpool_postgres::{Client, Pool};

use super::auto_provision;
use super::error::RegistryError;
use super::lookup::{self, Devices};
use super::query::{Asked, ask};
use super::routes::RouteRows;
use crate::metrics::{LookupResult, Metrics};
use ingest_core::message::device::{DeviceKey, Lookup};

/// What decides how a look-up is answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policy {
    /// `AUTO_PROVISION`.
    pub provisions: bool,
    /// Most routes of a tenant.
    pub most_routes: usize,
}

/// What is known now.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// The devices; whether the same would be answered to a message that claims a site.
    pub devices: Vec<(DeviceKey, Lookup, bool)>,
    /// Tenants with a registered device.
    pub registered: HashSet<Arc<str>>,
    /// The routes of the tenants whose devices were found.
    pub routes: Vec<RouteRows>,
    /// Devices that can't be looked up, or not be registered, with the reason.
    pub invalid: Vec<(DeviceKey, String)>,
    /// Unknown devices that are to be registered, or whose registration is to be tried again: not answered yet.
    pub to_register: Vec<Asked>,
}

/// Looks devices up.
///
/// # Errors
/// Where the database is at fault; nothing is known then.
pub(super) async fn look_up(
    pool: &Pool,
    asked: &[Asked],
    policy: Policy,
    metrics: &Metrics,
) -> Result<Answers, RegistryError> {
    let started = Instant::now();
    let keys: Vec<DeviceKey> = asked.iter().map(|asked| asked.key.clone()).collect();
    let answers = ask(pool, async |client| {
        let Devices { mut known, invalid } = lookup::devices(client, &keys).await?;
        let mut to_register = Vec::new();
        let mut provisional = HashSet::new();
        let answered: HashSet<DeviceKey> = known.iter().map(|(key, _)| key.clone()).collect();
        for asked in asked.iter().filter(|asked| !answered.contains(&asked.key)) {
            if policy.provisions && asked.claims_a_site() {
                to_register.push(asked.clone());
            } else {
                known.push((asked.key.clone(), Lookup::Unknown));
                provisional.extend((policy.provisions && asked.site.is_empty()).then_some(&asked.key));
            }
        }
        let is_final = |key: &DeviceKey| !provisional.contains(key);
        let devices = known.into_iter().map(|(key, lookup)| {
            let is_final = is_final(&key);
            (key, lookup, is_final)
        });
        complete(client, Answers { devices: devices.collect(), invalid, to_register, ..Answers::default() }, policy)
            .await
    })
    .await;
    match &answers {
        Ok(answers) => count(answers, metrics),
        Err(_) => {
            metrics.registry.lookups.of(LookupResult::Failed).inc_by(asked.len() as u64);
        }
    }
    metrics.registry.lookup_seconds.observe(started.elapsed().as_secs_f64());
    answers
}

/// Registers unknown devices and looks them up again.
///
/// # Errors
/// Where the database is at fault; what was registered is found by the next look-up.
pub(super) async fn register(
    pool: &Pool,
    asked: Vec<Asked>,
    policy: Policy,
    metrics: &Metrics,
) -> Result<Answers, RegistryError> {
    let answers = ask(pool, async |client| {
        let provisioned = auto_provision::provision(client, asked).await?;
        metrics.registry.provisioned.inc_by(provisioned.made);
        // For lack of room, too: another replica may have registered the device, and taken the last place with it.
        let again = [&*provisioned.registered, &*provisioned.no_room].concat();
        let Devices { known, mut invalid } = lookup::devices(client, &again).await?;
        let mut known: HashMap<DeviceKey, Lookup> = known.into_iter().collect();
        for key in provisioned.no_room {
            known.entry(key).or_insert(Lookup::NoCapacity);
        }
        for key in provisioned.registered {
            // Deleted in this very moment.
            known.entry(key).or_insert(Lookup::Unknown);
        }
        for (key, why) in provisioned.refused {
            known.insert(key.clone(), Lookup::Invalid(why.as_str().into()));
            invalid.push((key, why));
        }
        let devices = known.into_iter().map(|(key, lookup)| (key, lookup, true)).collect();
        let answers = Answers { devices, invalid, to_register: provisioned.locked, ..Answers::default() };
        complete(client, answers, policy).await
    })
    .await?;
    count(&answers, metrics);
    Ok(answers)
}

/// Adds what goes with the devices: their tenants' routes and standing.
async fn complete(client: &Client, mut answers: Answers, policy: Policy) -> Result<Answers, RegistryError> {
    let (mut with_devices, mut without) = (HashSet::new(), HashSet::new());
    for (key, lookup, _) in &answers.devices {
        let tenants = if matches!(lookup, Lookup::Found(_)) { &mut with_devices } else { &mut without };
        tenants.insert(key.tenant_id.clone());
    }
    let in_doubt: Vec<Arc<str>> = without.difference(&with_devices).cloned().collect();
    if !in_doubt.is_empty() {
        answers.registered = lookup::registered(client, &in_doubt).await?;
    }
    let tenants: Vec<Arc<str>> = with_devices.iter().cloned().collect();
    if !tenants.is_empty() {
        answers.routes = lookup::routes(client, &tenants, policy.most_routes).await?;
    }
    answers.registered.extend(with_devices);
    Ok(answers)
}

fn count(answers: &Answers, metrics: &Metrics) {
    for (_, lookup, _) in &answers.devices {
        let result = match lookup {
            Lookup::Found(_) => LookupResult::Found,
            Lookup::Unknown => LookupResult::Unknown,
            Lookup::NoCapacity => LookupResult::NoCapacity,
            Lookup::Invalid(_) => LookupResult::Invalid,
        };
        metrics.registry.lookups.of(result).inc();
    }
}
