//! Metrics of the validators.

use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;

use super::event_lag::EventLag;
use super::exposition::Exposition;
use super::label::{MsgKind, Per, ReplayClaim};
use ingest_core::message::rejection::Reason;

/// Validation's counters.
#[derive(Clone, Debug)]
pub struct ValidationMetrics {
    /// `ingest_events_accepted_total{msg_type}`.
    pub accepted: Per<MsgKind, Counter>,
    /// `ingest_rejections_total{reason}`.
    pub rejections: Per<Reason, Counter>,
    /// `ingest_replays_total{result}`: messages with a replay's header.
    pub replays: Per<ReplayClaim, Counter>,
    /// `ingest_event_lag_seconds`: how late accepted events are.
    pub event_lag: Arc<EventLag>,
    /// `ingest_timestamp_fallbacks_total`: events without a usable `ts`, which got the broker's time.
    pub timestamp_fallbacks: Counter,
}

impl ValidationMetrics {
    pub(super) fn new(exposition: &mut Exposition) -> Self {
        Self {
            accepted: exposition.default("events_accepted", "Valid events of the telemetry lane"),
            rejections: exposition.default("rejections", "Refused messages of all lanes"),
            replays: exposition.default("replays", "Messages with a replay's header, by whether it was an operator's"),
            event_lag: exposition.collector(),
            timestamp_fallbacks: exposition.default("timestamp_fallbacks", "Events that got the broker's time"),
        }
    }
}
