//! The shadow: what is wanted of a device, and what it reports.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::caller::Caller;
use crate::gateway::http::answer::Rejected;
use crate::gateway::http::failure::Failure;
use crate::gateway::http::request::idempotency_key;
use crate::gateway::http::service::Service;
use crate::metrics::RequestFault;
use ingest_core::http::object;

const DESIRED: &str = "SELECT desired_state::text, desired_version::bigint FROM device_state
    WHERE tenant_id = $1 AND device_id = $2";

/// What is wanted of a device.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::gateway::http) struct Desired {
    /// The document.
    #[schema(value_type = Object)]
    desired: Box<RawValue>,
    /// Its version.
    version: i64,
}

/// A report that the stream has.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::gateway::http) struct Reported {
    /// `true`.
    accepted: bool,
    /// The version that was reported.
    version: i64,
}

/// What is wanted of the device.
#[utoipa::path(
    get,
    path = "/device/v1/shadow",
    tag = "device",
    params(("X-Provision-Token" = String, Header, description = "The device's token")),
    responses(
        (status = 200, description = "The desired document", body = Desired),
        (status = 401, description = "The token is missing or wrong", body = Rejected),
        (status = 403, description = "The device is not active", body = Rejected),
        (status = 404, description = "Nothing is known of the device's state", body = Rejected),
        (status = 429, description = "Too many requests", body = Rejected),
        (status = 503, description = "Try again after `Retry-After`", body = Rejected),
    )
)]
pub(in crate::gateway::http) async fn desired(service: web::Data<Service>, request: HttpRequest) -> HttpResponse {
    let result = async {
        let rows = Caller::of(&service, &request).await?.rows(DESIRED, &[]).await?;
        let desired = rows.first().and_then(|row| {
            let text: String = row.try_get(0).ok()?;
            Some(Desired { desired: RawValue::from_string(text).ok()?, version: row.try_get(1).ok()? })
        });
        let desired = desired.ok_or_else(|| Failure::request(RequestFault::NotFound, "the device has no shadow"))?;
        Ok(HttpResponse::Ok().json(desired))
    };
    service.answer(result.await)
}

/// Takes a report of the device's state.
#[utoipa::path(
    post,
    path = "/device/v1/shadow/reported",
    tag = "device",
    params(
        ("X-Provision-Token" = String, Header, description = "The device's token"),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 128 printable ASCII characters"),
    ),
    request_body(content = crate::gateway::http::shapes::Report, description = "The report; passed on as it is written"),
    responses(
        (status = 200, description = "The stream has it", body = Reported),
        (status = 400, description = "It is malformed or too large", body = Rejected),
        (status = 401, description = "The token is missing or wrong", body = Rejected),
        (status = 403, description = "The device is not active", body = Rejected),
        (status = 408, description = "The body did not come in time", body = Rejected),
        (status = 429, description = "Too many messages or requests", body = Rejected),
        (status = 503, description = "Try again after `Retry-After`", body = Rejected),
    )
)]
pub(in crate::gateway::http) async fn report(
    service: web::Data<Service>,
    request: HttpRequest,
    payload: web::Payload,
) -> HttpResponse {
    let result = async {
        let body = service.bodies.read(request.headers(), payload).await?;
        let caller = Caller::of(&service, &request).await?;
        let key = idempotency_key(request.headers())?;
        let message = caller.message("shadow/reported", object(&body.bytes)?)?;
        let version = service.door.shadow(&message).await?;
        caller.store(&message, key).await?;
        Ok(HttpResponse::Ok().json(Reported { accepted: true, version }))
    };
    service.answer(result.await)
}
