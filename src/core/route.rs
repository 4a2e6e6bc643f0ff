//! A tenant's message routes: which messages they match and the jobs they make.

use std::fmt;

use serde_json::Value;
use serde_json::value::RawValue;

use super::event::{Event, Job};

/// A row of `message_routes`, its JSON columns as text.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// `id` as text.
    pub id: &'a str,
    /// `topic_filter`: an MQTT topic filter.
    pub topic_filter: &'a str,
    /// `destination_type`: `webhook`, `mqtt_republish` or `postgresql`.
    pub destination_type: &'a str,
    /// `destination_config`; null counts as `{}`.
    pub destination_config: Option<&'a str>,
    /// `payload_filter`; null and `{}` match every payload.
    pub payload_filter: Option<&'a str>,
}

/// An enabled route of a tenant.
#[derive(Clone, Debug)]
pub struct Route {
    id: String,
    /// The job up to its topic: all that is the same for every message.
    head: String,
}

/// Why a row makes no route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRoute {
    /// `message_routes.id` as text.
    pub id: String,
    /// What is wrong with it.
    pub why: String,
}

impl fmt::Display for BadRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "route {}: {}", self.id, self.why)
    }
}

impl std::error::Error for BadRoute {}

impl Route {
    /// Reads a row.
    ///
    /// # Errors
    /// Where a filter or a JSON column can't be read: such a route matches nothing, and somebody should know.
    pub fn from_row(row: Row<'_>) -> Result<Self, BadRoute> {
        let bad = |why: String| BadRoute { id: row.id.to_owned(), why };
        let json = |column: &str, text: Option<&str>, absent: &str| match text {
            None => Ok(absent.to_owned()),
            Some(text) => serde_json::from_str::<&RawValue>(text)
                .map(|json| json.get().to_owned())
                .map_err(|error| bad(format!("{column}: {error}"))),
        };
        let config = json("destination_config", row.destination_config, "{}")?;
        let filter = json("payload_filter", row.payload_filter, "null")?;
        let head = format!(
            r#"{{"route":{{"id":{},"topic_filter":{},"destination_type":{},"destination_config":{config},"payload_filter":{filter}}},"topic":"#,
            json_id(row.id),
            json_text(row.topic_filter),
            json_text(row.destination_type),
        );
        Ok(Self { id: row.id.to_owned(), head })
    }

    /// The job that an event triggers, should it match.
    pub fn job(&self, event: &Event) -> Job {
        let body = format!(
            r#"{}{},"payload":{},"tenant_id":{}}}"#,
            self.head,
            json_text(&event.topic),
            event.payload,
            json_text(&event.device.key.tenant_id),
        );
        Job { route_id: self.id.clone(), body }
    }
}

/// Ids are numbers in the table, and who reads the job writes them back into number columns.
fn json_id(id: &str) -> String {
    match id.parse::<i64>() {
        Ok(number) => number.to_string(),
        Err(_) => json_text(id),
    }
}

fn json_text(text: &str) -> String {
    Value::from(text).to_string()
}

/// The jobs that an event triggers.
pub fn jobs(_routes: &[Route], _event: &Event) -> Vec<Job> {
    Vec::new()
}
