//! Rejections: why a message is not accepted, a value with a reason from a closed list, never an error.

use std::borrow::Cow;
use std::fmt;

/// The closed list of reason codes; column value in PostgreSQL and metric label alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[allow(missing_docs)] // each variant is its own code, see `as_str`
pub enum Reason {
    BadEnvelope,
    BadTopicFormat,
    SubjectMismatch,
    PayloadTooLarge,
    InvalidPayload,
    UnsupportedEnvelopeVersion,
    TenantMismatch,
    MissingSiteId,
    UnregisteredDevice,
    NoSubscriptionCapacity,
    SubscriptionSuspended,
    SubscriptionExpired,
    DeviceRevoked,
    SiteMismatch,
    TokenNotSetInRegistry,
    TokenMissing,
    TokenInvalid,
    RateLimited,
    TooManyMetrics,
    MetricKeyTooLong,
    MetricKeyInvalid,
    RowRefused,
    PointRefused,
    ProcessingFailed,
}

impl Reason {
    /// Every reason, in the order of the checks.
    pub const ALL: [Reason; 24] = [
        Reason::BadEnvelope,
        Reason::BadTopicFormat,
        Reason::SubjectMismatch,
        Reason::PayloadTooLarge,
        Reason::InvalidPayload,
        Reason::UnsupportedEnvelopeVersion,
        Reason::TenantMismatch,
        Reason::MissingSiteId,
        Reason::UnregisteredDevice,
        Reason::NoSubscriptionCapacity,
        Reason::SubscriptionSuspended,
        Reason::SubscriptionExpired,
        Reason::DeviceRevoked,
        Reason::SiteMismatch,
        Reason::TokenNotSetInRegistry,
        Reason::TokenMissing,
        Reason::TokenInvalid,
        Reason::RateLimited,
        Reason::TooManyMetrics,
        Reason::MetricKeyTooLong,
        Reason::MetricKeyInvalid,
        Reason::RowRefused,
        Reason::PointRefused,
        Reason::ProcessingFailed,
    ];

    /// The code as operators, dashboards and `quarantine_events.reason` know it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Reason::BadEnvelope => "BAD_ENVELOPE",
            Reason::BadTopicFormat => "BAD_TOPIC_FORMAT",
            Reason::SubjectMismatch => "SUBJECT_MISMATCH",
            Reason::PayloadTooLarge => "PAYLOAD_TOO_LARGE",
            Reason::InvalidPayload => "INVALID_PAYLOAD",
            Reason::UnsupportedEnvelopeVersion => "UNSUPPORTED_ENVELOPE_VERSION",
            Reason::TenantMismatch => "TENANT_MISMATCH_TOPIC_VS_PAYLOAD",
            Reason::MissingSiteId => "MISSING_SITE_ID",
            Reason::UnregisteredDevice => "UNREGISTERED_DEVICE",
            Reason::NoSubscriptionCapacity => "NO_SUBSCRIPTION_CAPACITY",
            Reason::SubscriptionSuspended => "SUBSCRIPTION_SUSPENDED",
            Reason::SubscriptionExpired => "SUBSCRIPTION_EXPIRED",
            Reason::DeviceRevoked => "DEVICE_REVOKED",
            Reason::SiteMismatch => "SITE_MISMATCH_REGISTRY_VS_PAYLOAD",
            Reason::TokenNotSetInRegistry => "TOKEN_NOT_SET_IN_REGISTRY",
            Reason::TokenMissing => "TOKEN_MISSING",
            Reason::TokenInvalid => "TOKEN_INVALID",
            Reason::RateLimited => "RATE_LIMITED",
            Reason::TooManyMetrics => "TOO_MANY_METRICS",
            Reason::MetricKeyTooLong => "METRIC_KEY_TOO_LONG",
            Reason::MetricKeyInvalid => "METRIC_KEY_INVALID",
            Reason::RowRefused => "ROW_REFUSED",
            Reason::PointRefused => "POINT_REFUSED",
            Reason::ProcessingFailed => "PROCESSING_FAILED",
        }
    }

    /// Whether the message can't be attributed to a tenant, whatever its topic names.
    pub const fn is_unattributed(self) -> bool {
        matches!(self, Reason::BadEnvelope | Reason::BadTopicFormat | Reason::SubjectMismatch)
    }

    /// Whether a quarantine event is stored even with `STORE_REJECTS=0` and over the cap: the cause is not the tenant.
    pub const fn is_always_stored(self) -> bool {
        matches!(self, Reason::BadEnvelope | Reason::RowRefused | Reason::PointRefused | Reason::ProcessingFailed)
    }

    /// Whether it is counted but never stored: storing messages over the limit would defeat the limit.
    pub const fn is_never_stored(self) -> bool {
        matches!(self, Reason::RateLimited)
    }

    /// Whether the delivery itself can never succeed, here or on any replica: it is terminated, not acknowledged.
    pub const fn is_poison(self) -> bool {
        matches!(self, Reason::RowRefused | Reason::ProcessingFailed)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A rejection: the reason and, where it helps an operator, which part of the message caused it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The code.
    pub reason: Reason,
    /// A short sentence for people; never holds a value of the message, so never a token.
    pub detail: Cow<'static, str>,
    /// Whether the sender was authenticated, or needed not to be: the message, when reprocessed, then needs no token.
    pub authenticated: bool,
}

impl Rejection {
    /// A rejection with a detail.
    pub fn new(reason: Reason, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { reason, detail: detail.into(), authenticated: false }
    }

    /// The same, with whether the sender was authenticated.
    #[must_use]
    pub fn authenticated(self, authenticated: bool) -> Self {
        Self { authenticated, ..self }
    }
}

impl From<Reason> for Rejection {
    fn from(reason: Reason) -> Self {
        Self { reason, detail: Cow::Borrowed(""), authenticated: false }
    }
}
