//! Which device a token belongs to.
//!
//! The token's hash finds the names; what the gate knows under them decides, and is invalidated as every answer of the
//! registry is. So a remembered name is a hint, never a right.

use std::sync::Arc;

use actix_web::http::header::HeaderMap;
use parking_lot::Mutex;
use quick_cache::unsync::Cache;

use super::reader::Reader;
use crate::gateway::gate::Door;
use crate::gateway::http::failure::Failure;
use crate::gateway::http::request;
use ingest_core::message::device::{Device, DeviceKey, DeviceRef, TokenHash};
use ingest_core::message::rejection::Reason;

/// Names that are remembered.
const MOST_HINTS: usize = 16_384;

/// Names under a token's hash, in whichever case that is written. Two devices of one token are told apart by nothing: it is good for
/// neither here.
const BY_TOKEN: &str = "SELECT tenant_id::text, device_id::text FROM device_registry
    WHERE provision_token_hash IN ($1, upper($1)) LIMIT 2";

/// Finds devices by their tokens.
pub(in crate::gateway::http) struct Devices {
    door: Door,
    /// For devices that are known.
    reader: Reader,
    /// For tokens that nobody has shown before: strangers' wait for each other, and no device waits for them.
    of_strangers: Reader,
    hints: Mutex<Cache<[u8; 32], DeviceKey>>,
}

impl Devices {
    /// What the door knows decides; `reader` finds the names.
    pub(in crate::gateway::http) fn new(
        door: Door,
        pool: deadpool_postgres::Pool,
        readers: usize,
        log: slog::Logger,
    ) -> Self {
        let of_strangers = Reader::new(pool.clone(), readers.div_ceil(2), log.clone());
        let reader = Reader::new(pool, readers, log);
        Self { door, reader, of_strangers, hints: Mutex::new(Cache::new(MOST_HINTS)) }
    }

    pub(super) fn reader(&self) -> &Reader {
        &self.reader
    }

    /// The active device whose token a request shows.
    ///
    /// # Errors
    /// There is none, or it can't be asked for now.
    pub(super) async fn authenticated(&self, headers: &HeaderMap) -> Result<Arc<Device>, Failure> {
        let token =
            request::token(headers)?.ok_or_else(|| Failure::check(Reason::TokenMissing, "Missing provision token"))?;
        let hash = TokenHash::of(token);
        let hint = self.hints.lock().get(&hash.0).cloned();
        if let Some(hint) = hint {
            match self.confirmed(&hint, &hash).await? {
                Some(device) => return active(device),
                None => drop(self.hints.lock().remove(&hash.0)),
            }
        }
        let rows = self.of_strangers.rows(BY_TOKEN, &[&hash.to_hex()]).await?;
        let invalid = || Failure::check(Reason::TokenInvalid, "Invalid provision token");
        let [row] = rows.as_slice() else { return Err(invalid()) };
        let (tenant, device): (&str, &str) =
            row.try_get(0).and_then(|tenant| Ok((tenant, row.try_get(1)?))).map_err(|_| invalid())?;
        let key = DeviceKey::new(tenant, device);
        let device = self.confirmed(&key, &hash).await?.ok_or_else(invalid)?;
        self.hints.lock().insert(hash.0, key);
        active(device)
    }

    /// The device of these names, where the token is its own.
    async fn confirmed(&self, key: &DeviceKey, hash: &TokenHash) -> Result<Option<Arc<Device>>, Failure> {
        let device = self.door.device(DeviceRef { tenant_id: &key.tenant_id, device_id: &key.device_id }).await?;
        let is_its_own = |device: &Arc<Device>| device.token_hash.is_some_and(|own| own.is(hash));
        Ok(device.filter(is_its_own))
    }
}

fn active(device: Arc<Device>) -> Result<Arc<Device>, Failure> {
    match device.active {
        true => Ok(device),
        false => Err(Failure::check(Reason::DeviceRevoked, "the device is not active")),
    }
}
