//! The streams: what they keep, for how long, and how safely.

use std::time::Duration;

use async_nats::jetstream::stream::{DiscardPolicy, Info, RetentionPolicy, StorageType};

use futures_util::future::join_all;

use super::{Session, server_stream};
use crate::app::preflight::result::CheckResult;
use crate::config::Config;
use crate::delivery::{Lane, Owner};
use crate::nats::provision::{ApiError, stream_info};
use crate::sink::routes::stream as jobs;
use crate::sink::state::silence as alerts;

/// An outage that a stream should outlast: a night without anybody.
const OUTAGE: Duration = Duration::from_secs(24 * 3_600);

/// The least that an age of messages is computed from.
const LEAST_SPAN_SECS: f64 = 60.0;

/// A result for each stream at least.
pub(super) async fn check(config: &Config, session: &Session) -> Vec<CheckResult> {
    let is_clustered = session.client.server_info().cluster.is_some();
    let lane = async |lane: Lane| {
        let about = format!("stream {}", lane.stream());
        match (stream_info(&session.context, lane.stream()).await, lane.owner()) {
            (Ok(found), Owner::Server) => server_stream::assess(about, lane.stream(), lane.subjects(), found.as_ref()),
            (Ok(Some(info)), Owner::Node) => assess(&about, &info, lane_differences(&info, lane), is_clustered),
            (other, _) => vec![absent(&about, other.err(), config)],
        }
    };
    let jobs = async {
        let about = format!("stream {}", jobs::STREAM);
        match stream_info(&session.context, jobs::STREAM).await {
            Ok(Some(info)) => assess(&about, &info, jobs::differences(&info.config), is_clustered),
            other => vec![absent(&about, other.err(), config)],
        }
    };
    let alerts = async {
        if !config.state.silence.enabled {
            return Vec::new();
        }
        let about = format!("stream {}", alerts::STREAM);
        match stream_info(&session.context, alerts::STREAM).await {
            Ok(Some(info)) => assess(&about, &info, alerts::differences(&info.config), is_clustered),
            Ok(None) if !config.nats.create => vec![CheckResult::warn(
                about,
                "missing, and NATS_CREATE is off: nobody is told of devices that fall silent",
                "make it with the subjects alerts.>, let the node do so with NATS_CREATE=1, or set DEVICE_SILENCE=0",
            )],
            other => vec![absent(&about, other.err(), config)],
        }
    };
    let (mut results, jobs, alerts) = tokio::join!(join_all(config.nats.lanes().iter().map(lane)), jobs, alerts);
    results.extend([jobs, alerts]);
    results.concat()
}

fn absent(about: &str, error: Option<ApiError>, config: &Config) -> CheckResult {
    match error {
        Some(why) => CheckResult::err(
            about,
            why.to_string(),
            "permit the node's user $JS.API and its inbox, and see that JetStream has a leader",
        ),
        None if config.nats.create => CheckResult::ok(about, "missing; `run` makes it"),
        None => CheckResult::err(
            about,
            "missing, and NATS_CREATE is off",
            "make it, or let the node do so with NATS_CREATE=1",
        ),
    }
}

fn assess(about: &str, info: &Info, differences: Vec<String>, is_clustered: bool) -> Vec<CheckResult> {
    let advice = "change it (`nats stream edit`); the node never alters a stream";
    let mut results: Vec<CheckResult> =
        differences.into_iter().map(|difference| CheckResult::warn(about, difference, advice)).collect();
    let found = &info.config;
    if is_clustered && found.num_replicas < 2 {
        results.push(CheckResult::warn(
            about,
            "it has one replica in a cluster: with that server its messages are gone, for a time or for good",
            "nats stream edit --replicas 3",
        ));
    }
    if found.sealed {
        results.push(CheckResult::err(about, "it is sealed: nothing can be published to it", "make another stream"));
    }
    if results.is_empty() {
        let kept = format!("{} messages, {} replicas", info.state.messages, found.num_replicas);
        results.push(CheckResult::ok(about, kept));
    }
    results
}

