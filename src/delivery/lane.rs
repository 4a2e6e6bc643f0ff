//! The lanes: which streams and consumers there are.

/// One consumer's path through the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lane {
    /// `TELEMETRY` / `ingest-workers`.
    Telemetry,
    /// `SHADOW` / `ingest-shadow`.
    Shadow,
    /// `COMMANDS` / `ingest-commands`.
    Commands,
}

impl Lane {
    /// Every lane.
    pub const ALL: [Lane; 3] = [Lane::Telemetry, Lane::Shadow, Lane::Commands];

    /// The JetStream stream it reads.
    pub const fn stream(self) -> &'static str {
        match self {
            Lane::Telemetry => "TELEMETRY",
            Lane::Shadow => "SHADOW",
            Lane::Commands => "COMMANDS",
        }
    }

    /// The durable pull consumer that all replicas share; also the `consumer` label of its metrics.
    pub const fn consumer(self) -> &'static str {
        match self {
            Lane::Telemetry => "ingest-workers",
            Lane::Shadow => "ingest-shadow",
            Lane::Commands => "ingest-commands",
        }
    }

    /// The subjects of its stream.
    pub const fn subjects(self) -> &'static str {
        match self {
            Lane::Telemetry => "telemetry.>",
            Lane::Shadow => "shadow.>",
            Lane::Commands => "commands.>",
        }
    }
}
