//! Labels are closed lists: every series exists from the start, at zero, and none can grow with devices.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::{MetricType, TypedMetric};

use crate::delivery::Lane;
use ingest_core::flow::permission::Operation;
use ingest_core::influx::line_protocol::Skipped;
use ingest_core::message::msg_type::MsgType;
use ingest_core::message::rejection::Reason;

/// A label with a closed list of values.
pub trait Label: Copy + fmt::Debug + Send + Sync + 'static {
    /// The label's name.
    const NAME: &'static str;
    /// Every value, each at its own [`Label::index`].
    const ALL: &'static [Self];
    /// The value's place in [`Label::ALL`].
    fn index(self) -> usize;
    /// The value as a scrape shows it.
    fn value(self) -> &'static str;
}

/// One metric per value of a label. Cloning shares the metrics.
pub struct Per<L, M> {
    metrics: Arc<[M]>,
    label: PhantomData<fn() -> L>,
}

impl<L: Label, M> Per<L, M> {
    /// The metric of one value.
    pub fn of(&self, label: L) -> &M {
        &self.metrics[label.index()]
    }
}

impl<L: Label> Per<L, Counter> {
    /// The sum over all values.
    pub fn total(&self) -> u64 {
        self.metrics.iter().map(Counter::get).sum()
    }
}

impl<L: Label, M: Default> Default for Per<L, M> {
    fn default() -> Self {
        Self { metrics: L::ALL.iter().map(|_| M::default()).collect(), label: PhantomData }
    }
}

impl<L, M> Clone for Per<L, M> {
    fn clone(&self) -> Self {
        Self { metrics: self.metrics.clone(), label: PhantomData }
    }
}

impl<L: Label, M: fmt::Debug> fmt::Debug for Per<L, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(L::ALL.iter().map(|label| label.value()).zip(self.metrics.iter())).finish()
    }
}

impl<L: Label, M: EncodeMetric + TypedMetric> EncodeMetric for Per<L, M> {
    fn encode(&self, mut encoder: MetricEncoder) -> fmt::Result {
        for (label, metric) in L::ALL.iter().zip(self.metrics.iter()) {
            metric.encode(encoder.encode_family(&[(L::NAME, label.value())])?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        M::TYPE
    }
}

impl Label for Lane {
    const NAME: &'static str = "consumer";
    const ALL: &'static [Self] = &Lane::ALL;
    fn index(self) -> usize {
        self as usize
    }
    fn value(self) -> &'static str {
        self.consumer()
    }
}

impl Label for Reason {
    const NAME: &'static str = "reason";
    const ALL: &'static [Self] = &Reason::ALL;
    fn index(self) -> usize {
        self as usize
    }
    fn value(self) -> &'static str {
        self.as_str()
    }
}

impl Label for Operation {
    const NAME: &'static str = "operation";
    const ALL: &'static [Self] = &Operation::ALL;
    fn index(self) -> usize {
        self as usize
    }
    fn value(self) -> &'static str {
        self.as_str()
    }
}

impl Label for Skipped {
    const NAME: &'static str = "reason";
    const ALL: &'static [Self] = &Skipped::ALL;
    fn index(self) -> usize {
        self as usize
    }
    fn value(self) -> &'static str {
        self.as_str()
    }
}

/// A label's enum: its name, and per variant the value and what it means.
macro_rules! label {
    ($(#[$doc:meta])* $name:ident = $label:literal { $($(#[$variant_doc:meta])* $variant:ident = $value:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl Label for $name {
            const NAME: &'static str = $label;
            const ALL: &'static [Self] = &[$($name::$variant,)+];
            fn index(self) -> usize {
                self as usize
            }
            fn value(self) -> &'static str {
                match self {
                    $($name::$variant => $value,)+
                }
            }
        }
    };
}

label! {
    /// The message type; devices choose it, so what the node does not know is one value.
    MsgKind = "msg_type" {
        /// Becomes a row and a point.
        Telemetry = "telemetry",
        /// Becomes a row and a point without metrics.
        Heartbeat = "heartbeat",
        /// Becomes a row.
        Other = "other",
    }
}

impl From<&MsgType> for MsgKind {
    fn from(msg_type: &MsgType) -> Self {
        match msg_type {
            MsgType::Telemetry => MsgKind::Telemetry,
            MsgType::Heartbeat => MsgKind::Heartbeat,
            MsgType::Other(_) => MsgKind::Other,
        }
    }
}

label! {
    /// What a device look-up in PostgreSQL ended with, per device.
    LookupResult = "result" {
        /// The device is registered (or was made by auto-provisioning).
        Found = "found",
        /// It is not.
        Unknown = "unknown",
        /// It is not, and there is no room for it.
        NoCapacity = "no_capacity",
        /// PostgreSQL refuses to look it up, or what is registered can't be read.
        Invalid = "invalid",
        /// PostgreSQL did not answer.
        Failed = "failed",
    }
}

label! {
    /// How one attempt to write a batch ended.
    FlushResult = "result" {
        /// All of it is durable.
        Ok = "ok",
        /// Some of it was refused for good, the rest is durable.
        Partial = "partial",
        /// None of it is known to be durable.
        Failed = "failed",
    }
}

label! {
    /// What became of a line. A line may be deferred first and confirmed later.
    LineResult = "result" {
        /// Confirmed: durable in InfluxDB.
        Ok = "ok",
        /// Refused for good.
        Refused = "refused",
        /// Left to the replay: owed, as PostgreSQL has it on record.
        Deferred = "deferred",
        /// Handed back to the broker (policy `required`).
        Returned = "returned",
    }
}

label! {
    /// What an InfluxDB server can hold only so much of.
    ServerLimit = "limit" {
        /// Requests turned away for want of room for another database.
        Databases = "databases",
        /// Lines that would need another table; they stay owed.
        Tables = "tables",
        /// Lines that would bring another column to a full table or family; they are written without it.
        Columns = "columns",
    }
}

label! {
    /// Whether a message of the shadow or command lane changed anything.
    Effect = "result" {
        /// It did.
        Applied = "applied",
        /// Outdated, unknown or done before.
        Unchanged = "unchanged",
    }
}

label! {
    /// What a header that makes a message a replay from the quarantine was worth.
    ReplayClaim = "result" {
        /// Signed with the database's key.
        Proven = "proven",
        /// Forged, altered or of another database: the message was judged as any other.
        Unproven = "unproven",
    }
}

label! {
    /// How something simple ended.
    Outcome = "result" {
        /// Done.
        Ok = "ok",
        /// Not done.
        Failed = "failed",
    }
}
