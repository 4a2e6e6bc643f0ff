//! The log of an outage: its beginning, and not each of its requests, for strangers may send as many as they like.

use std::sync::atomic::{AtomicBool, Ordering};

use slog::{Logger, warn};

use super::error::ProvisionError;

/// Whether requests fail for want of PostgreSQL.
#[derive(Debug, Default)]
pub(super) struct OutageLog(AtomicBool);

impl OutageLog {
    /// What became of a request.
    pub(super) fn note<T>(&self, result: &Result<T, ProvisionError>, log: &Logger) {
        match result {
            Err(ProvisionError::Unavailable(why)) if !self.0.swap(true, Ordering::Relaxed) => {
                warn!(log, "postgresql serves no requests for provisioning"; "error" => why);
            }
            Ok(_) => self.0.store(false, Ordering::Relaxed),
            Err(_) => {}
        }
    }
}
