//! One simulated message, and how each way in has it written.

use std::fmt::Write;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use super::bad::Bad;
use super::fleet::SimDevice;
use ingest_core::message::intake::Intake;
use ingest_core::message::names::subject_token;
use ingest_core::message::topic::Topic;

/// ISO 8601 as the system's simulators send it, to the microsecond.
const TIMESTAMP: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]+00:00");

/// A message before it is written down. `site`, `seq` and `metrics` are JSON; no token and no metrics are empty text.
#[derive(Clone, Debug)]
pub(crate) struct Simulated {
    /// Why it must be refused; `None` for a good one.
    pub bad: Option<Bad>,
    /// Its sender.
    pub device: SimDevice,
    /// `telemetry` or `heartbeat`.
    pub msg_type: &'static str,
    /// The sender's token.
    pub token: String,
    pub(super) topic_root: &'static str,
    pub(super) event_us: i64,
    pub(super) version: &'static str,
    pub(super) payload_tenant: String,
    pub(super) site: String,
    pub(super) seq: String,
    pub(super) metrics: String,
    pub(super) padding: usize,
}

impl Simulated {
    /// For NATS: the subject and the envelope.
    pub(crate) fn publication(&self) -> (String, String) {
        let topic = self.topic();
        let payload = self.payload(true);
        let (tenant_id, device_id) = (&self.device.tenant_id, &self.device.device_id);
        let mut body = match Topic::parse(&topic) {
            Some(parsed) => {
                let envelope = Intake::new(&topic, &parsed, "", &payload, self.event_us / 1_000).envelope;
                String::from_utf8_lossy(&envelope).into_owned()
            }
            None => format!(r#"{{"topic":"{topic}","payload":{payload}}}"#),
        };
        if self.bad == Some(Bad::Json) {
            body.truncate(body.len() / 2);
        }
        (format!("telemetry.{}.{}", subject_token(tenant_id), subject_token(device_id)), body)
    }

    /// For MQTT: the topic, and the payload with the token in it.
    pub(crate) fn mqtt(&self) -> (String, String) {
        (self.topic(), self.cut(self.payload(true)))
    }

    /// For HTTP: the path, and the body without the token, which has a header.
    pub(crate) fn http(&self) -> (String, String) {
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let msg_type = if self.bad == Some(Bad::Topic) { "telemetries" } else { self.msg_type };
        let path = format!(
            "/ingest/v1/tenant/{}/device/{}/{msg_type}",
            encoded(&self.device.tenant_id),
            encoded(&self.device.device_id)
        );
        (path, self.cut(self.payload(false)))
    }

    /// Half of it, where it is to be no JSON.
    fn cut(&self, mut payload: String) -> String {
        if self.bad == Some(Bad::Json) {
            payload.truncate(payload.len() / 2);
        }
        payload
    }

    fn topic(&self) -> String {
        let Self { topic_root, device, msg_type, .. } = self;
        format!("{topic_root}/{}/device/{}/{msg_type}", device.tenant_id, device.device_id)
    }

    fn payload(&self, with_token: bool) -> String {
        let Self { device, msg_type, version, payload_tenant, site, seq, token, metrics, .. } = self;
        let (device_id, ts) = (&device.device_id, timestamp(self.event_us));
        let mut text = String::with_capacity(512 + self.padding);
        let written = (|| {
            write!(
                text,
                r#"{{"version":"{version}","ts":"{ts}","tenant_id":"{payload_tenant}","site_id":{site},"device_id":"{device_id}","msg_type":"{msg_type}","seq":{seq}"#,
            )?;
            if with_token && !token.is_empty() {
                write!(text, r#","provision_token":"{token}""#)?;
            }
            if !metrics.is_empty() {
                write!(text, r#","metrics":{metrics}"#)?;
            }
            if self.padding > 0 {
                write!(text, r#","padding":"{}""#, ".".repeat(self.padding))?;
            }
            text.write_str("}")
        })();
        debug_assert!(written.is_ok(), "writing to a String does not fail");
        text
    }
}

fn timestamp(us: i64) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(us) * 1_000)
        .ok()
        .and_then(|time| time.format(TIMESTAMP).ok())
        .unwrap_or_default()
}
