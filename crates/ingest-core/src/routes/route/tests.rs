use serde_json::{Value, json};

use super::definition::MAX_TEXT_BYTES;
use super::{JobMessage, Matched, Route, Row, TenantRoutes};
use crate::cases::{self, Case};
use crate::message::payload::Report;

/// A message that is routed: its tenant, its topic and its payload as the row holds it.
#[derive(Clone, Copy)]
struct Message<'a> {
    tenant: &'a str,
    topic: &'a str,
    payload: &'a str,
}

fn message<'a>(tenant: &'a str, topic: &'a str, payload: &'a str) -> Message<'a> {
    Message { tenant, topic, payload }
}

const EVERYTHING: Row<'_> = Row {
    id: "7",
    topic_filter: "#",
    destination_type: "webhook",
    destination_config: Some(r#"{"url": "http://127.0.0.1:1/x"}"#),
    payload_filter: None,
};

fn bodies(rows: &[Row<'_>], message: Message<'_>) -> Vec<Value> {
    jobs(rows, message).iter().map(|(_, job)| serde_json::from_str(job).unwrap()).collect()
}

/// The jobs that a message triggers, each after its route's id.
fn jobs(rows: &[Row<'_>], message: Message<'_>) -> Vec<(String, String)> {
    let routes: TenantRoutes = rows.iter().map(|row| Route::from_row(*row).unwrap()).collect();
    let Some(matched) = Matched::of(&routes, message.topic, message.payload) else { return Vec::new() };
    let message = JobMessage::new(message.tenant, message.topic, message.payload.into());
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
    let message = message(topic.split('/').nth(1).unwrap(), topic, &payload);
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
        bodies(&[row], message)
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
        // Rejected messages have no jobs.
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
    let message = message("a \"b\"", "tenant/a/x", r#"{"metrics": {"t": 2.50}}"#);
    let (route_id, job) = jobs(&[row], message).remove(0);
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
        assert_eq!(bodies(&[Row { id, ..EVERYTHING }], message("a", "t", "{}"))[0]["route"]["id"], expected);
    }
}

#[test]
fn absent_configurations_and_filters_have_their_usual_form() {
    let row = Row { destination_config: None, ..EVERYTHING };
    let route = bodies(&[row], message("a", "t", "{}"))[0]["route"].clone();
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
    let message = message("a", "t", r#"{"metrics":{"t":2},"metrics":{"t":2,"t":1,"huge":1e999}}"#);
    let ids: Vec<_> = jobs(&rows, message).into_iter().map(|(route_id, _)| route_id).collect();
    assert_eq!(ids, ["1", "4"]);
}

#[test]
fn a_bad_row_is_reported_with_its_id_and_the_reason() {
    let long = format!("\"{}\"", "x".repeat(MAX_TEXT_BYTES));
    for (row, why) in [
        (Row { destination_config: Some(&long), ..EVERYTHING }, "route 7: a column is longer than 65536 bytes"),
        (Row { topic_filter: &long, ..EVERYTHING }, "route 7: a column is longer than 65536 bytes"),
        (Row { topic_filter: "", ..EVERYTHING }, "route 7: the topic filter is empty"),
        (Row { payload_filter: Some("[]"), ..EVERYTHING }, "route 7: the payload filter is not a JSON object"),
        (Row { destination_config: Some("{"), ..EVERYTHING }, "route 7: the destination's configuration is not JSON"),
    ] {
        assert_eq!(Route::from_row(row).unwrap_err().to_string(), why);
    }
}
