//! The bodies of answers.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue, RETRY_AFTER};
use actix_web::{HttpResponse, HttpResponseBuilder};
use serde::Serialize;
use utoipa::ToSchema;

use super::failure::Failure;
use crate::metrics::Label;

/// Tells that the stream had the message already, by its idempotency key.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    /// The stream has it.
    Accepted,
    /// It is not accepted.
    Rejected,
    /// It may be accepted later: try again after `Retry-After`.
    Unavailable,
}

/// A message that the stream has.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Accepted {
    /// `accepted`.
    status: Status,
    /// The device that sent it.
    device_id: String,
    /// Its sequence number; 0 where it has none.
    seq: i64,
}

/// A request that is not accepted.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Rejected {
    /// `rejected`, or `unavailable`.
    status: Status,
    /// A code of a closed list.
    #[schema(value_type = String)]
    reason: &'static str,
    /// A sentence for people.
    detail: String,
}

/// What became of a batch.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BatchAnswer {
    /// Messages that the stream has.
    pub accepted: usize,
    /// The others.
    pub rejected: usize,
    /// Each message, in the order of the request.
    pub results: Vec<ItemResult>,
}

/// What became of one message of a batch.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ItemResult {
    /// Its place in the request, from 0.
    pub index: usize,
    /// What became of it.
    pub status: Status,
    /// A code of a closed list; null where it is accepted.
    #[schema(value_type = Option<String>)]
    pub reason: Option<&'static str>,
    /// A sentence for people; null where it is accepted.
    pub detail: Option<String>,
    /// The device that it names; null where it names none.
    pub device_id: Option<String>,
}

impl ItemResult {
    /// An accepted message.
    pub(super) fn accepted(index: usize, device_id: Option<String>) -> Self {
        Self { index, status: Status::Accepted, reason: None, detail: None, device_id }
    }

    /// One that is not.
    pub(super) fn failed(index: usize, device_id: Option<String>, failure: &Failure) -> Self {
        let (reason, detail) = (Some(failure.reason.value()), Some(failure.detail.to_string()));
        Self { index, status: status(failure), reason, detail, device_id }
    }
}

/// 202 for a message.
pub(super) fn accepted(device_id: &str, seq: i64, is_replayed: bool) -> HttpResponse {
    let body = Accepted { status: Status::Accepted, device_id: device_id.to_owned(), seq };
    replayed(HttpResponse::Accepted(), is_replayed).json(body)
}

/// 202 where any message of a batch was accepted, else 503 where any may be later, else 400.
pub(super) fn batch(body: &BatchAnswer, is_unavailable: bool, is_replayed: bool) -> HttpResponse {
    match body.accepted {
        0 if is_unavailable => retry_after(HttpResponse::ServiceUnavailable(), Duration::ZERO).json(body),
        0 => HttpResponse::BadRequest().json(body),
        _ => replayed(HttpResponse::Accepted(), is_replayed).json(body),
    }
}

/// The answer to a request that is not accepted. `pause` is how long its client should wait, where it should come again.
pub(super) fn failed(failure: &Failure, pause: Duration) -> HttpResponse {
    let body = Rejected { status: status(failure), reason: failure.reason.value(), detail: failure.detail.to_string() };
    let mut response = HttpResponse::build(failure.status());
    if failure.may_pass_later() {
        response = retry_after(response, pause);
    }
    if failure.status() == StatusCode::REQUEST_TIMEOUT {
        response.force_close();
    }
    response.json(body)
}

fn status(failure: &Failure) -> Status {
    if failure.is_unavailable() { Status::Unavailable } else { Status::Rejected }
}

fn replayed(mut response: HttpResponseBuilder, is_replayed: bool) -> HttpResponseBuilder {
    if is_replayed {
        response.insert_header((REPLAYED, HeaderValue::from_static("true")));
    }
    response
}

/// Whole seconds, at least 1.
fn retry_after(mut response: HttpResponseBuilder, pause: Duration) -> HttpResponseBuilder {
    let seconds = pause.as_millis().div_ceil(1_000).max(1) as u64;
    response.insert_header((RETRY_AFTER, HeaderValue::from(seconds)));
    response
}
