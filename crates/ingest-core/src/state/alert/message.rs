//! An alert as it is published.

use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::message::names::subject_token;

/// Devices that an alert about many names.
const EXAMPLES: usize = 10;

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A device has fallen silent.
    Silent,
    /// A silent device has come back.
    Returned,
}

/// A device that an alert is to be published about. Times are the broker's, Unix microseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Whose device.
    pub tenant_id: String,
    /// Which device.
    pub device_id: String,
    /// Where it stands.
    pub site_id: Option<String>,
    /// When its latest message came.
    pub last_received_us: i64,
    /// Its usual interval in milliseconds.
    pub usual_interval_ms: Option<i64>,
    /// Since when it counts as silent.
    pub silent_since_us: i64,
    /// When it came back; `None` while it has not, or its silence is not published yet.
    pub returned_us: Option<i64>,
}

/// An alert as it is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// `alerts.{tenant}`, the tenant as in `routes.{tenant}`.
    pub subject: String,
    /// `Nats-Msg-Id`: the same whoever publishes it, and however often.
    pub message_id: String,
    /// JSON.
    pub body: String,
}

impl Kind {
    /// What is to be published next of a device.
    pub fn of(pending: &Pending) -> Self {
        if pending.returned_us.is_some() { Kind::Returned } else { Kind::Silent }
    }

    fn name(self) -> &'static str {
        match self {
            Kind::Silent => "device_silent",
            Kind::Returned => "device_returned",
        }
    }

    fn name_of_many(self) -> &'static str {
        match self {
            Kind::Silent => "devices_silent",
            Kind::Returned => "devices_returned",
        }
    }
}

impl Alert {
    /// The alert about one device.
    pub fn of_one(pending: &Pending) -> Self {
        let kind = Kind::of(pending);
        let moment_us = pending.returned_us.unwrap_or(pending.silent_since_us);
        let mut body = Map::new();
        body.insert("type".to_owned(), kind.name().into());
        body.insert("tenant_id".to_owned(), pending.tenant_id.as_str().into());
        body.insert("device_id".to_owned(), pending.device_id.as_str().into());
        body.insert("site_id".to_owned(), json!(pending.site_id));
        body.insert("last_received_at".to_owned(), time(pending.last_received_us));
        body.insert("usual_interval_ms".to_owned(), json!(pending.usual_interval_ms));
        body.insert("silent_since".to_owned(), time(pending.silent_since_us));
        if let Some(returned_us) = pending.returned_us {
            body.insert("returned_at".to_owned(), time(returned_us));
        }
        let (tenant, device) = (subject_token(&pending.tenant_id), subject_token(&pending.device_id));
        Self {
            message_id: format!("{}:{tenant}:{device}:{moment_us}", kind.name()),
            ..Self::new(&pending.tenant_id, Value::Object(body))
        }
    }

    /// The alert about many devices of one tenant to which the same has happened, within a minute (counted from 1970).
    pub fn of_many(kind: Kind, tenant_id: &str, devices: &[&Pending], minute: i64) -> Self {
        let examples: Vec<&str> = devices.iter().take(EXAMPLES).map(|pending| pending.device_id.as_str()).collect();
        let body = json!({
            "type": kind.name_of_many(),
            "tenant_id": tenant_id,
            "devices": devices.len(),
            "examples": examples,
            "minute": time(minute.saturating_mul(60_000_000)),
        });
        let message_id = format!("{}:{}:{minute}", kind.name_of_many(), subject_token(tenant_id));
        Self { message_id, ..Self::new(tenant_id, body) }
    }

    fn new(tenant_id: &str, body: Value) -> Self {
        Self {
            subject: format!("alerts.{}", subject_token(tenant_id)),
            message_id: String::new(),
            body: body.to_string(),
        }
    }
}

/// A time as RFC 3339; null beyond the years that have one.
fn time(unix_us: i64) -> Value {
    let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix_us) * 1_000).ok();
    moment.and_then(|moment| moment.format(&Rfc3339).ok()).map_or(Value::Null, Value::from)
}
