//! A request of a device: whose it is, and what all endpoints of devices do with it.

use std::sync::Arc;

use actix_web::{HttpRequest, web};
use bytestring::ByteString;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::gateway::http::failure::Failure;
use crate::gateway::http::request::{common_name, envelope};
use crate::gateway::http::service::Service;
use ingest_core::http::message_id;
use ingest_core::message::device::Device;
use ingest_core::message::envelope::Envelope;
use ingest_core::message::intake::IntakeStream;
use ingest_core::message::topic::Topic;

/// The active device whose token a request shows.
pub(super) struct Caller<'a> {
    service: &'a Service,
    request: &'a HttpRequest,
    device: Arc<Device>,
}

impl<'a> Caller<'a> {
    /// Whose request it is.
    ///
    /// # Errors
    /// Nobody's, or it can't be asked for now.
    pub(super) async fn of(service: &'a web::Data<Service>, request: &'a HttpRequest) -> Result<Self, Failure> {
        let device = service.devices.authenticated(request.headers()).await?;
        Ok(Self { service: service.get_ref(), request, device })
    }

    fn names(&self) -> (&str, &str) {
        (&self.device.key.tenant_id, &self.device.key.device_id)
    }

    /// The rows of a question whose first two parameters are the tenant and the device.
    ///
    /// # Errors
    /// PostgreSQL does not answer, or too many ask.
    pub(super) async fn rows(&self, sql: &str, further: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Failure> {
        let (tenant, device) = self.names();
        let names: [&(dyn ToSql + Sync); 2] = [&tenant, &device];
        self.service.devices.reader().rows(sql, &[&names, further].concat()).await
    }

    /// A message of the device's; its stream takes messages.
    ///
    /// # Errors
    /// It takes none now.
    pub(super) fn message(&self, msg_type: &str, payload: impl Into<ByteString>) -> Result<Envelope, Failure> {
        let envelope = envelope(self.names(), msg_type, payload, common_name(self.request))?;
        let topic = Topic::parse(&envelope.topic);
        self.service.check_stream(topic.as_ref().map_or(IntakeStream::Telemetry, IntakeStream::of))?;
        Ok(envelope)
    }

    /// Has the stream store a message: once, whenever it comes with the same key.
    ///
    /// # Errors
    /// It does not acknowledge.
    pub(super) async fn store(&self, message: &Envelope, key: Option<&str>) -> Result<(), Failure> {
        let (tenant, device) = self.names();
        let id = key.map(|key| message_id(tenant, device, key, None));
        let pending = self.service.send(message, id.as_deref()).await?;
        self.service.stored(pending).await.map(drop)
    }
}
