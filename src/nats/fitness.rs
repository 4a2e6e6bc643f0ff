//! Fitness of an existing consumer: the settings that the node obeys, those that make correct work impossible, and those that
//! differ from the recommended ones.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, Config, DeliverPolicy, Info, ReplayPolicy, pull};

use time::format_description::well_known::Rfc3339;

use crate::delivery::{Lane, Owner};
use ingest_core::flow::disposition::DeliveryLimit;

/// With `max_waiting` below this the node keeps one request open, so that other replicas can have theirs.
const FEW_WAITING: i64 = 16;

/// The settings of a consumer that the node obeys.
#[derive(Clone, Debug)]
pub struct Terms {
    /// After this long without an ack or an in-progress signal the broker delivers again.
    pub ack_wait: Duration,
    /// How often a message may be delivered (`max_deliver`).
    pub limit: DeliveryLimit,
    /// Most messages of a pull request.
    pub max_batch: Option<usize>,
    /// Most bytes of a pull request.
    pub max_bytes: Option<usize>,
    /// Longest time that a pull request may wait.
    pub max_expires: Option<Duration>,
    /// Whether only one pull request may be open at a time.
    pub one_request: bool,
    /// Differences from the settings that the node would choose, each as a sentence.
    pub differences: Vec<String>,
}

/// Why a consumer is unusable until an operator changes its settings; `None` where it is usable.
pub(crate) fn unfit(info: &Info, lane: Lane) -> Option<String> {
    let (found, name) = (&info.config, lane.consumer());
    if found.deliver_subject.is_some() {
        Some(format!("consumer {name} is a push consumer, not a pull consumer"))
    } else if found.ack_policy != AckPolicy::Explicit {
        Some(format!(
            "consumer {name} has the ack policy {}, not explicit: it would lose or double messages",
            ack_policy(found.ack_policy)
        ))
    } else if found.headers_only {
        Some(format!("consumer {name} has headers_only: every message would come without its content"))
    } else if lane.owner() == Owner::Node {
        None
    } else if !takes_all(found, lane) {
        let list = filters(found).join(", ");
        Some(format!(
            "consumer {name} has the filter {list}, not all of {}: the server drops what no consumer wants",
            lane.subjects()
        ))
    } else if found.max_deliver > 0 {
        Some(format!(
            "consumer {name} has max_deliver {}, not -1: the server's stream drops what its consumers have given up",
            found.max_deliver
        ))
    } else {
        None
    }
}

/// The subjects that a consumer delivers; none = all.
fn filters(found: &Config) -> Vec<&str> {
    let one = Some(&found.filter_subject).filter(|filter| !filter.is_empty());
    one.into_iter().chain(&found.filter_subjects).map(String::as_str).collect()
}

/// Whether it delivers every message of the lane.
fn takes_all(found: &Config, lane: Lane) -> bool {
    let filters = filters(found);
    filters.is_empty() || filters.iter().any(|filter| covers(filter, lane.subjects()))
}

/// Reads the settings; `wanted` is what the node would choose.
pub(crate) fn terms(info: &Info, wanted: &pull::Config, lane: Lane) -> Terms {
    let found = &info.config;
    // With a list of delays the broker goes by it instead of by ack_wait.
    let ack_wait = found.backoff.iter().copied().chain([found.ack_wait]).min().unwrap_or(found.ack_wait);
    Terms {
        ack_wait,
        limit: DeliveryLimit::of(found.max_deliver),
        max_batch: positive(found.max_batch),
        max_bytes: positive(found.max_bytes),
        max_expires: Some(found.max_expires).filter(|most| !most.is_zero()),
        one_request: (1..FEW_WAITING).contains(&found.max_waiting),
        differences: differences(info, ack_wait, wanted, lane),
    }
}

fn positive(limit: i64) -> Option<usize> {
    usize::try_from(limit).ok().filter(|limit| *limit > 0)
}

fn differences(info: &Info, ack_wait: Duration, wanted: &pull::Config, lane: Lane) -> Vec<String> {
    let found = &info.config;
    let mut all: Vec<String> = Vec::new();
    let mut differs = |is_so: bool, sentence: String| {
        if is_so {
            all.push(sentence);
        }
    };
    differs(
        found.ack_wait < wanted.ack_wait,
        format!("ack_wait is {:?}, {:?} is recommended", found.ack_wait, wanted.ack_wait),
    );
    differs(
        !found.backoff.is_empty(),
        format!("backoff is {}: the broker delivers again after {ack_wait:?} without a sign", list(&found.backoff)),
    );
    differs(
        found.max_ack_pending > 0 && found.max_ack_pending < wanted.max_ack_pending,
        format!(
            "max_ack_pending is {}, which bounds the throughput of all replicas together; {} is recommended",
            found.max_ack_pending, wanted.max_ack_pending
        ),
    );
    differs(
        found.max_deliver > 0,
        format!(
            "max_deliver is {}: the broker gives a message up after so many crashes or restarts; -1 is recommended",
            found.max_deliver
        ),
    );
    differs(info.paused, "it is paused: nothing is delivered until it is resumed".to_owned());
    all.extend(selection(found, lane));
    all.extend(request_limits(found));
    all
}

