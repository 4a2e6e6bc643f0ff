//! The stream of the route jobs: made where it is missing, bound to where it exists, never altered.

use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};

use super::config::Config as Settings;
use crate::nats::provision::{BindError, Provisioner};

/// The stream.
pub(crate) const STREAM: &str = "ROUTES";
/// Its subjects.
const SUBJECTS: &str = "routes.>";
/// With a shorter window an ordinary redelivery makes a second job.
const LEAST_WINDOW: Duration = Duration::from_secs(120);

/// Finds the stream or makes it; where it differs from what the node needs.
///
/// # Errors
/// Where there is no such stream and none can be made now.
pub(super) async fn ensure(
    streams: &Provisioner,
    context: &Context,
    settings: &Settings,
) -> Result<Vec<String>, BindError> {
    match streams.stream_unless_taken(config(settings)).await {
        Ok(Some(stream)) => Ok(differences(&stream.config)),
        Ok(None) => Ok(others_differences(context).await),
        Err(error) => Err(error),
    }
}

/// What a stream of another name does with the jobs.
async fn others_differences(context: &Context) -> Vec<String> {
    let mut all = vec![format!("another stream takes {SUBJECTS}")];
    if let Ok(name) = context.stream_by_subject(SUBJECTS).await
        && let Ok(stream) = context.get_stream(name).await
    {
        all.extend(differences(&stream.cached_info().config));
    }
    all
}

fn config(settings: &Settings) -> Config {
    Config {
        name: STREAM.to_owned(),
        subjects: vec![SUBJECTS.to_owned()],
        storage: StorageType::File,
        // A job is gone once it is delivered.
        retention: RetentionPolicy::WorkQueue,
        discard: DiscardPolicy::New,
        max_bytes: settings.stream_max_bytes(),
        duplicate_window: settings.duplicate_window(),
        ..Default::default()
    }
}

/// Where a stream may lose a job that it has taken, or take one twice.
pub(crate) fn differences(found: &Config) -> Vec<String> {
    let Config { subjects, discard, max_age, max_messages_per_subject, max_message_size, duplicate_window, .. } = found;
    let is_limited = found.max_bytes > 0 || found.max_messages > 0;
    let per_subject = *max_messages_per_subject > 0;
    let drops_old = *discard == DiscardPolicy::Old;
    let found = [
        (
            !subjects.iter().any(|subject| subject == SUBJECTS || subject == ">"),
            format!("its subjects are {subjects:?}, {SUBJECTS} is needed"),
        ),
        (
            drops_old && is_limited,
            "discard is old: once it is full it drops the oldest jobs; new is recommended".to_owned(),
        ),
        (
            per_subject && (drops_old || !found.discard_new_per_subject),
            format!("max_msgs_per_subject is {max_messages_per_subject}: it drops the oldest jobs of a tenant"),
        ),
        (!max_age.is_zero(), format!("max_age is {max_age:?}: it drops jobs that are older")),
        (
            found.retention == RetentionPolicy::Interest,
            "retention is interest: it drops jobs while no consumer is there".to_owned(),
        ),
        (found.no_ack, "no_ack is set: it never confirms a job".to_owned()),
        (found.storage == StorageType::Memory, "its storage is memory: jobs are lost with the server".to_owned()),
        (*max_message_size > 0, format!("max_msg_size is {max_message_size}: larger jobs are given up")),
        (
            *duplicate_window < LEAST_WINDOW,
            format!(
                "duplicate_window is {duplicate_window:?}, at least {LEAST_WINDOW:?} is recommended: a redelivery may make a second job"
            ),
        ),
    ];
    found.into_iter().filter(|(differs, _)| *differs).map(|(_, words)| words).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_node_would_make_differs_in_nothing() {
        assert!(differences(&config(&Settings::default())).is_empty());
        let limited = |stream_max_bytes| config(&Settings { stream_max_bytes, ..Settings::default() }).max_bytes;
        assert_eq!((limited(0), limited(1_000_000)), (-1, 1_000_000));
    }

    #[test]
    fn other_subjects_and_a_short_window_are_said() {
        let found = Config {
            subjects: vec!["routes.acme".to_owned()],
            duplicate_window: Duration::from_secs(5),
            ..config(&Settings::default())
        };
        let differences = differences(&found);
        assert_eq!(differences.len(), 2);
        assert!(differences[0].contains("routes.acme") && differences[1].contains("5s"), "{differences:?}");
    }

    #[test]
    fn whatever_makes_a_stream_lose_jobs_is_said() {
        let made = || config(&Settings::default());
        for (found, words) in [
            (Config { discard: DiscardPolicy::Old, ..made() }, "discard is old"),
            (Config { max_age: Duration::from_secs(60), ..made() }, "max_age is 60s"),
            (Config { max_messages_per_subject: 7, ..made() }, "max_msgs_per_subject is 7"),
            (Config { retention: RetentionPolicy::Interest, ..made() }, "retention is interest"),
            (Config { no_ack: true, ..made() }, "no_ack is set"),
            (Config { storage: StorageType::Memory, ..made() }, "memory"),
            (Config { max_message_size: 100, ..made() }, "max_msg_size is 100"),
        ] {
            let differences = differences(&found);
            assert!(differences.len() == 1 && differences[0].contains(words), "{words}: {differences:?}");
        }
        let refusing = Config { max_messages_per_subject: 7, discard_new_per_subject: true, ..made() };
        let unlimited = Config { discard: DiscardPolicy::Old, max_bytes: -1, ..made() };
        assert!(differences(&refusing).is_empty() && differences(&unlimited).is_empty());
    }
}
