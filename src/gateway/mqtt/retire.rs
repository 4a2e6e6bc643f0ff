//! Retires a session: takes what the broker still has for it, and has it forgotten. A session of a group that nobody takes up
//! again would go on taking its share.

use slog::Logger;
use thiserror::Error;

use super::connection::ConnectError;
use super::conversation::{End, Purpose, converse};
use super::shared::{BrokerLink, Shared};
use crate::metrics::Metrics;
use crate::runtime::readiness::Readiness;

/// Why a session is still there.
#[derive(Debug, Error)]
pub(crate) enum RetireError {
    /// The broker can't be reached or refuses.
    #[error("mqtt: {0}")]
    Connect(#[from] ConnectError),
    /// Not everything that it has for the session could be taken.
    #[error("mqtt: {0}")]
    Ended(String),
}

/// Retires the session with the configured client id; `false` where the broker did not know it.
///
/// # Errors
/// Why it is still there; what was acknowledged until then is stored.
pub(crate) async fn retire(link: BrokerLink, log: Logger) -> Result<bool, RetireError> {
    let shared = Shared::new(link, &Metrics::new(), Readiness::of_gateway([]), log);
    let opened = shared.open(false).await?;
    let was_known = opened.session_present;
    match converse(&shared, opened, Purpose::Retire).await {
        End::Drained => {}
        end => return Err(RetireError::Ended(end.to_string())),
    }
    shared.open(true).await?.close().await;
    Ok(was_known)
}
