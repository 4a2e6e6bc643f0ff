//! The stream of the route jobs: made where it is missing, bound to where it exists, never altered.

use std::time::Duration;

use async_nats::jetstream::context::{CreateStreamError, CreateStreamErrorKind};
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use async_nats::jetstream::{Context, ErrorCode};

/// The stream.
pub const STREAM: &str = "ROUTES";
/// Its subjects.
const SUBJECTS: &str = "routes.>";
/// A job that nobody fetched for so long is of no use to its receiver any more.
const MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);
/// Where nobody fetches jobs, the oldest go, before they fill the disk that the telemetry needs.
const MAX_BYTES: i64 = 512 * 1024 * 1024;
/// With a shorter window an ordinary redelivery makes a second job.
const LEAST_WINDOW: Duration = Duration::from_secs(120);

/// Finds the stream or makes it; where it differs from what the node needs.
///
/// # Errors
/// A sentence, where there is no such stream and none can be made now.
pub async fn ensure(context: &Context, duplicate_window: Duration) -> Result<Vec<String>, String> {
    match context.get_or_create_stream(config(duplicate_window)).await {
        Ok(stream) => Ok(differences(&stream.cached_info().config)),
        Err(error) if is_overlap(&error) => Ok(vec![format!("another stream takes {SUBJECTS}")]),
        Err(error) => Err(error.to_string()),
    }
}

/// Whether the subjects belong to a stream of another name: jobs arrive there all the same.
fn is_overlap(error: &CreateStreamError) -> bool {
    matches!(error.kind(), CreateStreamErrorKind::JetStream(refusal)
        if refusal.error_code() == ErrorCode::STREAM_SUBJECT_OVERLAP)
}

fn config(duplicate_window: Duration) -> Config {
    Config {
        name: STREAM.to_owned(),
        subjects: vec![SUBJECTS.to_owned()],
        storage: StorageType::File,
        // A job is gone once it is delivered.
        retention: RetentionPolicy::WorkQueue,
        discard: DiscardPolicy::Old,
        max_age: MAX_AGE,
        max_bytes: MAX_BYTES,
        duplicate_window,
        ..Default::default()
    }
}

fn differences(found: &Config) -> Vec<String> {
    let mut differences = Vec::new();
    if !found.subjects.iter().any(|subject| subject == SUBJECTS || subject == ">") {
        differences.push(format!("its subjects are {:?}, {SUBJECTS} is needed", found.subjects));
    }
    if found.duplicate_window < LEAST_WINDOW {
        differences.push(format!(
            "duplicate_window is {:?}, at least {LEAST_WINDOW:?} is recommended: a redelivery may make a second job",
            found.duplicate_window
        ));
    }
    differences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_node_would_make_differs_in_nothing() {
        assert!(differences(&config(Duration::from_secs(600))).is_empty());
    }

    #[test]
    fn other_subjects_and_a_short_window_are_said() {
        let found = Config {
            subjects: vec!["routes.acme".to_owned()],
            duplicate_window: Duration::from_secs(5),
            ..Config::default()
        };
        let differences = differences(&found);
        assert_eq!(differences.len(), 2);
        assert!(differences[0].contains("routes.acme") && differences[1].contains("5s"), "{differences:?}");
    }
}
