//! Labels are closed lists: every series exists from the start, at zero, and none can grow with devices.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::{MetricType, TypedMetric};

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

/// A label's enum: its visibility and name, and per variant the value and what it means.
macro_rules! label {
    ($(#[$doc:meta])* $vis:vis $name:ident = $label:literal { $($(#[$variant_doc:meta])* $variant:ident = $value:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $vis enum $name {
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
    /// The message type; devices choose it, so all unknown types are one value.
    pub MsgKind = "msg_type" {
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
    /// The result of a device look-up in PostgreSQL, per device.
    pub LookupResult = "result" {
        /// The device is registered (or was made by auto-provisioning).
        Found = "found",
        /// The device is not registered.
        Unknown = "unknown",
        /// The device is not registered, and the registry is full.
        NoCapacity = "no_capacity",
        /// PostgreSQL refuses the look-up, or the registered data are invalid.
        Invalid = "invalid",
        /// PostgreSQL did not answer.
        Failed = "failed",
    }
}

label! {
    /// How one attempt to write a batch ended.
    pub FlushResult = "result" {
        /// All of it is durable.
        Ok = "ok",
        /// Some of it was rejected for good, the rest is durable.
        Partial = "partial",
        /// None of it is known to be durable.
        Failed = "failed",
    }
}

label! {
    /// What became of a line. A line may be deferred first and confirmed later.
    pub LineResult = "result" {
        /// Confirmed: durable in InfluxDB.
        Ok = "ok",
        /// Refused for good.
        Refused = "refused",
        /// Deferred to the outbox, for redelivery.
        Deferred = "deferred",
        /// NAKed: the broker redelivers it (policy `required`).
        Returned = "returned",
    }
}

label! {
    /// A capacity limit of an InfluxDB server.
    pub ServerLimit = "limit" {
        /// Requests refused because they need another database.
        Databases = "databases",
        /// Lines that would need another table; they stay in the outbox.
        Tables = "tables",
        /// Lines that would bring another column to a full table or family; they are written without it.
        Columns = "columns",
    }
}

label! {
    /// Whether a message of the shadow or command lane changed anything.
    pub Effect = "result" {
        /// It changed something.
        Applied = "applied",
        /// Outdated, unknown or done before.
        Unchanged = "unchanged",
    }
}

label! {
    /// Whether the replay header of a message from the quarantine was authentic.
    pub ReplayClaim = "result" {
        /// Signed with the database's key.
        Proven = "proven",
        /// Forged, altered or of another database: the message was validated as any other.
        Unproven = "unproven",
    }
}

label! {
    /// Success or failure.
    pub Outcome = "result" {
        /// Succeeded.
        Ok = "ok",
        /// Failed.
        Failed = "failed",
    }
}

label! {
    /// What an error of PostgreSQL was about, by the class of its SQLSTATE.
    pub(crate) ErrorClass = "class" {
        /// No connection, or a broken one; SQLSTATE 08.
        Connection = "connection",
        /// Nothing came in time, of the server or of the pool; 57014.
        Timeout = "timeout",
        /// The server shuts down, starts, or has ended the session; 57.
        Shutdown = "shutdown",
        /// The server takes no writes: a standby, or read-only; 25006.
        ReadOnly = "read_only",
        /// No memory, disk or connections left; 53.
        Resources = "resources",
        /// A lock was not available, or transactions collided; 55, 40.
        Conflict = "conflict",
        /// The log-in was refused; 28.
        Login = "login",
        /// A permission is missing, row security included; 42501.
        Permission = "permission",
        /// A table, column, function or schema does not fit; 42, 3D, 3F, 0A.
        Schema = "schema",
        /// A key, check or other constraint; 23, 44.
        Constraint = "constraint",
        /// A value that its column can't hold; 22, 54.
        Data = "data",
        /// Raised by a function or trigger; P0, 38, 39.
        Raised = "raised",
        /// Damaged data, or an error of the system; 58, XX.
        System = "system",
        /// Anything else.
        Other = "other",
    }
}

label! {
    /// A table of the quarantine of which old rows are deleted.
    pub(crate) RetainedTable = "table" {
        /// The records.
        Events = "quarantine_events",
        /// The counters.
        Counters = "quarantine_counters_minute",
    }
}

label! {
    /// How a request to InfluxDB ended: the status of its answer, or why there was none.
    pub RequestStatus = "status" {
        /// Success; of writes only 204 confirms.
        Success = "2xx",
        /// Malformed, or some lines were refused.
        BadRequest = "400",
        /// The token is not accepted.
        Unauthorized = "401",
        /// The token may not do this.
        Forbidden = "403",
        /// No such database, bucket or path.
        NotFound = "404",
        /// There is one already.
        Exists = "409",
        /// Too large.
        TooLarge = "413",
        /// Refused for what it holds, or a limit.
        Unprocessable = "422",
        /// Too many requests.
        TooMany = "429",
        /// An error of the server.
        ServerError = "5xx",
        /// Any other status.
        Other = "other",
        /// No answer in time.
        Timeout = "timeout",
        /// No connection, or a broken one.
        Connection = "connection",
    }
}

impl From<u16> for RequestStatus {
    fn from(status: u16) -> Self {
        match status {
            200..=299 => RequestStatus::Success,
            400 => RequestStatus::BadRequest,
            401 => RequestStatus::Unauthorized,
            403 => RequestStatus::Forbidden,
            404 => RequestStatus::NotFound,
            409 => RequestStatus::Exists,
            413 => RequestStatus::TooLarge,
            422 => RequestStatus::Unprocessable,
            429 => RequestStatus::TooMany,
            500..=599 => RequestStatus::ServerError,
            _ => RequestStatus::Other,
        }
    }
}
