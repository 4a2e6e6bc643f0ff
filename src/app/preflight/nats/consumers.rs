//! The consumers: what makes work impossible, and what differs from what the node would choose.

use async_nats::jetstream::consumer::Info;
use futures_util::future::join_all;

use super::Session;
use crate::app::preflight::result::CheckResult;
use crate::config::Config;
use crate::delivery::{Lane, Owner};
use crate::nats::fitness;
use crate::nats::provision::{consumer_config, consumer_info};

/// A result for each consumer at least.
pub(super) async fn check(config: &Config, session: &Session) -> Vec<CheckResult> {
    let one = async |lane: Lane| {
        let about = format!("consumer {}", lane.consumer());
        match consumer_info(&session.context, lane).await {
            Ok(Some(info)) => assess(&about, &info, lane, config),
            Ok(None) if config.nats.create && lane.owner() != Owner::Node => vec![CheckResult::warn(
                about,
                "missing: until it is made, nats-server acknowledges messages to devices and drops them",
                "start `run`, which makes it as soon as the stream is there",
            )],
            Ok(None) if config.nats.create => vec![CheckResult::ok(about, "missing; `run` makes it")],
            Ok(None) => {
                let advice = "make it, or let the node do so with NATS_CREATE=1";
                vec![CheckResult::err(about, "missing, and NATS_CREATE is off", advice)]
            }
            Err(why) => {
                let advice = "permit the node's user $JS.API and its inbox, and see that JetStream has a leader";
                vec![CheckResult::err(about, why.to_string(), advice)]
            }
        }
    };
    join_all(config.nats.lanes().iter().map(one)).await.concat()
}

fn assess(about: &str, info: &Info, lane: Lane, config: &Config) -> Vec<CheckResult> {
    if let Some(why) = fitness::unfit(info, lane) {
        return vec![CheckResult::err(
            about,
            why,
            "delete it; the node makes another, or make one with explicit acknowledgement",
        )];
    }
    let differences = fitness::terms(info, &consumer_config(lane, &config.nats), lane).differences;
    let advice = "change it (`nats consumer edit`), unless it is meant; the node never alters a consumer";
    let mut results: Vec<CheckResult> =
        differences.iter().map(|difference| CheckResult::warn(about, difference, advice)).collect();
    let most = info.config.max_ack_pending;
    if most > 0 && i64::try_from(info.num_ack_pending).is_ok_and(|pending| pending >= most) {
        results.push(CheckResult::warn(
            about,
            format!("all {most} messages of max_ack_pending are out and not acknowledged: nothing more is delivered"),
            "see whether a node holds them (/ready, /stats), or raise max_ack_pending",
        ));
    }
    if info.config.memory_storage {
        results.push(CheckResult::warn(
            about,
            "mem_storage is set: with the server it forgets what is acknowledged, and everything comes again",
            advice,
        ));
    }
    let window = i64::try_from(config.nats.window).unwrap_or(i64::MAX);
    let is_said = differences.iter().any(|difference| difference.starts_with("max_ack_pending"));
    if most > 0 && most < window && !is_said {
        results.push(CheckResult::warn(
            about,
            format!("max_ack_pending is {most}, less than one node's window ({window})"),
            "raise max_ack_pending to the windows of all replicas together, or lower nats.window",
        ));
    }
    if results.is_empty() {
        let waiting = format!("{} waiting, {} not acknowledged yet", info.num_pending, info.num_ack_pending);
        results.push(CheckResult::ok(about, waiting));
    }
    results
}