/// Which messages it delivers, and when.
fn selection(found: &Config, lane: Lane) -> Vec<String> {
    let mut all = Vec::new();
    if !takes_all(found, lane) {
        let name = if found.filter_subject.is_empty() { "filter_subjects are" } else { "filter_subject is" };
        let list = filters(found).join(", ");
        all.push(format!("{name} {list}, so other subjects of the stream are not read"));
    }
    if found.deliver_policy != DeliverPolicy::All {
        all.push(format!(
            "deliver_policy is {}, not all: what the stream held before was not delivered",
            deliver_policy(found.deliver_policy)
        ));
    }
    if found.replay_policy != ReplayPolicy::Instant {
        all.push("replay_policy is original: messages come at the pace at which they were published".to_owned());
    }
    if !found.inactive_threshold.is_zero() {
        all.push(format!(
            "inactive_threshold is {:?}: the broker deletes the consumer after so long without a node",
            found.inactive_threshold
        ));
    }
    all
}

/// The policy in the server's own words.
const fn ack_policy(policy: AckPolicy) -> &'static str {
    match policy {
        AckPolicy::Explicit => "explicit",
        AckPolicy::None => "none",
        AckPolicy::All => "all",
        AckPolicy::FlowControl => "flow_control",
    }
}

/// The policy in the server's own words, with where it begins.
fn deliver_policy(policy: DeliverPolicy) -> String {
    match policy {
        DeliverPolicy::All => "all".to_owned(),
        DeliverPolicy::Last => "last".to_owned(),
        DeliverPolicy::New => "new".to_owned(),
        DeliverPolicy::LastPerSubject => "last_per_subject".to_owned(),
        DeliverPolicy::ByStartSequence { start_sequence } => format!("by_start_sequence {start_sequence}"),
        DeliverPolicy::ByStartTime { start_time } => {
            format!("by_start_time {}", start_time.format(&Rfc3339).unwrap_or_default())
        }
    }
}

fn list(durations: &[Duration]) -> String {
    durations.iter().map(|duration| format!("{duration:?}")).collect::<Vec<_>>().join(", ")
}

/// Whether every subject of `subjects` (`x.>`) is one of the filter's.
fn covers(filter: &str, subjects: &str) -> bool {
    filter == ">" || filter == subjects
}

