//! The ways in that simulated devices take.

mod http;
mod mqtt;
mod nats;
mod send;

use clap::ValueEnum;

pub(super) use self::http::Http;
pub(super) use self::mqtt::Mqtt;
pub(super) use self::nats::Nats;
pub(super) use self::send::{Ended, Pace, SendOutcome, send_all};
use super::generate::Bad;
use ingest_core::message::rejection::Reason;

/// A way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Via {
    /// Envelopes straight into the stream TELEMETRY.
    Nats,
    /// The gateway's HTTP.
    Http,
    /// An MQTT broker that a gateway reads (`MQTT_HOST`).
    Mqtt,
    /// The MQTT listener of nats-server itself.
    NatsMqtt,
}

impl Via {
    /// Its name on the command line; also what the ids of its devices begin with, but for those of NATS.
    pub(super) fn name(self) -> &'static str {
        match self {
            Via::Nats => "nats",
            Via::Http => "http",
            Via::Mqtt => "mqtt",
            Via::NatsMqtt => "nats-mqtt",
        }
    }

    /// What the ids of its devices begin with.
    pub(super) fn prefix(self) -> &'static str {
        match self {
            Via::Nats => "dev",
            other => other.name(),
        }
    }

    /// The kinds of bad messages that come this way. Nobody subscribes to MQTT topics that are no devices'.
    pub(super) fn carries(self, bad: Bad) -> bool {
        bad != Bad::Topic || matches!(self, Via::Nats | Via::Http)
    }

    /// What a bad message must be refused with: by the pipeline, or over HTTP at the door already.
    pub(super) fn refusal(self, bad: Bad) -> &'static str {
        match (self, bad) {
            (Via::Nats, _) => bad.reason().as_str(),
            // The way in makes the envelope: half a payload is no broken envelope.
            (_, Bad::Json) => Reason::InvalidPayload.as_str(),
            (Via::Http, Bad::Topic) => "INVALID_MSG_TYPE",
            _ => bad.reason().as_str(),
        }
    }
}
