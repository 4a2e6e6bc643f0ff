//! What the registry says, and what follows from it for the message.

use crate::message::rejection::Reason;

/// The device of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Device {
    /// It could not be asked about, or it is not known which one it is.
    Unknown,
    /// It is not registered.
    Unregistered {
        /// The tenant's id.
        tenant: String,
        /// The device's id.
        device: String,
        /// Whether its tenant has another device.
        tenant_is_registered: bool,
    },
    /// It is registered.
    Registered(DeviceFacts),
}

/// A registered device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceFacts {
    /// The tenant's id.
    pub tenant: String,
    /// The device's id.
    pub device: String,
    /// Its site.
    pub site: String,
    /// Its status.
    pub status: String,
    /// The status of its subscription, where it has one.
    pub subscription: Option<String>,
    /// Whether it has a token.
    pub has_token: bool,
    /// When it was last changed, Unix microseconds.
    pub updated_us: Option<i64>,
}

/// What would become of a message now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prospect {
    /// Its content, the settings or the registry are not known.
    Unknown,
    /// It would pass.
    Passes,
    /// Its device would be registered, where a subscription of its tenant has room.
    Provisions,
    /// It would be rejected.
    Rejected {
        /// Why.
        reason: Reason,
        /// What an operator reads beside it.
        detail: String,
    },
    /// The node would acknowledge it and do nothing: it is none of a device.
    Ignored,
}
