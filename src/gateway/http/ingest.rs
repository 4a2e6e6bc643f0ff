//! `POST /ingest/v1/tenant/{tenant}/device/{device}/{type}`: one message.

use actix_web::{HttpRequest, HttpResponse, web};

use super::answer::{self, Accepted, Rejected};
use super::failure::Failure;
use super::request::{PathNames, common_name, envelope, idempotency_key, token};
use super::service::{Service, payload};
use crate::metrics::RequestFault;
use ingest_core::http::{message_id, object};
use ingest_core::message::intake::IntakeStream;

/// Takes one message of a device.
///
/// The body is passed on as it is written; the token of the header becomes its last member.
#[utoipa::path(
    post,
    path = "/ingest/v1/tenant/{tenant}/device/{device}/{type}",
    tag = "ingest",
    params(
        ("tenant" = String, Path, description = "The device's tenant"),
        ("device" = String, Path, description = "The device"),
        ("type" = String, Path, description = "`telemetry` or `heartbeat`"),
        ("X-Provision-Token" = Option<String>, Header, description = "The device's token; else that of the body counts"),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 128 printable ASCII characters: a request that comes twice is stored once"),
        ("Content-Encoding" = Option<String>, Header, description = "`gzip` or `identity`"),
    ),
    request_body(content = Object, description = "The message: site_id, seq, ts, metrics, and whatever else"),
    responses(
        (status = 202, description = "The stream has it", body = Accepted),
        (status = 400, description = "It is malformed, too large, or of another site", body = Rejected),
        (status = 401, description = "The token is missing or wrong", body = Rejected),
        (status = 403, description = "The device or its subscription may not send", body = Rejected),
        (status = 408, description = "The body did not come in time", body = Rejected),
        (status = 429, description = "Too many messages or requests", body = Rejected),
        (status = 503, description = "Try again after `Retry-After`", body = Rejected),
    )
)]
pub(super) async fn single(service: web::Data<Service>, request: HttpRequest, payload: web::Payload) -> HttpResponse {
    service.answer(take(&service, &request, payload).await)
}

async fn take(service: &Service, request: &HttpRequest, body: web::Payload) -> Result<HttpResponse, Failure> {
    let headers = request.headers();
    // Whatever is wrong, the body is read first: the connection stays of use.
    let body = service.bodies.read(headers, body).await?;
    let names = PathNames::of(request.uri().path())?;
    check_type(&names.msg_type)?;
    let key = idempotency_key(headers)?;
    let payload = payload(object(&body.bytes)?, token(headers)?);
    let id = key.map(|key| message_id(&names.tenant, &names.device, key, None));
    let envelope = envelope((&names.tenant, &names.device), &names.msg_type, payload, common_name(request))?;
    drop(body);
    service.check_stream(IntakeStream::Telemetry)?;
    let entered = service.door.telemetry(&envelope).await?;
    let pending = service.send(&envelope, id.as_deref()).await?;
    let is_replayed = service.stored(pending).await?;
    Ok(answer::accepted(&names.device, entered.seq, is_replayed))
}

/// Only these two types come this way.
///
/// # Errors
/// It is another one.
pub(super) fn check_type(msg_type: &str) -> Result<(), Failure> {
    match msg_type {
        "telemetry" | "heartbeat" => Ok(()),
        _ => Err(Failure::request(RequestFault::InvalidMsgType, "msg_type: neither telemetry nor heartbeat")),
    }
}
