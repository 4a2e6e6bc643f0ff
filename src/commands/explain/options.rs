//! What is asked for.

use std::time::{SystemTime, UNIX_EPOCH};

use clap::{ArgGroup, Args};

use ingest_core::explain::Question;
use ingest_core::reprocess::period;

/// How far back a device's messages are looked for unless told otherwise, in microseconds.
const DEVICE_SINCE_US: i64 = 24 * 3_600 * 1_000_000;

/// Which message, and how to print.
#[derive(Clone, Debug, Args)]
#[command(group = ArgGroup::new("which").required(true).args(["stream", "tenant", "event"]))]
pub(crate) struct Options {
    /// The message with this number (--seq) in a stream, TELEMETRY for example.
    #[arg(long, requires = "seq", value_name = "STREAM")]
    pub stream: Option<String>,
    /// The newest message of a device (--device) of this tenant.
    #[arg(long, requires = "device")]
    pub tenant: Option<String>,
    /// The device.
    #[arg(long, requires = "tenant", conflicts_with_all = ["stream", "event"])]
    pub device: Option<String>,
    /// The message's number in the stream; with --device the sender's own number of it, the payload's `seq`.
    #[arg(long, value_name = "N", allow_negative_numbers = true, conflicts_with = "event")]
    pub seq: Option<i64>,
    /// The message of this quarantine event.
    #[arg(long, value_name = "ID")]
    pub event: Option<i64>,
    /// Look no further back than this: a duration such as 2h or 3d, or a moment such as 2026-11-21T06:00Z [default: 24h with
    /// --device, everything otherwise].
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    pub since: Option<i64>,
    /// One JSON object instead of text.
    #[arg(long)]
    pub json: bool,
}

impl Options {
    /// The question.
    ///
    /// # Errors
    /// A sentence, where the arguments are none.
    pub(super) fn question(&self) -> Result<Question, &'static str> {
        match (&self.stream, &self.tenant, &self.device, self.event) {
            (Some(stream), ..) => {
                let seq = self.seq.and_then(|seq| u64::try_from(seq).ok()).filter(|seq| *seq > 0);
                let seq = seq.ok_or("--seq: the numbers of a stream begin with 1")?;
                Ok(Question::Place { stream: stream.clone(), seq })
            }
            (_, Some(tenant), Some(device), _) => {
                Ok(Question::Device { tenant: tenant.clone(), device: device.clone(), seq: self.seq })
            }
            (.., Some(event)) => Ok(Question::Event(event)),
            _ => Err("one of --stream, --tenant and --event is needed"),
        }
    }

    /// The earliest broker's time that is looked at, Unix microseconds.
    pub(super) fn since_us(&self) -> Option<i64> {
        let by_default = self.tenant.as_ref().map(|_| now_us() - DEVICE_SINCE_US);
        self.since.or(by_default)
    }
}

fn now_us() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64)
}

fn moment(text: &str) -> Result<i64, String> {
    period::since(text, now_us())
        .ok_or_else(|| "a duration (90s, 15m, 2h, 3d, 1w) or an ISO 8601 time is needed".into())
}