/// How the stream of a lane could lose messages that nobody has read.
fn lane_differences(info: &Info, lane: Lane) -> Vec<String> {
    let found = &info.config;
    let mut all = Vec::new();
    let mut when = |holds: bool, sentence: String| {
        if holds {
            all.push(sentence);
        }
    };
    let subjects = lane.subjects();
    when(
        !found.subjects.iter().any(|subject| subject == subjects || subject == ">"),
        format!("its subjects are {}: what else is published to {subjects} is not stored", found.subjects.join(", ")),
    );
    when(
        !found.max_age.is_zero() && found.max_age < OUTAGE,
        format!(
            "max_age is {:?}: an outage that lasts longer loses messages; {OUTAGE:?} would outlast a night",
            found.max_age
        ),
    );
    if let Some((limit, hours)) = hours_kept(info).filter(|(_, hours)| *hours < OUTAGE.as_secs() as f64 / 3_600.0) {
        let lost = match found.discard {
            DiscardPolicy::Old => "then the oldest messages are dropped, read or not",
            DiscardPolicy::New => "then producers are refused",
        };
        when(true, format!("{limit} is full after {hours:.1} hours at the rate of the messages in it; {lost}"));
    }
    when(
        found.max_messages_per_subject > 0,
        format!(
            "max_msgs_per_subject is {}: of each tenant no more are kept, read or not",
            found.max_messages_per_subject
        ),
    );
    when(found.storage == StorageType::Memory, "its storage is memory: messages are lost with the server".to_owned());
    when(found.no_ack, "no_ack is set: no producer learns whether a message is stored".to_owned());
    when(
        found.retention == RetentionPolicy::Interest,
        "retention is interest: messages are dropped while the consumer is missing".to_owned(),
    );
    all
}

/// The limit that is met first, and after how many hours at the rate of the messages that are there.
fn hours_kept(info: &Info) -> Option<(String, f64)> {
    let (found, state) = (&info.config, &info.state);
    let span = (state.last_timestamp - state.first_timestamp).as_seconds_f64();
    if state.messages < 2 || span < LEAST_SPAN_SECS {
        return None;
    }
    let hours = |most: i64, there: u64| most as f64 / there.max(1) as f64 * span / 3_600.0;
    let bytes = (found.max_bytes > 0)
        .then(|| (format!("max_bytes ({})", found.max_bytes), hours(found.max_bytes, state.bytes)));
    let messages = (found.max_messages > 0)
        .then(|| (format!("max_msgs ({})", found.max_messages), hours(found.max_messages, state.messages)));
    bytes.into_iter().chain(messages).min_by(|one, other| one.1.total_cmp(&other.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(config: serde_json::Value, state: serde_json::Value) -> Info {
        let mut info = serde_json::json!({
            "config": {"name": "TELEMETRY", "subjects": ["telemetry.>"], "retention": "limits", "max_consumers": -1,
                "max_msgs": -1, "max_bytes": -1, "max_age": 0, "max_msgs_per_subject": -1, "max_msg_size": -1,
                "discard": "old", "storage": "file", "num_replicas": 1, "duplicate_window": 120_000_000_000_u64,
                "sealed": false},
            "created": "2026-11-27T00:00:00Z",
            "state": {"messages": 0, "bytes": 0, "first_seq": 0, "first_ts": "2026-11-27T00:00:00Z", "last_seq": 0,
                "last_ts": "2026-11-27T00:00:00Z", "consumer_count": 0},
        });
        for (part, changes) in [("config", config), ("state", state)] {
            for (key, value) in changes.as_object().unwrap() {
                info[part][key] = value.clone();
            }
        }
        serde_json::from_value(info).unwrap()
    }

    fn found(config: serde_json::Value, state: serde_json::Value) -> Vec<String> {
        lane_differences(&info(config, state), Lane::TELEMETRY)
    }

    #[test]
    fn what_the_node_would_make_differs_in_nothing() {
        assert!(found(serde_json::json!({}), serde_json::json!({})).is_empty());
        let week = serde_json::json!({"max_age": 7 * 86_400 * 1_000_000_000_u64});
        assert!(found(week, serde_json::json!({})).is_empty());
    }

    #[test]
    fn the_hours_that_a_limit_lasts_are_computed_from_what_is_there() {
        let state = serde_json::json!({"messages": 3_600, "bytes": 3_600_000, "last_ts": "2026-11-27T01:00:00Z"});
        let tight = found(serde_json::json!({"max_bytes": 7_200_000, "max_msgs": 3_600_000}), state.clone());
        assert!(tight.len() == 1 && tight[0].contains("max_bytes (7200000) is full after 2.0 hours"), "{tight:?}");
        assert!(found(serde_json::json!({"max_bytes": 360_000_000}), state).is_empty());
        // Nothing is known of a rate.
        assert!(found(serde_json::json!({"max_bytes": 1_000}), serde_json::json!({"messages": 1})).is_empty());
    }
}
