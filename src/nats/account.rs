//! The account's share of JetStream. The client's own type can't read the answers of servers before 2.10.

use async_nats::jetstream::Context;
use serde::Deserialize;

use super::provision::{ApiError, Nothing, request};

/// What the account uses, and may use.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct AccountInfo {
    /// Bytes of file storage in use.
    pub storage: i64,
    /// Streams that exist.
    pub streams: i64,
    /// What it may use.
    pub limits: Limits,
}

/// Limits; -1 or 0 where there is none.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Limits {
    /// Streams.
    pub max_streams: i64,
    /// Bytes of file storage.
    pub max_storage: i64,
    /// Whether each stream must have `max_bytes`.
    pub max_bytes_required: bool,
}

/// The account of a connection; `None` where the server does not say, which it needs a permission for.
///
/// # Errors
/// The server's message, where the account has no JetStream.
pub(crate) async fn account(context: &Context) -> Result<Option<AccountInfo>, ApiError> {
    match request(context, "INFO", &Nothing {}).await {
        Ok(account) => Ok(Some(account)),
        Err(ApiError::Silent) => Ok(None),
        Err(error) => Err(error),
    }
}
