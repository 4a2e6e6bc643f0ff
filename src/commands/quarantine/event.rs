//! An event of the quarantine as operators see it.

use std::fmt::Write;

use serde::Serialize;
use serde_json::value::RawValue;

use super::table::table;
use ingest_core::message::visible::visible;

/// A row of `quarantine_events`. Times are ISO 8601 text, UTC.
#[derive(Debug, Serialize)]
pub(in crate::commands) struct Event {
    pub id: i64,
    pub refused_at: Option<String>,
    pub received_at: Option<String>,
    #[serde(skip)]
    pub received_us: Option<i64>,
    pub event_ts: Option<String>,
    pub stream: Option<String>,
    pub stream_seq: Option<i64>,
    pub topic: Option<String>,
    pub tenant_id: Option<String>,
    pub site_id: Option<String>,
    pub device_id: Option<String>,
    pub msg_type: Option<String>,
    pub reason: String,
    pub detail: Option<String>,
    pub authenticated: bool,
    pub replayed_at: Option<String>,
    pub replays: i32,
    /// The payload as JSON.
    pub payload: Option<Box<RawValue>>,
    /// What jsonb can't hold, escaped: everything but printable ASCII is `\x..`.
    pub raw: Option<String>,
    /// For people.
    #[serde(skip)]
    pub pretty_payload: Option<String>,
    /// `raw_events` holds it as a mirrored reject.
    #[serde(skip)]
    pub is_mirrored: bool,
}

/// Rejections and events of one tenant and reason.
#[derive(Debug, Serialize)]
pub(super) struct Count {
    pub tenant_id: String,
    pub reason: String,
    /// By the counters.
    pub rejected: i64,
    /// Events in the quarantine.
    pub stored: i64,
    /// Of those, replayed.
    pub replayed: i64,
}

impl Event {
    /// The whole event, a line per column.
    pub(super) fn page(&self) -> String {
        let number = |number: Option<i64>| number.map(|number| number.to_string());
        let lines = [
            ("id", Some(self.id.to_string())),
            ("refused at", self.refused_at.clone()),
            ("reason", Some(self.reason.clone())),
            ("detail", self.detail.clone()),
            ("tenant", self.tenant_id.clone()),
            ("site", self.site_id.clone()),
            ("device", self.device_id.clone()),
            ("type", self.msg_type.clone()),
            ("topic", self.topic.clone()),
            ("event time", self.event_ts.clone()),
            ("received at", self.received_at.clone()),
            ("stream", self.stream.clone()),
            ("stream seq", number(self.stream_seq)),
            ("authenticated", Some(if self.authenticated { "yes" } else { "no" }.to_owned())),
            ("replayed at", self.replayed_at.clone()),
            ("replays", Some(self.replays.to_string())),
        ];
        let mut page = String::new();
        for (name, value) in lines {
            // Writing to a String never fails.
            let _ = writeln!(page, "{name:<14} {}", visible(value.as_deref().unwrap_or("-")));
        }
        if let Some(payload) = &self.pretty_payload {
            page.push_str("payload\n");
            payload.lines().for_each(|line| page.extend(["  ", &visible(line), "\n"]));
        }
        if let Some(raw) = &self.raw {
            page.extend(["raw\n  ", raw, "\n"]);
        }
        page
    }
}

/// Events, a line each.
pub(super) fn table_of(events: &[Event]) -> String {
    let cell = |cell: &Option<String>| cell.clone().unwrap_or_else(|| "-".to_owned());
    let rows = events.iter().map(|event| {
        [
            event.id.to_string(),
            cell(&event.refused_at),
            cell(&event.tenant_id),
            cell(&event.device_id),
            cell(&event.msg_type),
            event.reason.clone(),
            if event.replays > 0 { event.replays.to_string() } else { "-".to_owned() },
            cell(&event.detail),
        ]
    });
    table(["ID", "REFUSED AT", "TENANT", "DEVICE", "TYPE", "REASON", "REPLAYS", "DETAIL"], rows)
}

/// Counts, a line each.
pub(super) fn counts_table(counts: &[Count]) -> String {
    let rows = counts.iter().map(|count| {
        let Count { tenant_id, reason, rejected, stored, replayed } = count;
        [tenant_id.clone(), reason.clone(), rejected.to_string(), stored.to_string(), replayed.to_string()]
    });
    table(["TENANT", "REASON", "REJECTED", "STORED", "REPLAYED"], rows)
}
