//! Why a request of the provisioning API does not succeed, and how that is answered.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use deadpool_postgres::{HookError, PoolError};
use thiserror::Error;

use crate::postgres::{connector, errors};
use crate::runtime::error_chain::error_chain;
use crate::runtime::problem::{problem, problem_for_now};
use ingest_core::provision::fields::FieldError;

/// Seconds after which a request is worth another attempt while PostgreSQL is away.
const RETRY_AFTER_SECS: u64 = 2;

/// Why a request does not succeed.
#[derive(Debug, Error)]
pub(super) enum ProvisionError {
    /// A field is out of its bounds.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// The request is malformed; the sentence names the field.
    #[error("{0}")]
    Malformed(String),
    /// The body has more bytes than this.
    #[error("the body must have at most {0} bytes")]
    TooLarge(usize),
    /// The body did not arrive in time.
    #[error("the body did not arrive in time")]
    Slow,
    /// No such code for this device.
    #[error("Invalid activation code")]
    CodeInvalid,
    /// The code was used.
    #[error("Activation code already used")]
    CodeUsed,
    /// The code is too old.
    #[error("Activation code expired")]
    CodeExpired,
    /// The address has presented too many wrong codes; seconds until it may try again.
    #[error("too many wrong activation codes from this address; try again later")]
    Limited(u64),
    /// No such device.
    #[error("no such device is registered")]
    UnknownDevice,
    /// PostgreSQL refuses these values; the code of the error.
    #[error("PostgreSQL refuses these values ({0})")]
    Refused(String),
    /// Nothing was done, as far as is known: PostgreSQL does not serve the node. The cause, for the log.
    #[error("{0}")]
    Unavailable(String),
}

impl ProvisionError {
    /// The answer.
    pub(super) fn response(&self) -> HttpResponse {
        let bad = |error| problem(StatusCode::BAD_REQUEST, error, self.to_string());
        match self {
            Self::Field(_) | Self::Malformed(_) => bad("invalid_request"),
            Self::Refused(_) => bad("refused"),
            Self::CodeInvalid => bad("code_invalid"),
            Self::CodeUsed => bad("code_used"),
            Self::CodeExpired => bad("code_expired"),
            Self::TooLarge(_) => problem(StatusCode::PAYLOAD_TOO_LARGE, "too_large", self.to_string()),
            Self::Slow => problem(StatusCode::REQUEST_TIMEOUT, "too_slow", self.to_string()),
            Self::UnknownDevice => problem(StatusCode::NOT_FOUND, "unknown_device", self.to_string()),
            Self::Limited(secs) => {
                problem_for_now(StatusCode::TOO_MANY_REQUESTS, "too_many_failures", self.to_string(), *secs)
            }
            // The cause is for operators, not for whoever asks.
            Self::Unavailable(_) => problem_for_now(
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "the database does not answer; try again",
                RETRY_AFTER_SECS,
            ),
        }
    }

    /// Whether whoever asked has presented a wrong code.
    pub(super) fn is_of_the_code(&self) -> bool {
        matches!(self, Self::CodeInvalid | Self::CodeUsed | Self::CodeExpired)
    }
}

impl From<tokio_postgres::Error> for ProvisionError {
    fn from(error: tokio_postgres::Error) -> Self {
        errors::count(&error);
        match error.code().map(|code| code.code()) {
            // Data, constraint, triggered data change, check option, program limit, raised by a function.
            Some(code) if ["22", "23", "27", "44", "54", "P0"].iter().any(|class| code.starts_with(class)) => {
                Self::Refused(code.to_owned())
            }
            _ => Self::Unavailable(error_chain(&error)),
        }
    }
}

impl From<PoolError> for ProvisionError {
    fn from(error: PoolError) -> Self {
        errors::count_of_pool(&error);
        Self::Unavailable(match error {
            PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => {
                connector::describe(&error)
            }
            other => error_chain(&other),
        })
    }
}
