//! One route, from its row in `message_routes`.

use std::fmt;

use serde_json::value::RawValue;

use super::job::{JobMessage, PAYLOAD, json_text};
use crate::routes::payload_filter::PayloadFilter;
use crate::routes::topic_filter::TopicFilter;

/// The destination type whose consumers read PostgreSQL themselves: such a route makes no job.
const POSTGRESQL: &str = "postgresql";
/// Longest text of a row's columns. Routes stay in memory, and each job repeats the texts of its route.
pub(super) const MAX_TEXT_BYTES: usize = 64 * 1024;

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
    pub(super) topic_filter: TopicFilter,
    /// `None` where every payload matches.
    pub(super) payload_filter: Option<PayloadFilter>,
    pub(super) makes_jobs: bool,
    /// The job up to its topic: all that is the same for every message.
    head: String,
}

/// Why a row makes no route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRoute {
    /// `message_routes.id` as text.
    pub id: String,
    /// The reason.
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
    /// Where a filter or a JSON column can't be read: such a route matches nothing, and an operator should know.
    pub fn from_row(row: Row<'_>) -> Result<Self, BadRoute> {
        let bad = |why: String| BadRoute { id: row.id.to_owned(), why };
        let texts = [Some(row.topic_filter), Some(row.destination_type), row.destination_config, row.payload_filter];
        if texts.iter().flatten().any(|text| text.len() > MAX_TEXT_BYTES) {
            return Err(bad(format!("a column is longer than {MAX_TEXT_BYTES} bytes")));
        }
        let topic_filter = TopicFilter::parse(row.topic_filter).map_err(|error| bad(error.to_string()))?;
        let filter_json = row.payload_filter.map_or("null", str::trim);
        let payload_filter = PayloadFilter::parse(filter_json).map_err(|error| bad(error.to_string()))?;
        let config_json = row.destination_config.map_or("{}", str::trim);
        serde_json::from_str::<&RawValue>(config_json)
            .map_err(|_| bad("the destination's configuration is not JSON".to_owned()))?;
        let head = format!(
            r#"{{"route":{{"id":{},"topic_filter":{},"destination_type":{},"destination_config":{config_json},"payload_filter":{filter_json}}},"topic":"#,
            json_id(row.id),
            json_text(row.topic_filter),
            json_text(row.destination_type),
        );
        Ok(Self {
            id: row.id.to_owned(),
            topic_filter,
            payload_filter: Some(payload_filter).filter(|filter| !filter.is_empty()),
            makes_jobs: row.destination_type != POSTGRESQL,
            head,
        })
    }

    /// The row's `id` as text.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The length of [`Route::job`] in bytes.
    pub fn job_len(&self, message: &JobMessage) -> usize {
        self.head.len() + message.topic.len() + PAYLOAD.len() + message.payload.len() + message.tail.len()
    }

    /// The job that this route makes of a message, as JSON.
    pub fn job(&self, message: &JobMessage) -> String {
        let mut job = String::with_capacity(self.job_len(message));
        for part in [&self.head, &message.topic, PAYLOAD, &message.payload, &message.tail] {
            job.push_str(part);
        }
        job
    }
}

/// An id as JSON: a number where it is one, as consumers of jobs write it back into numeric columns.
fn json_id(id: &str) -> String {
    match id.parse::<i64>() {
        Ok(number) => number.to_string(),
        Err(_) => json_text(id),
    }
}
