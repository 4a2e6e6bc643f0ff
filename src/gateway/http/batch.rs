//! `POST /ingest/v1/batch`: up to a hundred messages, each decided by itself.

use actix_web::{HttpRequest, HttpResponse, web};
use bytestring::ByteString;
use futures_util::future::join_all;

use super::answer::{self, BatchAnswer, ItemResult};
use super::failure::Failure;
use super::ingest::check_type;
use super::request::{common_name, envelope, idempotency_key};
use super::service::Service;
use crate::gateway::publisher::Pending;
use ingest_core::http::{Names, message_id, messages};
use ingest_core::message::envelope::Envelope;
use ingest_core::message::intake::IntakeStream;
use ingest_core::message::rejection::Reason;

/// Takes up to a hundred messages of any devices.
///
/// Each is passed on as it is written. What is wrong with one is that one's result.
#[utoipa::path(
    post,
    path = "/ingest/v1/batch",
    tag = "ingest",
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 128 printable ASCII characters: a request that comes twice is stored once"),
        ("Content-Encoding" = Option<String>, Header, description = "`gzip` or `identity`"),
    ),
    request_body(content = super::shapes::Batch, description = "Messages, each with its names and token"),
    responses(
        (status = 202, description = "The stream has at least one of them", body = BatchAnswer),
        (status = 400, description = "It is no batch (a `Rejected`), or none of its messages is accepted", body = super::shapes::BatchRefused),
        (status = 408, description = "The body did not come in time", body = super::answer::Rejected),
        (status = 429, description = "Too many requests", body = super::answer::Rejected),
        (status = 503, description = "None is accepted, and some may be after `Retry-After`", body = super::shapes::BatchRefused),
    )
)]
pub(super) async fn batch(service: web::Data<Service>, request: HttpRequest, payload: web::Payload) -> HttpResponse {
    service.answer(take(&service, &request, payload).await)
}

/// A message of the batch, or what is wrong with it.
struct Item {
    device_id: Option<String>,
    message: Result<Message, Failure>,
}

struct Message {
    tenant_id: String,
    envelope: Envelope,
}

async fn take(service: &Service, request: &HttpRequest, body: web::Payload) -> Result<HttpResponse, Failure> {
    let body = service.bodies.read(request.headers(), body).await?;
    let key = idempotency_key(request.headers())?;
    let messages = messages(&body.bytes)?;
    let username = common_name(request);
    let mut items: Vec<Item> = messages.iter().map(|message| read(message, username.clone())).collect();
    decide(service, &mut items).await;

    // In the order of the request, and none waits for the stream to have the one before.
    let mut sent: Vec<(Option<String>, Result<Pending, Failure>)> = Vec::with_capacity(items.len());
    for (index, Item { device_id, message }) in items.into_iter().enumerate() {
        let pending = match message {
            Ok(Message { tenant_id, envelope }) => {
                let device = device_id.as_deref().unwrap_or_default();
                let id = key.map(|key| message_id(&tenant_id, device, key, Some(index)));
                service.send(&envelope, id.as_deref()).await
            }
            Err(failure) => Err(failure),
        };
        sent.push((device_id, pending));
    }
    drop(body);
    // One after the other costs no time: all were sent, and the time that each has runs since then.
    let mut stored = Vec::with_capacity(sent.len());
    for (device_id, pending) in sent {
        let result = match pending {
            Ok(pending) => service.stored(pending).await,
            Err(failure) => Err(failure),
        };
        stored.push((device_id, result));
    }
    Ok(conclude(service, stored))
}

/// Reads a message: what it names, and its envelope.
fn read(message: &str, username: ByteString) -> Item {
    let Some(names) = Names::of(message) else {
        let failure = Failure::check(Reason::InvalidPayload, "the message is not a JSON object");
        return Item { device_id: None, message: Err(failure) };
    };
    let device_id = names.device.map(|device| device.into_owned());
    let read = || {
        let missing = |name| Failure::check(Reason::InvalidPayload, format!("{name}: not a text"));
        let tenant = names.tenant.ok_or_else(|| missing("tenant_id"))?;
        let device = device_id.as_deref().ok_or_else(|| missing("device_id"))?;
        let msg_type = names.msg_type.unwrap_or_default();
        check_type(&msg_type)?;
        let envelope = envelope((&tenant, device), &msg_type, message, username)?;
        Ok(Message { tenant_id: tenant.into_owned(), envelope })
    };
    let message = read();
    Item { device_id, message }
}

/// Decides each message that could be read. Those of known devices are decided at once; the others are looked up together.
async fn decide(service: &Service, items: &mut [Item]) {
    let mut unknown = Vec::new();
    for item in items {
        match &item.message {
            Ok(Message { envelope, .. }) if !service.door.knows(envelope) => unknown.push(item),
            _ => item.decide(service).await,
        }
    }
    join_all(unknown.into_iter().map(|item| item.decide(service))).await;
}

impl Item {
    async fn decide(&mut self, service: &Service) {
        let Ok(Message { envelope, .. }) = &self.message else { return };
        let decided = match service.check_stream(IntakeStream::Telemetry) {
            Ok(()) => service.door.telemetry(envelope).await.map_err(Failure::from),
            Err(failure) => Err(failure),
        };
        if let Err(failure) = decided {
            self.message = Err(failure);
        }
    }
}

fn conclude(service: &Service, items: Vec<(Option<String>, Result<bool, Failure>)>) -> HttpResponse {
    let (mut accepted, mut replayed, mut is_unavailable) = (0, 0, false);
    let result = |(index, (device_id, stored)): (usize, (Option<String>, Result<bool, Failure>))| match stored {
        Ok(is_replayed) => {
            accepted += 1;
            replayed += usize::from(is_replayed);
            ItemResult::accepted(index, device_id)
        }
        Err(failure) => {
            service.count(&failure);
            is_unavailable |= failure.is_unavailable();
            ItemResult::failed(index, device_id, &failure)
        }
    };
    let results: Vec<_> = items.into_iter().enumerate().map(result).collect();
    let answer = BatchAnswer { accepted, rejected: results.len() - accepted, results };
    answer::batch(&answer, is_unavailable, accepted > 0 && replayed == accepted)
}
