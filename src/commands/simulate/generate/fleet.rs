//! The simulated devices.

use std::collections::HashMap;
use std::sync::Arc;

use super::bad::Bad;

/// The registered devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fleet {
    /// How many send good messages.
    pub devices: u32,
    /// How many tenants they are spread over; not more than devices.
    pub tenants: u32,
    /// What their ids begin with: tells the fleets of several ways in apart.
    pub prefix: &'static str,
}

/// One registered device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SimDevice {
    /// Its tenant.
    pub tenant_id: String,
    /// Its id.
    pub device_id: String,
    /// Its site.
    pub site_id: String,
    /// `ACTIVE` or `REVOKED`.
    pub status: &'static str,
    /// The status of its subscription: `ACTIVE`, `SUSPENDED` or `EXPIRED`.
    pub subscription: &'static str,
    /// Whether it has a provision token.
    pub has_token: bool,
}

/// The devices' provision tokens.
#[derive(Clone, Debug)]
pub(crate) enum Tokens {
    /// `tok-{device}`, as the system's own simulator has them.
    Derived,
    /// As they were issued when the devices were activated, by the devices' ids.
    Issued(Arc<HashMap<String, String>>),
}

impl Tokens {
    /// A device's token. A device without one sends a made-up token.
    pub(crate) fn of(&self, device: &SimDevice) -> String {
        let issued = match self {
            Tokens::Derived => None,
            Tokens::Issued(tokens) => tokens.get(&device.device_id).cloned(),
        };
        issued.unwrap_or_else(|| format!("tok-{}", device.device_id))
    }
}

impl SimDevice {
    /// The id of its subscription.
    pub(crate) fn subscription_id(&self) -> String {
        format!("{}-{}", self.tenant_id, self.subscription.to_ascii_lowercase())
    }
}

impl Fleet {
    /// The device with this number, counted round the tenants.
    pub(crate) fn device(self, number: u32) -> SimDevice {
        SimDevice {
            tenant_id: format!("sim-{:03}", number % self.tenants),
            device_id: format!("{}-{number:06}", self.prefix),
            site_id: format!("site-{}", number % 10),
            status: "ACTIVE",
            subscription: "ACTIVE",
            has_token: true,
        }
    }

    /// A device that exists to be refused; each is one of the first tenant's.
    pub(super) fn invalid_device(self, bad: Bad) -> SimDevice {
        let device = self.device(0);
        match bad {
            Bad::Revoked => SimDevice { device_id: format!("{}-revoked", self.prefix), status: "REVOKED", ..device },
            Bad::Suspended => {
                SimDevice { device_id: format!("{}-suspended", self.prefix), subscription: "SUSPENDED", ..device }
            }
            Bad::Expired => {
                SimDevice { device_id: format!("{}-expired", self.prefix), subscription: "EXPIRED", ..device }
            }
            Bad::TokenNotSet => {
                SimDevice { device_id: format!("{}-without-token", self.prefix), has_token: false, ..device }
            }
            _ => device,
        }
    }

    /// All that the registry must hold for these kinds of bad messages.
    pub(crate) fn registered(self, bad_kinds: &[Bad]) -> impl Iterator<Item = SimDevice> {
        let invalid = bad_kinds.iter().filter(|bad| bad.has_own_device());
        (0..self.devices)
            .map(move |number| self.device(number))
            .chain(invalid.map(move |bad| self.invalid_device(*bad)))
    }
}