/// Limits on pull requests, which are obeyed.
fn request_limits(found: &Config) -> Vec<String> {
    let mut all = Vec::new();
    let mut limited = |is_so: bool, name: &str, value: String| {
        if is_so {
            all.push(format!("{name} is {value}: requests keep to it"));
        }
    };
    limited(found.max_batch > 0, "max_batch", found.max_batch.to_string());
    limited(found.max_bytes > 0, "max_bytes", format!("{} (larger messages are fetched one by one)", found.max_bytes));
    limited(!found.max_expires.is_zero(), "max_expires", format!("{:?}", found.max_expires));
    limited((1..FEW_WAITING).contains(&found.max_waiting), "max_waiting", found.max_waiting.to_string());
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_the_servers_own_stream_a_filter_for_less_or_a_finite_max_deliver_is_unfit() {
        let unfit = |config| unfit(&info(config), Lane::MQTT).unwrap_or_default();
        let all = Lane::MQTT.subjects();
        assert_eq!(unfit(serde_json::json!({})), "");
        assert_eq!(unfit(serde_json::json!({"filter_subject": all})), "");
        assert!(unfit(serde_json::json!({"filter_subject": all, "max_deliver": 5})).contains("max_deliver 5"));
        let less = serde_json::json!({"filter_subjects": ["$MQTT.msgs.a.>", "$MQTT.msgs.x"]});
        assert!(unfit(less).contains("the filter $MQTT.msgs.a.>, $MQTT.msgs.x, not all of $MQTT.msgs.>"));
    }

    fn info(config: serde_json::Value) -> Info {
        let mut info = serde_json::json!({
            "stream_name": "TELEMETRY", "name": "ingest-workers", "created": "2026-11-27T00:00:00Z",
            "config": {"durable_name": "ingest-workers", "ack_policy": "explicit", "ack_wait": 30_000_000_000_u64,
                "deliver_policy": "all", "replay_policy": "instant", "max_deliver": -1, "max_ack_pending": 60_000},
            "delivered": {"consumer_seq": 0, "stream_seq": 0}, "ack_floor": {"consumer_seq": 0, "stream_seq": 0},
            "num_ack_pending": 0, "num_redelivered": 0, "num_waiting": 0, "num_pending": 0,
        });
        for (key, value) in config.as_object().unwrap() {
            info["config"][key] = value.clone();
        }
        serde_json::from_value(info).unwrap()
    }

    fn read(config: serde_json::Value) -> Terms {
        let wanted =
            pull::Config { ack_wait: Duration::from_secs(30), max_ack_pending: 60_000, ..pull::Config::default() };
        terms(&info(config), &wanted, Lane::TELEMETRY)
    }

    #[test]
    fn what_the_node_would_make_differs_in_nothing() {
        assert_eq!(read(serde_json::json!({})).differences, Vec::<String>::new());
        assert_eq!(read(serde_json::json!({"filter_subject": "telemetry.>"})).differences, Vec::<String>::new());
        assert_eq!(read(serde_json::json!({"filter_subjects": ["a", ">"]})).differences, Vec::<String>::new());
    }

    #[test]
    fn every_setting_that_could_hurt_is_named() {
        for (name, value) in [
            ("ack_wait", serde_json::json!(1_000_000_000)),
            ("max_ack_pending", serde_json::json!(100)),
            ("max_deliver", serde_json::json!(3)),
            ("filter_subject", serde_json::json!("telemetry.acme")),
            ("filter_subjects", serde_json::json!(["telemetry.acme", "telemetry.other"])),
            ("deliver_policy", serde_json::json!("new")),
            ("replay_policy", serde_json::json!("original")),
            ("max_batch", serde_json::json!(100)),
            ("max_bytes", serde_json::json!(1_024)),
            ("max_expires", serde_json::json!(5_000_000_000_u64)),
            ("max_waiting", serde_json::json!(1)),
            ("inactive_threshold", serde_json::json!(5_000_000_000_u64)),
            ("backoff", serde_json::json!([1_000_000_000, 60_000_000_000_u64])),
        ] {
            let found = read(serde_json::json!({name: value})).differences;
            assert!(found.len() == 1 && found[0].starts_with(name), "{name}: {found:?}");
        }
    }

    #[test]
    fn policies_are_named_as_the_server_names_them() {
        for (config, words) in [
            (serde_json::json!({"deliver_policy": "last_per_subject"}), "deliver_policy is last_per_subject, not all"),
            (
                serde_json::json!({"deliver_policy": "by_start_sequence", "opt_start_seq": 17}),
                "deliver_policy is by_start_sequence 17, not all",
            ),
            (
                serde_json::json!({"deliver_policy": "by_start_time", "opt_start_time": "2026-11-21T00:00:00Z"}),
                "deliver_policy is by_start_time 2026-11-21T00:00:00Z, not all",
            ),
            (serde_json::json!({"backoff": [60_000_000_000_u64, 120_000_000_000_u64]}), "backoff is 60s, 120s: "),
        ] {
            let found = read(config).differences;
            assert!(found.len() == 1 && found[0].starts_with(words), "{words}: {found:?}");
        }
        let all = unfit(&info(serde_json::json!({"ack_policy": "all"})), Lane::TELEMETRY).unwrap_or_default();
        assert!(all.contains("the ack policy all, not explicit"), "{all}");
    }

    #[test]
    fn a_paused_consumer_is_named_as_such() {
        let paused = Info { paused: true, ..info(serde_json::json!({})) };
        let wanted = pull::Config { ack_wait: paused.config.ack_wait, ..Default::default() };
        let found = terms(&paused, &wanted, Lane::TELEMETRY).differences;
        assert!(found.contains(&"it is paused: nothing is delivered until it is resumed".to_owned()), "{found:?}");
    }

    #[test]
    fn limits_are_read_as_terms() {
        let terms = read(serde_json::json!({
            "max_batch": 7, "max_bytes": 8, "max_expires": 5_000_000_000_u64, "max_waiting": 1, "max_deliver": 3,
            "backoff": [1_000_000_000, 60_000_000_000_u64],
        }));
        assert_eq!((terms.max_batch, terms.max_bytes), (Some(7), Some(8)));
        assert_eq!((terms.max_expires, terms.ack_wait), (Some(Duration::from_secs(5)), Duration::from_secs(1)));
        assert_eq!((terms.one_request, terms.limit), (true, DeliveryLimit::AtMost(3)));
    }

    #[test]
    fn what_would_lose_or_double_messages_is_unfit() {
        let unfit = |config| unfit(&info(config), Lane::TELEMETRY);
        assert_eq!(unfit(serde_json::json!({})), None);
        for config in [
            serde_json::json!({"headers_only": true}),
            serde_json::json!({"ack_policy": "none"}),
            serde_json::json!({"ack_policy": "all"}),
            serde_json::json!({"deliver_subject": "somewhere"}),
        ] {
            assert!(unfit(config.clone()).is_some(), "{config}");
        }
    }
}
