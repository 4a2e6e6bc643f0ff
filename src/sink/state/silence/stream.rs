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
/// With a shorter window an alert that is published again may be a second one.
const LEAST_WINDOW: Duration = Duration::from_secs(120);

/// Finds the stream or makes it, unless another one takes its subjects.
///
/// # Errors
/// Where there is no such stream and none can be made now.
pub(super) async fn ensure(streams: &Provisioner) -> Result<(), BindError> {
    streams.stream_unless_taken(config()).await.map(drop)
}

fn config() -> Config {
    Config {
        name: STREAM.to_owned(),
        subjects: vec![SUBJECTS.to_owned()],
        storage: StorageType::File,
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::Old,
        max_bytes: MAX_BYTES,
        max_age: MAX_AGE,
        duplicate_window: DUPLICATE_WINDOW,
        ..Default::default()
    }
}

/// Why a stream may not have an alert that is published, or have it twice.
pub(crate) fn differences(found: &Config) -> Vec<String> {
    let Config { subjects, no_ack, duplicate_window, .. } = found;
    // A tenant is one token.
    let has_all = subjects.iter().any(|subject| [SUBJECTS, "alerts.*", ">"].contains(&subject.as_str()));
    let found = [
        (!has_all, format!("its subjects are {}: alerts of other tenants are not published", subjects.join(", "))),
        (*no_ack, "no_ack is set: no alert is known to be stored, and each is published again and again".to_owned()),
        (
            *duplicate_window < LEAST_WINDOW,
            format!(
                "duplicate_window is {duplicate_window:?}, less than {LEAST_WINDOW:?}: an alert that is published again may come twice"
            ),
        ),
    ];
    found.into_iter().filter(|(differs, _)| *differs).map(|(_, words)| words).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_alerts_out_or_doubles_them_is_said() {
        let of = |subject: &str| Config { subjects: vec![subject.to_owned()], ..config() };
        assert!([config(), of("alerts.*"), of(">")].iter().all(|found| differences(found).is_empty()));
        for (found, words) in [
            (of("alerts.acme"), "its subjects are alerts.acme"),
            (Config { no_ack: true, ..config() }, "no_ack is set"),
            (Config { duplicate_window: Duration::from_secs(5), ..config() }, "duplicate_window is 5s"),
        ] {
            let differences = differences(&found);
            assert!(differences.len() == 1 && differences[0].contains(words), "{words}: {differences:?}");
        }
    }
}
