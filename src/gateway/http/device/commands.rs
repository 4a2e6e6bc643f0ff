//! Commands: those that wait for a device, and its acknowledgements.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio_postgres::Row;
use utoipa::ToSchema;

use super::caller::Caller;
use crate::gateway::http::answer::Rejected;
use crate::gateway::http::failure::Failure;
use crate::gateway::http::request::decoded;
use crate::gateway::http::service::Service;
use crate::metrics::RequestFault;
use ingest_core::http::{object, with_member};

/// The oldest that wait.
const PENDING: &str = r#"SELECT command_id::text, command_type::text, command_params::text,
    coalesce(to_char(expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), expires_at::text)
    FROM device_commands
    WHERE tenant_id = $1 AND device_id = $2 AND status = 'queued' AND expires_at > now()
    ORDER BY created_at, command_id LIMIT 20"#;

/// Whether one waits.
const WAITS: &str = "SELECT 1 FROM device_commands
    WHERE tenant_id = $1 AND device_id = $2 AND command_id::text = $3 AND status = 'queued'";

/// Commands that wait for a device.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::gateway::http) struct Pending {
    /// The oldest first, at most 20.
    commands: Vec<PendingCommand>,
}

/// A command that waits.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::gateway::http) struct PendingCommand {
    /// Names it in its acknowledgement.
    command_id: String,
    /// What to do.
    r#type: Option<String>,
    /// How.
    #[schema(value_type = Object)]
    params: Box<RawValue>,
    /// Until when; `infinity` for ever.
    expires_at: String,
}

/// An acknowledgement that the stream has.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::gateway::http) struct Acknowledged {
    /// The command.
    command_id: String,
    /// `true`.
    acknowledged: bool,
}

/// The commands that wait for the device.
#[utoipa::path(
    get,
    path = "/device/v1/commands/pending",
    tag = "device",
    params(("X-Provision-Token" = String, Header, description = "The device's token")),
    responses(
        (status = 200, description = "The commands", body = Pending),
        (status = 401, description = "The token is missing or wrong", body = Rejected),
        (status = 403, description = "The device is not active", body = Rejected),
        (status = 429, description = "Too many requests", body = Rejected),
        (status = 503, description = "Try again after `Retry-After`", body = Rejected),
    )
)]
pub(in crate::gateway::http) async fn pending(service: web::Data<Service>, request: HttpRequest) -> HttpResponse {
    let result = async {
        let rows = Caller::of(&service, &request).await?.rows(PENDING, &[]).await?;
        let commands = rows.iter().filter_map(command).collect();
        Ok(HttpResponse::Ok().json(Pending { commands }))
    };
    service.answer(result.await)
}

fn command(row: &Row) -> Option<PendingCommand> {
    let params: Option<String> = row.try_get(2).ok()?;
    Some(PendingCommand {
        command_id: row.try_get(0).ok()?,
        r#type: row.try_get(1).ok()?,
        params: RawValue::from_string(params.unwrap_or_else(|| "{}".to_owned())).ok()?,
        expires_at: row.try_get(3).ok()?,
    })
}

/// Takes the acknowledgement of a command.
#[utoipa::path(
    post,
    path = "/device/v1/commands/{id}/ack",
    tag = "device",
    params(
        ("id" = String, Path, description = "The command"),
        ("X-Provision-Token" = String, Header, description = "The device's token"),
    ),
    request_body(content = crate::gateway::http::shapes::Ack, description = "Optional; passed on as it is written, with the command's id"),
    responses(
        (status = 200, description = "The stream has it", body = Acknowledged),
        (status = 400, description = "It is malformed or too large", body = Rejected),
        (status = 401, description = "The token is missing or wrong", body = Rejected),
        (status = 403, description = "The device is not active", body = Rejected),
        (status = 404, description = "No such command of the device waits", body = Rejected),
        (status = 408, description = "The body did not come in time", body = Rejected),
        (status = 429, description = "Too many messages or requests", body = Rejected),
        (status = 503, description = "Try again after `Retry-After`", body = Rejected),
    )
)]
pub(in crate::gateway::http) async fn acknowledge(
    service: web::Data<Service>,
    request: HttpRequest,
    payload: web::Payload,
) -> HttpResponse {
    let result = async {
        let body = service.bodies.read(request.headers(), payload).await?;
        let caller = Caller::of(&service, &request).await?;
        let id = decoded(request.uri().path().split('/').nth(4))?;
        let text = if body.bytes.is_empty() { "{}" } else { object(&body.bytes)? };
        let message = caller.message("commands/ack", with_member(text, "command_id", &id))?;
        if id.contains('\0') || caller.rows(WAITS, &[&&*id]).await?.is_empty() {
            return Err(Failure::request(RequestFault::NotFound, "no such command waits for the device"));
        }
        service.door.command(&message).await?;
        caller.store(&message, None).await?;
        Ok(HttpResponse::Ok().json(Acknowledged { command_id: id.into_owned(), acknowledged: true }))
    };
    service.answer(result.await)
}
