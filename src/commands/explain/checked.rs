//! The message validated by the checks of now: as it is in its stream, or as the quarantine would send it through again.

use async_nats::jetstream::message::StreamMessage;

use super::database::Database;
use crate::commands::quarantine::event::Event as StoredEvent;
use crate::commands::quarantine::replayable::Replayable;
use crate::config::Config;
use crate::delivery::Lane;
use crate::registry::{self, DeviceToday, RegistryError};
use crate::runtime::panics;
use ingest_core::explain::{Prospect, recheck};
use ingest_core::message::device::{DeviceKey, DeviceRef, Lookup};
use ingest_core::message::envelope::Envelope;
use ingest_core::message::rejection::Rejection;
use ingest_core::message::topic::Topic;
use ingest_core::reprocess::proof;
use ingest_core::validate::settings::Settings;
use ingest_core::validate::{Checks, Context, Policy};

/// A message that can be validated.
pub(super) struct Content {
    /// Opened as its lane says.
    pub opened: Result<Envelope, Rejection>,
    /// The checks that it must pass.
    pub checks: Option<Checks>,
    /// The subject that must name its tenant and device.
    subject: Option<String>,
    /// It needs no token.
    trusted: bool,
    /// The broker's time of it, Unix microseconds.
    received_us: i64,
}

impl Content {
    /// Of a message of a lane's stream.
    pub(super) fn of_message(lane: Lane, message: &StreamMessage, config: &Config) -> Self {
        let opened = panics::open(lane.opening(), &message.subject, &message.payload);
        let checks = opened.as_ref().ok().and_then(|envelope| lane.checks(&envelope.topic));
        let is_checked = config.validate.subject_check.applies_to(lane.opening());
        let subject = is_checked.then(|| message.subject.to_string());
        Self { opened, checks, subject, trusted: false, received_us: received_us(message) }
    }

    /// Of a quarantine event, as it would be sent through again; `None` where it can't be, whoever vouches for it.
    pub(super) fn of_event(event: &StoredEvent) -> Option<Self> {
        let Replayable { topic_text, payload, lane, received_us, .. } = Replayable::of(event, true, false).ok()?;
        let opened = Envelope::open(&proof::envelope(topic_text, payload).into());
        // Whoever has not proven who it is needs an operator who vouches for it.
        Some(Self { opened, checks: lane.checks(topic_text), subject: None, trusted: true, received_us })
    }

    /// The device that its topic names.
    pub(super) fn device(&self) -> Option<DeviceKey> {
        let envelope = self.opened.as_ref().ok()?;
        let Topic { tenant, device, .. } = Topic::parse(&envelope.topic)?;
        Some(DeviceKey::new(tenant, device))
    }

    /// What would become of it.
    pub(super) fn prospect(&self, config: &Config, settings: &Settings, lookup: Option<&Lookup>) -> Prospect {
        let envelope = match &self.opened {
            Ok(envelope) => envelope,
            Err(rejection) => return Prospect::rejected(rejection.clone()),
        };
        let validate = &config.validate;
        let policy = Policy {
            require_token: validate.require_token,
            cert_auth_enabled: validate.cert_auth_enabled,
            points: None,
        };
        let context = Context {
            settings,
            policy,
            subject: self.subject.as_deref(),
            received_us: self.received_us,
            trusted: self.trusted,
        };
        let validated = panics::validate_catching_panics(|| {
            Ok(Some(recheck(envelope, self.checks, context, lookup, config.registry.auto_provision)))
        });
        validated.map_or_else(Prospect::rejected, |prospect| prospect.unwrap_or(Prospect::Unknown))
    }
}

/// What the registry and the settings say now; the device where one is known.
///
/// # Errors
/// Where the database is at fault.
pub(super) async fn today(
    database: &Database,
    device: Option<&DeviceKey>,
) -> Result<(Settings, Option<DeviceToday>), RegistryError> {
    let settings = registry::settings_today(&database.pool).await?;
    let device = match device {
        Some(key) => Some(registry::device_today(&database.pool, key).await?),
        None => None,
    };
    Ok((settings, device))
}

/// When the broker took a message, Unix microseconds.
pub(super) fn received_us(message: &StreamMessage) -> i64 {
    (message.time.unix_timestamp_nanos() / 1_000) as i64
}

/// Whether a message is of this device, and has this number of its sender, where one is asked for.
pub(super) fn is_of_device(lane: Lane, message: &StreamMessage, device: DeviceRef<'_>, seq: Option<i64>) -> bool {
    let Ok(envelope) = panics::open(lane.opening(), &message.subject, &message.payload) else { return false };
    let is_its = Topic::parse(&envelope.topic)
        .is_some_and(|topic| topic.tenant == device.tenant_id && topic.device == device.device_id);
    let claimed = || panics::or_default(|| ingest_core::validate::claimed_seq(&envelope));
    is_its && seq.is_none_or(|seq| claimed() == Some(seq))
}
