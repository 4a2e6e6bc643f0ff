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
    /// How a message is opened.
    pub opening: Opening,
    /// Which checks its messages must pass.
    pub checks: LaneChecks,
    /// When a node runs it.
    pub activation: Activation,
}

/// How a message is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    /// The message is an envelope, which holds topic and payload.
    Envelope,
}

/// Which checks the messages of a lane must pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LaneChecks {
    /// The same for all of them.
    All(Checks),
}

/// When a node runs a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activation {
    /// Always.
    Always,
}

/// Every lane, in the order in which they are shown.
pub(super) static SPECS: [Spec; 3] = [
    Spec {
        stream: "TELEMETRY",
        consumer: "ingest-workers",
        subjects: "telemetry.>",
        opening: Opening::Envelope,
        checks: LaneChecks::All(Checks::Telemetry),
        activation: Activation::Always,
    },
    Spec {
        stream: "SHADOW",
        consumer: "ingest-shadow",
        subjects: "shadow.>",
        opening: Opening::Envelope,
        checks: LaneChecks::All(Checks::Shadow),
        activation: Activation::Always,
    },
    Spec {
        stream: "COMMANDS",
        consumer: "ingest-commands",
        subjects: "commands.>",
        opening: Opening::Envelope,
        checks: LaneChecks::All(Checks::Command),
        activation: Activation::Always,
    },
];
