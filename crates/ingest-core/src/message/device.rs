//! Devices: what the registry holds of one, as far as validation needs it.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use quick_cache::Equivalent;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::message::metric_keys::MetricKeyMap;

/// Tenant and device: the identity of everything that a device sends.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeviceKey {
    /// The tenant's id.
    pub tenant_id: Arc<str>,
    /// The device's id, unique within its tenant.
    pub device_id: Arc<str>,
}

impl DeviceKey {
    /// A key with copies of the ids.
    pub fn new(tenant_id: &str, device_id: &str) -> Self {
        Self { tenant_id: tenant_id.into(), device_id: device_id.into() }
    }

    /// Bytes that its ids take on the heap, approximately.
    pub fn size_bytes(&self) -> usize {
        /// The two counters in front of the text of an `Arc<str>`.
        const COUNTERS: usize = 2 * size_of::<usize>();
        self.tenant_id.len() + self.device_id.len() + 2 * COUNTERS
    }
}

impl Hash for DeviceKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        DeviceRef { tenant_id: &self.tenant_id, device_id: &self.device_id }.hash(state);
    }
}

/// A borrowed [`DeviceKey`]: look-ups cost no allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DeviceRef<'a> {
    /// The tenant's id.
    pub tenant_id: &'a str,
    /// The device's id.
    pub device_id: &'a str,
}

impl Equivalent<DeviceKey> for DeviceRef<'_> {
    fn equivalent(&self, key: &DeviceKey) -> bool {
        *self.tenant_id == *key.tenant_id && *self.device_id == *key.device_id
    }
}

impl From<DeviceRef<'_>> for DeviceKey {
    fn from(device: DeviceRef<'_>) -> Self {
        DeviceKey::new(device.tenant_id, device.device_id)
    }
}

/// One row of the registry with everything that is fetched along with it.
#[derive(Clone, Debug)]
pub struct Device {
    /// Tenant and device.
    pub key: DeviceKey,
    /// The site the device is registered at.
    pub site_id: String,
    /// Whether its status is `ACTIVE`; messages of any other device are rejected.
    pub active: bool,
    /// The subscription's state; see [`Subscription`].
    pub subscription: Subscription,
    /// SHA-256 of the provision token, where one is set.
    pub token_hash: Option<TokenHash>,
    /// When the device's ACTIVE certificates (common name `tenant/device`) are valid.
    pub certificates: Vec<ValidityPeriod>,
    /// The mapping of metric names by the device's modules.
    pub metric_keys: MetricKeyMap,
    /// Whether messages may move the device (`location_source` is `auto` or null).
    pub location_is_auto: bool,
    /// How many sensors may be discovered: the device's limit, else its tier's, else 20.
    pub sensor_limit: u32,
}

impl Device {
    /// Bytes of memory that it takes, approximately, its share of the heap included.
    pub fn size_bytes(&self) -> usize {
        size_of::<Self>()
            + self.key.size_bytes()
            + self.site_id.len()
            + self.certificates.len() * size_of::<ValidityPeriod>()
            + self.metric_keys.size_bytes()
    }

    /// Whether one of its certificates is valid at a time.
    pub fn has_certificate_at(&self, at_us: i64) -> bool {
        self.certificates.iter().any(|period| period.contains(at_us))
    }
}

/// Validity period of a certificate, in Unix microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValidityPeriod {
    /// The first moment at which it is valid.
    pub from_us: i64,
    /// The end: the first moment at which it is no longer valid.
    pub until_us: i64,
}

impl ValidityPeriod {
    /// Whether it is valid at a time.
    pub fn contains(&self, at_us: i64) -> bool {
        self.from_us <= at_us && at_us < self.until_us
    }
}

/// The state of a device's subscription, as far as it decides about messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subscription {
    /// None, TRIAL, ACTIVE or GRACE.
    Passes,
    /// SUSPENDED.
    Suspended,
    /// EXPIRED.
    Expired,
}

impl Subscription {
    /// From `subscriptions.status`; a status that is not listed passes.
    pub fn from_status(status: Option<&str>) -> Self {
        match status {
            Some("SUSPENDED") => Subscription::Suspended,
            Some("EXPIRED") => Subscription::Expired,
            _ => Subscription::Passes,
        }
    }
}

/// SHA-256 of a provision token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenHash(pub [u8; 32]);

impl TokenHash {
    /// Of a token.
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }

    /// Whether both are of one token; takes the same time whatever they are.
    pub fn is(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }

    /// The registry's text of it.
    pub fn to_hex(self) -> String {
        HEXLOWER.encode(&self.0)
    }

    /// From the registry's hexadecimal text (either case); `None` for any other text.
    pub fn from_hex(hex: &str) -> Option<Self> {
        HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok()?.try_into().ok().map(Self)
    }
}

/// Result of a registry look-up.
#[derive(Clone, Debug)]
pub enum Lookup {
    /// The device is registered.
    Found(Arc<Device>),
    /// The device is not registered, and was not provisioned.
    Unknown,
    /// The device is not registered, and its tenant's subscriptions have no capacity for it (auto-provisioning only).
    NoCapacity,
    /// Invalid device: PostgreSQL rejects the look-up of this device, or its row can't be read. The reason, without values.
    Invalid(Arc<str>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_hash_is_64_hexadecimal_digits_of_either_case() {
        let hash = TokenHash::from_hex(&"0aB9".repeat(16)).unwrap();
        assert_eq!(hash.0, [0x0A, 0xB9].repeat(16)[..]);
        for text in ["", "0a", &"0".repeat(62), &"0".repeat(63), &"0".repeat(66), &"0g".repeat(32), &" 0".repeat(32)] {
            assert_eq!(TokenHash::from_hex(text), None, "{text}");
        }
        assert_eq!(TokenHash::from_hex(&"é".repeat(32)), None);
    }
}
