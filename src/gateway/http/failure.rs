//! Why a request is not accepted, as its client is told.

use std::borrow::Cow;

use actix_web::http::StatusCode;

use super::body::BodyError;
use super::limits::OverLimit;
use crate::gateway::gate::{NotAdmitted, Unavailable};
use crate::gateway::publisher::{NotStored, WindowFull};
use crate::metrics::{FailureReason, RequestFault};
use ingest_core::http::{BatchError, NotAnObject};
use ingest_core::message::rejection::{Reason, Rejection};

/// Why a request, or a message of a batch, is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// The reason, as its code.
    pub reason: FailureReason,
    /// A sentence for people, without values of the request.
    pub detail: Cow<'static, str>,
}

impl Failure {
    /// A check of the pipeline that it does not pass.
    pub(super) fn check(reason: Reason, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { reason: FailureReason::Check(reason), detail: detail.into() }
    }

    /// Anything else.
    pub(super) fn request(fault: RequestFault, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { reason: FailureReason::Request(fault), detail: detail.into() }
    }

    /// The status of the answer.
    pub(super) fn status(&self) -> StatusCode {
        match self.reason {
            FailureReason::Check(reason) => status_of(reason),
            FailureReason::Request(fault) => match fault {
                RequestFault::InvalidMsgType
                | RequestFault::InvalidIdempotencyKey
                | RequestFault::InvalidBatch
                | RequestFault::InvalidEncoding => StatusCode::BAD_REQUEST,
                RequestFault::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
                RequestFault::AddressLimit | RequestFault::TotalLimit => StatusCode::TOO_MANY_REQUESTS,
                RequestFault::NotFound => StatusCode::NOT_FOUND,
                RequestFault::Overloaded
                | RequestFault::StreamUnavailable
                | RequestFault::WindowFull
                | RequestFault::RegistryUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            },
        }
    }

    /// Whether the same may be accepted later.
    pub(super) fn may_pass_later(&self) -> bool {
        matches!(self.status(), StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS)
    }

    /// Whether nobody could decide, or keep the message.
    pub(super) fn is_unavailable(&self) -> bool {
        self.status() == StatusCode::SERVICE_UNAVAILABLE
    }
}

const fn status_of(reason: Reason) -> StatusCode {
    match reason {
        Reason::TokenNotSetInRegistry | Reason::TokenMissing | Reason::TokenInvalid => StatusCode::UNAUTHORIZED,
        Reason::UnregisteredDevice
        | Reason::NoSubscriptionCapacity
        | Reason::SubscriptionSuspended
        | Reason::SubscriptionExpired
        | Reason::DeviceRevoked => StatusCode::FORBIDDEN,
        Reason::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::BAD_REQUEST,
    }
}

/// What a reason says to people where the check has nothing to add.
const fn explained(reason: Reason) -> &'static str {
    match reason {
        Reason::TenantMismatch => "tenant_id: not the tenant that the message is sent for",
        Reason::MissingSiteId => "site_id: missing",
        Reason::UnregisteredDevice => "the device is not registered",
        Reason::NoSubscriptionCapacity => "the tenant's subscriptions have no place for the device",
        Reason::SubscriptionSuspended => "the device's subscription is suspended",
        Reason::SubscriptionExpired => "the device's subscription has expired",
        Reason::DeviceRevoked => "the device is not active",
        Reason::SiteMismatch => "site_id: not the site that the device is registered at",
        Reason::TokenNotSetInRegistry => "the device has no provision token",
        Reason::TokenMissing => "the provision token is missing",
        Reason::TokenInvalid => "the provision token is wrong",
        Reason::RateLimited => "the device sends faster than it may",
        _ => "",
    }
}

impl From<Rejection> for Failure {
    fn from(Rejection { reason, detail, .. }: Rejection) -> Self {
        match detail.is_empty() {
            true => Self::check(reason, explained(reason)),
            false => Self::check(reason, detail),
        }
    }
}

impl From<Unavailable> for Failure {
    fn from(why: Unavailable) -> Self {
        Self::request(RequestFault::RegistryUnavailable, why.to_string())
    }
}

impl From<NotAdmitted> for Failure {
    fn from(refusal: NotAdmitted) -> Self {
        match refusal {
            NotAdmitted::Rejected(rejection) => rejection.into(),
            NotAdmitted::Unavailable(why) => why.into(),
        }
    }
}

impl From<WindowFull> for Failure {
    fn from(why: WindowFull) -> Self {
        Self::request(RequestFault::WindowFull, why.to_string())
    }
}

impl From<NotStored> for Failure {
    fn from(why: NotStored) -> Self {
        match why.is_too_large() {
            true => Self::check(Reason::PayloadTooLarge, "payload: larger than the broker takes"),
            false => Self::request(RequestFault::StreamUnavailable, "the stream did not acknowledge the message"),
        }
    }
}

impl From<BodyError> for Failure {
    fn from(why: BodyError) -> Self {
        let fault = match why {
            BodyError::TooLarge(_) => return Self::check(Reason::PayloadTooLarge, why.to_string()),
            BodyError::TooSlow(_) | BodyError::NotWhole => RequestFault::BodyTimeout,
            BodyError::UnknownEncoding | BodyError::NotGzip => RequestFault::InvalidEncoding,
            BodyError::NoSpace => RequestFault::Overloaded,
        };
        Self::request(fault, why.to_string())
    }
}

impl From<NotAnObject> for Failure {
    fn from(why: NotAnObject) -> Self {
        Self::check(Reason::InvalidPayload, why.to_string())
    }
}

impl From<BatchError> for Failure {
    fn from(why: BatchError) -> Self {
        Self::request(RequestFault::InvalidBatch, why.to_string())
    }
}

impl From<OverLimit> for Failure {
    fn from(limit: OverLimit) -> Self {
        match limit {
            OverLimit::Address => Self::request(RequestFault::AddressLimit, "too many requests from this address"),
            OverLimit::Total => Self::request(RequestFault::TotalLimit, "too many requests"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_status_of_its_kind_and_none_is_422() {
        for reason in Reason::ALL {
            let failure = Failure::from(Rejection::from(reason));
            assert!([400, 401, 403, 429].contains(&failure.status().as_u16()), "{reason}");
        }
        let status = |reason| Failure::from(Rejection::from(reason)).status().as_u16();
        assert_eq!(status(Reason::TokenMissing), 401);
        assert_eq!(status(Reason::DeviceRevoked), 403);
        assert_eq!(status(Reason::SiteMismatch), 400);
        assert_eq!(status(Reason::RateLimited), 429);
    }
}
