//! A stream that the server makes by itself: `$MQTT_msgs`.

use async_nats::jetstream::stream::{Info, StorageType};

use crate::app::preflight::result::CheckResult;
use crate::nats::server_stream::{missing, unfit};

/// What its own limits would mean.
const LIMITED: &str = "remove the limit (`nats stream edit`); nats-server sets none";

/// What is known of it; `subjects` are those that the server gives it.
pub(super) fn assess(about: String, name: &str, subjects: &str, found: Option<&Info>) -> Vec<CheckResult> {
    let Some(info) = found else {
        let advice =
            "add mqtt { port: 1883 } beside jetstream to nats-server's configuration, and connect any MQTT client once";
        return vec![CheckResult::err(about, missing(name), advice)];
    };
    let config = &info.config;
    if let Some(why) = unfit(config, subjects) {
        let advice = "delete it, and let nats-server make it: the node reads no other stream by this name";
        return vec![CheckResult::err(about, why, advice)];
    }
    let mut results = Vec::new();
    if config.max_bytes > 0
        || config.max_messages > 0
        || config.max_messages_per_subject > 0
        || !config.max_age.is_zero()
    {
        let lost = "it has a limit: beyond it messages that devices have an acknowledgement for are dropped";
        results.push(CheckResult::warn(&about, lost, LIMITED));
    }
    if config.storage == StorageType::Memory {
        let lost = "it is in memory: with the server its messages are gone";
        results.push(CheckResult::warn(&about, lost, "let nats-server make it in a file"));
    }
    if results.is_empty() {
        let (messages, replicas) = (info.state.messages, config.num_replicas);
        let kept = format!("{messages} messages, {replicas} replicas; what devices publish with QoS 0 is not kept");
        results.push(CheckResult::ok(about, kept));
    }
    results
}
