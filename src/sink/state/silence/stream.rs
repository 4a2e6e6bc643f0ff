//! The stream of the alerts: made where it is missing, bound to where it exists, never altered.

use std::time::Duration;

use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};

use crate::nats::provision::{BindError, Provisioner};

/// The stream.
pub(crate) const STREAM: &str = "ALERTS";
/// Its subjects.
const SUBJECTS: &str = "alerts.>";
/// Alerts soon say nothing any more: where nobody reads them the oldest go first.
const MAX_BYTES: i64 = 256 * 1024 * 1024;
const MAX_AGE: Duration = Duration::from_secs(7 * 24 * 3_600);
/// An alert that is published again within this time, as its acknowledgement was lost, is none.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(600);

/// Finds the stream or makes it, unless another one takes its subjects.
///
/// # Errors
/// Where there is no such stream and none can be made now.
pub(super) async fn ensure(streams: &Provisioner) -> Result<(), BindError> {
    let wanted = Config {
        name: STREAM.to_owned(),
        subjects: vec![SUBJECTS.to_owned()],
        storage: StorageType::File,
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::Old,
        max_bytes: MAX_BYTES,
        max_age: MAX_AGE,
        duplicate_window: DUPLICATE_WINDOW,
        ..Default::default()
    };
    streams.stream_unless_taken(wanted).await.map(drop)
}
