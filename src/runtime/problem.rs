//! Errors of HTTP interfaces: `{"error": code, "detail": sentence}`.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::RETRY_AFTER;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The body of an answer that is no success.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// What programs tell apart; a closed list for each interface.
    pub error: String,
    /// What people read. Never a secret.
    pub detail: String,
}

/// An answer that is no success.
pub(crate) fn problem(status: StatusCode, error: &str, detail: impl Into<String>) -> HttpResponse {
    HttpResponse::build(status).json(Problem { error: error.to_owned(), detail: detail.into() })
}

/// The same, with the seconds until another attempt is worth while.
pub(crate) fn problem_for_now(
    status: StatusCode,
    error: &str,
    detail: impl Into<String>,
    retry_after_secs: u64,
) -> HttpResponse {
    HttpResponse::build(status)
        .insert_header((RETRY_AFTER, retry_after_secs.max(1)))
        .json(Problem { error: error.to_owned(), detail: detail.into() })
}
