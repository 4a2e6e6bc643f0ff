//! Why a message does not pass the door.

use thiserror::Error;

use ingest_core::message::rejection::Rejection;

/// Why a message does not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotAdmitted {
    /// It is not accepted, and would not be later.
    Rejected(Rejection),
    /// It can't be decided now.
    Unavailable(Unavailable),
}

/// Why a message can't be decided now.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(crate) enum Unavailable {
    /// PostgreSQL has not been asked yet, or does not answer, and what is known of the device is too old.
    #[error("the registry can't be asked about this device now")]
    Registry,
    /// As many look-ups wait already as may.
    #[error("too many devices are being looked up")]
    TooManyLookups,
}

impl From<Rejection> for NotAdmitted {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

impl From<Unavailable> for NotAdmitted {
    fn from(why: Unavailable) -> Self {
        Self::Unavailable(why)
    }
}
