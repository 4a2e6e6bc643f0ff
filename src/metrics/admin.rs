//! Requests to the admin listener.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// A device is registered.
    Register,
    /// Devices are listed.
    List,
    /// A device is revoked.
    Revoke,
    /// A device gets another token.
    RotateToken,
    /// A device is activated.
    Activate,
    /// The actors are asked for.
    Actors,
    /// The console is opened.
    Console,
    /// The console's events are asked for.
    Events,
    /// Somebody logs in at the console.
    LogIn,
    /// Messages are looked at as they are decided.
    Tap,
    /// Anything else.
    Other,
}

impl Endpoint {
    const ALL: [Self; 11] = [
        Self::Register,
        Self::List,
        Self::Revoke,
        Self::RotateToken,
        Self::Activate,
        Self::Actors,
        Self::Console,
        Self::Events,
        Self::LogIn,
        Self::Tap,
        Self::Other,
    ];

    /// The label.
    fn value(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::List => "list",
            Self::Revoke => "revoke",
            Self::RotateToken => "rotate_token",
            Self::Activate => "activate",
            Self::Actors => "actors",
            Self::Console => "console",
            Self::Events => "events",
            Self::LogIn => "log_in",
            Self::Tap => "tap",
            Self::Other => "other",
        }
    }
}

/// The statuses that have series of their own; the last stands for all others.
const STATUSES: [(u16, &str); 12] = [
    (200, "200"),
    (201, "201"),
    (303, "303"),
    (400, "400"),
    (401, "401"),
    (404, "404"),
    (405, "405"),
    (408, "408"),
    (413, "413"),
    (429, "429"),
    (503, "503"),
    (0, "other"),
];

/// `ingest_admin_requests_total{endpoint,status}`. Closed lists: senders choose no series.
#[derive(Debug, Default)]
pub struct AdminRequests([[AtomicU64; STATUSES.len()]; Endpoint::ALL.len()]);

impl AdminRequests {
    /// Counts an answer.
    pub(crate) fn count(&self, endpoint: Endpoint, status: u16) {
        let known = STATUSES.iter().position(|(known, _)| *known == status).unwrap_or(STATUSES.len() - 1);
        self.0[endpoint as usize][known].fetch_add(1, Ordering::Relaxed);
    }
}

impl Collector for AdminRequests {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let mut requests = encoder.encode_descriptor(
            "admin_requests",
            "Requests to the admin listener.",
            None,
            MetricType::Counter,
        )?;
        for endpoint in Endpoint::ALL {
            for ((_, status), count) in STATUSES.iter().zip(&self.0[endpoint as usize]) {
                let labels = [("endpoint", endpoint.value()), ("status", *status)];
                ConstCounter::new(count.load(Ordering::Relaxed)).encode(requests.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::metrics::Metrics;

    use super::*;

    #[test]
    fn a_request_counts_under_its_endpoint_and_status() {
        let metrics = Metrics::new();
        metrics.admin.count(Endpoint::Activate, 429);
        metrics.admin.count(Endpoint::Other, 418);
        let text = metrics.open_metrics().unwrap();
        for series in [r#"endpoint="activate",status="429""#, r#"endpoint="other",status="other""#] {
            assert!(text.contains(&format!("ingest_admin_requests_total{{{series}}} 1\n")), "{series}: {text}");
        }
        assert!(text.contains(r#"ingest_admin_requests_total{endpoint="list",status="200"} 0"#));
    }
}
