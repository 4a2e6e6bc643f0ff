//! The handle of a lane: copied into everything that happens to its messages.

use std::fmt;

use super::spec::{LaneChecks, Opening, Owner, RunWhen, SPECS, Spec};
use ingest_core::message::mqtt_subject;
use ingest_core::validate::Checks;

/// One consumer's path through the node: a place in the table of lanes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lane(u8);

impl Lane {
    /// `TELEMETRY` / `ingest-workers`.
    pub const TELEMETRY: Lane = Lane(0);
    /// `SHADOW` / `ingest-shadow`.
    pub const SHADOW: Lane = Lane(1);
    /// `COMMANDS` / `ingest-commands`.
    pub const COMMANDS: Lane = Lane(2);
    /// `$MQTT_msgs` / `ingest-mqtt`.
    #[cfg(any(test, feature = "testing"))]
    pub const MQTT: Lane = Lane(3);

    /// How many lanes there are, whether a node runs them or not.
    pub const COUNT: usize = SPECS.len();

    /// Every lane, whether a node runs it or not.
    pub fn all() -> impl Iterator<Item = Lane> {
        (0..Self::COUNT).filter_map(Self::at)
    }

    /// The lane at this place of the table.
    pub(super) fn at(place: usize) -> Option<Lane> {
        u8::try_from(place).ok().filter(|_| place < Self::COUNT).map(Lane)
    }

    /// The lane that reads this stream.
    pub fn of_stream(stream: &str) -> Option<Lane> {
        Self::all().find(|lane| lane.stream() == stream)
    }

    fn spec(self) -> &'static Spec {
        &SPECS[self.index()]
    }

    /// Its place among [`Lane::all`].
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// The JetStream stream that it reads.
    pub fn stream(self) -> &'static str {
        self.spec().stream
    }

    /// The durable pull consumer that all replicas share; also the `consumer` label of its metrics.
    pub fn consumer(self) -> &'static str {
        self.spec().consumer
    }

    /// The subjects of its messages.
    pub fn subjects(self) -> &'static str {
        self.spec().subjects
    }

    /// How its messages are opened.
    pub(crate) fn opening(self) -> Opening {
        self.spec().opening
    }

    /// Whose its stream is.
    pub(crate) fn owner(self) -> Owner {
        self.spec().owner
    }

    /// Whether a message of this subject is the node's.
    pub(crate) fn takes(self, subject: &str) -> bool {
        match self.spec().opening {
            Opening::Envelope => true,
            Opening::MqttPayload => mqtt_subject::is_of_a_device(subject),
        }
    }

    /// The checks that its message of this topic must pass; `None` where the message is not the node's.
    pub(crate) fn checks(self, topic: &str) -> Option<Checks> {
        match self.spec().checks {
            LaneChecks::All(checks) => Some(checks),
            LaneChecks::ByTopic => Checks::of_topic(topic),
        }
    }

    /// The lane on which a message of this topic that came on this one is sent through again: one that takes envelopes.
    pub(crate) fn for_replay(self, topic: &str) -> Option<Lane> {
        let checks = LaneChecks::All(self.checks(topic)?);
        [self].into_iter().chain(Self::all()).find(|lane| lane.spec().checks == checks)
    }

    /// Whether its messages may become rows of `raw_events`.
    pub(crate) fn has_rows(self) -> bool {
        match self.spec().checks {
            LaneChecks::All(checks) => checks == Checks::Telemetry,
            LaneChecks::ByTopic => true,
        }
    }

    /// When a node runs it.
    pub(crate) fn activation(self) -> RunWhen {
        self.spec().activation
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lane({})", self.consumer())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_constant_is_its_own_row_of_the_table() {
        let streams = [Lane::TELEMETRY, Lane::SHADOW, Lane::COMMANDS, Lane::MQTT].map(Lane::stream);
        assert_eq!(streams, ["TELEMETRY", "SHADOW", "COMMANDS", "$MQTT_msgs"]);
    }

    #[test]
    fn no_two_lanes_share_a_stream_or_a_consumer() {
        for of in [Lane::stream, Lane::consumer] {
            assert_eq!(Lane::all().map(of).collect::<BTreeSet<_>>().len(), Lane::COUNT);
        }
        assert!(Lane::all().all(|lane| Lane::of_stream(lane.stream()) == Some(lane)));
        assert_eq!(Lane::of_stream("ROUTES"), None);
    }

    #[test]
    fn a_replay_goes_to_a_lane_that_takes_envelopes() {
        let of = |lane: Lane, rest: &str| lane.for_replay(&format!("tenant/t/device/d/{rest}"));
        assert_eq!(of(Lane::SHADOW, "shadow/reported"), Some(Lane::SHADOW));
        assert_eq!(of(Lane::MQTT, "shadow/reported"), Some(Lane::SHADOW));
        assert_eq!(of(Lane::MQTT, "commands/ack"), Some(Lane::COMMANDS));
        assert_eq!(of(Lane::MQTT, "heartbeat"), Some(Lane::TELEMETRY));
        assert_eq!(of(Lane::MQTT, "shadow/desired"), None);
    }
}
