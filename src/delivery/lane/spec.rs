//! The table of lanes. A new lane is a new row here.

use ingest_core::validate::Checks;

/// What a lane is.
#[derive(Debug)]
pub(super) struct Spec {
    /// The JetStream stream that it reads.
    pub stream: &'static str,
    /// The durable pull consumer that all replicas share; also the `consumer` label of its metrics.
    pub consumer: &'static str,
    /// The subjects of its messages.
    pub subjects: &'static str,
    /// Whose the stream is.
    pub owner: Owner,
    /// How a message is opened.
    pub opening: Opening,
    /// Which checks its messages must pass.
    pub checks: LaneChecks,
    /// When a node runs it.
    pub activation: RunWhen,
}

/// How a message is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    /// The message is an envelope, which holds topic and payload.
    Envelope,
    /// The message is a payload; its subject says the topic, as nats-server makes it of an MQTT topic.
    MqttPayload,
}

/// Whose a lane's stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The node's: made where it is missing, with the lane's subjects and no others.
    Node,
    /// The server's own, which makes it by itself with the lane's subjects. The lane's consumer takes all of them, as a filter
    /// for less would cost the server two thirds of its rate.
    Server,
}

/// Which checks the messages of a lane must pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LaneChecks {
    /// The same for all of them.
    All(Checks),
    /// Those of its topic; what has none is not the node's.
    ByTopic,
}

/// When a node runs a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RunWhen {
    /// Always.
    Always,
    /// With `NATS_MQTT=1`.
    NatsMqtt,
}

/// Every lane, in the order in which they are shown.
pub(super) static SPECS: [Spec; 4] = [
    Spec {
        stream: "TELEMETRY",
        consumer: "ingest-workers",
        subjects: "telemetry.>",
        owner: Owner::Node,
        opening: Opening::Envelope,
        checks: LaneChecks::All(Checks::Telemetry),
        activation: RunWhen::Always,
    },
    Spec {
        stream: "SHADOW",
        consumer: "ingest-shadow",
        subjects: "shadow.>",
        owner: Owner::Node,
        opening: Opening::Envelope,
        checks: LaneChecks::All(Checks::Shadow),
        activation: RunWhen::Always,
    },
    Spec {
        stream: "COMMANDS",
        consumer: "ingest-commands",
        subjects: "commands.>",
        owner: Owner::Node,
        opening: Opening::Envelope,
        checks: LaneChecks::All(Checks::Command),
        activation: RunWhen::Always,
    },
    Spec {
        stream: "$MQTT_msgs",
        consumer: "ingest-mqtt",
        subjects: "$MQTT.msgs.>",
        owner: Owner::Server,
        opening: Opening::MqttPayload,
        checks: LaneChecks::ByTopic,
        activation: RunWhen::NatsMqtt,
    },
];
