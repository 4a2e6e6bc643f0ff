//! A tenant's message routes: which messages they match and the jobs they make.

mod matched;

pub use self::matched::{Matched, TenantRoutes};

use std::fmt;

use bytestring::ByteString;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::routes::payload_filter::PayloadFilter;
use crate::routes::topic_filter::TopicFilter;

/// The destination that other services read from PostgreSQL by themselves: such a route makes no job.
const POSTGRESQL: &str = "postgresql";
/// Longest text of a row's columns. Routes are kept in memory, and each job repeats the texts of its route.
const MAX_TEXT_BYTES: usize = 64 * 1024;

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
    topic_filter: TopicFilter,
    /// `None` where every payload matches.
    payload_filter: Option<PayloadFilter>,
    makes_jobs: bool,
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

const PAYLOAD: &str = r#","payload":"#;

/// A message as its jobs carry it: what is the same for all routes.
#[derive(Clone, Debug)]
pub struct JobMessage {
    topic: String,
    payload: ByteString,
    tail: String,
}

impl JobMessage {
    /// Prepares a message's topic and tenant; the payload is JSON already and is shared.
    pub fn new(tenant_id: &str, topic: &str, payload: ByteString) -> Self {
        let tail = format!(r#","tenant_id":{}}}"#, json_text(tenant_id));
        Self { topic: json_text(topic), payload, tail }
    }
}

/// Ids are numbers in the table, and whoever reads a job writes them back into columns of numbers.
fn json_id(id: &str) -> String {
    match id.parse::<i64>() {
        Ok(number) => number.to_string(),
        Err(_) => json_text(id),
    }
}

fn json_text(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::cases::{self, Case};
    use crate::message::device::{Device, DeviceKey, Subscription};
    use crate::message::msg_type::MsgType;
    use crate::message::payload::Report;
    use crate::validate::event::Event;

    fn event(tenant: &str, topic: &str, payload: &str) -> Event {
        let device = Device {
            key: DeviceKey::new(tenant, "d1"),
            site_id: "site-1".into(),
            active: true,
            subscription: Subscription::Passes,
            token_hash: None,
            certificates: Vec::new(),
            metric_keys: Default::default(),
            location_is_auto: true,
            sensor_limit: 20,
        };
        Event {
            device: Arc::new(device),
            topic: topic.to_owned().into(),
            msg_type: MsgType::Telemetry,
            seq: 1,
            event_us: 0,
            payload: payload.into(),
            line: None,
            location: None,
            metrics_signature: 0,
            routes: None,
        }
    }

    const EVERYTHING: Row<'_> = Row {
        id: "7",
        topic_filter: "#",
        destination_type: "webhook",
        destination_config: Some(r#"{"url": "http://127.0.0.1:1/x"}"#),
        payload_filter: None,
    };

    fn bodies(rows: &[Row<'_>], event: &Event) -> Vec<Value> {
        jobs(rows, event).iter().map(|(_, job)| serde_json::from_str(job).unwrap()).collect()
    }

    /// The jobs that an event triggers, each after its route's id.
    fn jobs(rows: &[Row<'_>], event: &Event) -> Vec<(String, String)> {
        let routes: TenantRoutes = rows.iter().map(|row| Route::from_row(*row).unwrap()).collect();
        let Some(matched) = Matched::of(&routes, &event.topic, &event.payload) else { return Vec::new() };
        let message = JobMessage::new(&event.device.key.tenant_id, &event.topic, event.payload.clone());
        let job = |(_, route): (_, &Route)| {
            let job = route.job(&message);
            assert_eq!((job.len(), job.capacity()), (route.job_len(&message), route.job_len(&message)));
            (route.id().to_owned(), job)
        };
        matched.iter().map(job).collect()
    }

    /// The jobs that a case's message triggers.
    fn jobs_of(case: &Case) -> Vec<Value> {
        let envelope = case.envelope().unwrap();
        let payload = envelope["payload"].to_string();
        let payload = Report::read(&payload).unwrap().row_text(None);
        let topic = envelope["topic"].as_str().unwrap();
        let event = event(topic.split('/').nth(1).unwrap(), topic, &payload);
        let routes = case.get("routes").as_array().unwrap().iter().filter(|route| route["is_enabled"] == true);
        let routes = routes.flat_map(|route| {
            let (config, filter) = (route["destination_config"].to_string(), route["payload_filter"].to_string());
            let row = Row {
                id: "1",
                topic_filter: route["topic_filter"].as_str().unwrap(),
                destination_type: route["destination_type"].as_str().unwrap(),
                destination_config: Some(&config),
                payload_filter: Some(&filter),
            };
            bodies(&[row], &event)
        });
        routes.collect()
    }

    /// Whether `found` holds everything that `expected` names.
    fn holds(found: &Value, expected: &Value) -> bool {
        match expected {
            Value::Object(members) => members.iter().all(|(key, value)| holds(&found[key], value)),
            other => found == other,
        }
    }

    #[test]
    fn the_public_cases_hold() {
        let mut checked = 0;
        for case in ["topic_match", "payload_filter", "route_job"].iter().flat_map(|kind| cases::read(kind)) {
            // Refused messages never get here.
            if case.alternatives()[0]["outcome"] != "stored" {
                continue;
            }
            let (found, expected) = (jobs_of(&case), case.alternatives()[0]["route_jobs"].clone());
            let expected = expected.as_array().unwrap();
            assert_eq!(found.len(), expected.len(), "{}", case.id());
            for (found, expected) in found.iter().zip(expected) {
                assert!(holds(found, expected), "{}: {found} is not {expected}", case.id());
                assert!(!found.to_string().contains("provision_token"), "{}", case.id());
            }
            checked += 1;
        }
        assert!(checked > 15, "only {checked} cases were found");
    }

    #[test]
    fn a_job_holds_the_route_and_the_message() {
        let row = Row { payload_filter: Some(r#"{"t": {"$gt": 1}}"#), ..EVERYTHING };
        let event = event("a \"b\"", "tenant/a/x", r#"{"metrics": {"t": 2.50}}"#);
        let (route_id, job) = jobs(&[row], &event).remove(0);
        assert_eq!(route_id, "7");
        assert!(job.contains(r#""payload":{"metrics": {"t": 2.50}},"#), "verbatim: {job}");
        assert_eq!(
            serde_json::from_str::<Value>(&job).unwrap(),
            json!({
                "route": {
                    "id": 7,
                    "topic_filter": "#",
                    "destination_type": "webhook",
                    "destination_config": {"url": "http://127.0.0.1:1/x"},
                    "payload_filter": {"t": {"$gt": 1}},
                },
                "topic": "tenant/a/x",
                "payload": {"metrics": {"t": 2.5}},
                "tenant_id": "a \"b\"",
            })
        );
    }

    #[test]
    fn an_id_that_is_no_number_stays_text() {
        for (id, expected) in [("7", json!(7)), ("a-7", json!("a-7")), ("1e3", json!("1e3")), ("", json!(""))] {
            assert_eq!(bodies(&[Row { id, ..EVERYTHING }], &event("a", "t", "{}"))[0]["route"]["id"], expected);
        }
    }

    #[test]
    fn absent_configurations_and_filters_have_their_usual_form() {
        let row = Row { destination_config: None, ..EVERYTHING };
        let route = bodies(&[row], &event("a", "t", "{}"))[0]["route"].clone();
        assert_eq!((&route["destination_config"], &route["payload_filter"]), (&json!({}), &Value::Null));
    }

    #[test]
    fn every_matching_route_makes_its_own_job() {
        let rows = [
            Row { id: "1", ..EVERYTHING },
            Row { id: "2", topic_filter: "other/#", ..EVERYTHING },
            Row { id: "3", destination_type: "postgresql", ..EVERYTHING },
            Row { id: "4", payload_filter: Some(r#"{"t":1}"#), ..EVERYTHING },
            Row { id: "5", payload_filter: Some(r#"{"t":2}"#), ..EVERYTHING },
        ];
        // The last of equal names counts, in the payload as in its metrics; what a double can't hold does no harm.
        let event = event("a", "t", r#"{"metrics":{"t":2},"metrics":{"t":2,"t":1,"huge":1e999}}"#);
        let ids: Vec<_> = jobs(&rows, &event).into_iter().map(|(route_id, _)| route_id).collect();
        assert_eq!(ids, ["1", "4"]);
    }

    #[test]
    fn a_bad_row_says_which_and_why() {
        let long = format!("\"{}\"", "x".repeat(MAX_TEXT_BYTES));
        for (row, why) in [
            (Row { destination_config: Some(&long), ..EVERYTHING }, "route 7: a column is longer than 65536 bytes"),
            (Row { topic_filter: &long, ..EVERYTHING }, "route 7: a column is longer than 65536 bytes"),
            (Row { topic_filter: "", ..EVERYTHING }, "route 7: the topic filter is empty"),
            (Row { payload_filter: Some("[]"), ..EVERYTHING }, "route 7: the payload filter is not a JSON object"),
            (
                Row { destination_config: Some("{"), ..EVERYTHING },
                "route 7: the destination's configuration is not JSON",
            ),
        ] {
            assert_eq!(Route::from_row(row).unwrap_err().to_string(), why);
        }
    }
}
