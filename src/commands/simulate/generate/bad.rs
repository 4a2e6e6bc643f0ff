//! The kinds of bad messages.

use ingest_core::message::rejection::Reason;

/// The ways to be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // each is what its reason says
pub(crate) enum Bad {
    Json,
    Topic,
    TooLarge,
    SeqType,
    SiteType,
    MetricsType,
    Version,
    Tenant,
    NoSite,
    Unknown,
    Revoked,
    Suspended,
    Expired,
    Site,
    NoToken,
    WrongToken,
    TokenNotSet,
    ManyMetrics,
    LongKey,
    ControlKey,
}

impl Bad {
    /// Every way, in the order in which they come.
    pub(crate) const ALL: [Bad; 20] = [
        Bad::Json,
        Bad::Topic,
        Bad::TooLarge,
        Bad::SeqType,
        Bad::SiteType,
        Bad::MetricsType,
        Bad::Version,
        Bad::Tenant,
        Bad::NoSite,
        Bad::Unknown,
        Bad::Revoked,
        Bad::Suspended,
        Bad::Expired,
        Bad::Site,
        Bad::NoToken,
        Bad::WrongToken,
        Bad::TokenNotSet,
        Bad::ManyMetrics,
        Bad::LongKey,
        Bad::ControlKey,
    ];

    /// Whether it is sent by a device that is registered to be refused.
    pub(super) fn has_own_device(self) -> bool {
        matches!(self, Bad::Revoked | Bad::Suspended | Bad::Expired | Bad::TokenNotSet)
    }

    /// Whether it takes a subscription, which the provisioning API knows nothing of.
    pub(crate) fn needs_subscription(self) -> bool {
        matches!(self, Bad::Suspended | Bad::Expired)
    }

    /// The reason that it must be refused with, under default settings.
    pub(crate) const fn reason(self) -> Reason {
        match self {
            Bad::Json => Reason::BadEnvelope,
            Bad::Topic => Reason::BadTopicFormat,
            Bad::TooLarge => Reason::PayloadTooLarge,
            Bad::SeqType | Bad::SiteType | Bad::MetricsType => Reason::InvalidPayload,
            Bad::Version => Reason::UnsupportedEnvelopeVersion,
            Bad::Tenant => Reason::TenantMismatch,
            Bad::NoSite => Reason::MissingSiteId,
            Bad::Unknown => Reason::UnregisteredDevice,
            Bad::Revoked => Reason::DeviceRevoked,
            Bad::Suspended => Reason::SubscriptionSuspended,
            Bad::Expired => Reason::SubscriptionExpired,
            Bad::Site => Reason::SiteMismatch,
            Bad::NoToken => Reason::TokenMissing,
            Bad::WrongToken => Reason::TokenInvalid,
            Bad::TokenNotSet => Reason::TokenNotSetInRegistry,
            Bad::ManyMetrics => Reason::TooManyMetrics,
            Bad::LongKey => Reason::MetricKeyTooLong,
            Bad::ControlKey => Reason::MetricKeyInvalid,
        }
    }
}
