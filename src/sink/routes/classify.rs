//! The only place that reads the errors of a publication: what does it mean for the job?

use std::error::Error as _;

use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::{self, ErrorCode};

use crate::runtime::fault::Fault;

/// What a failed publication means. Only what is wrong with the job itself, its size, is a poison; a stream that is
/// full, frozen or gone may be repaired.
pub(super) fn fault(error: &PublishError) -> Fault {
    // Its words name sizes, codes and causes, never contents.
    let words = error.to_string();
    match error.kind() {
        PublishErrorKind::MaxPayloadExceeded => Fault::Poison { at: None, message: words },
        PublishErrorKind::StreamNotFound => Fault::Fatal("no stream takes routes.>".to_owned()),
        _ => match refusal(error) {
            Some(ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM | ErrorCode::STREAM_HEADER_EXCEEDS_MAXIMUM) => {
                Fault::Poison { at: None, message: words }
            }
            _ => Fault::Transient(words),
        },
    }
}

/// The broker's own answer, where it gave one.
fn refusal(error: &PublishError) -> Option<ErrorCode> {
    error.source()?.downcast_ref::<jetstream::Error>().map(jetstream::Error::error_code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: u64) -> PublishError {
        let answer = serde_json::json!({"code": 400, "err_code": code, "description": "no"});
        let answer: jetstream::Error = serde_json::from_value(answer).unwrap();
        PublishError::with_source(PublishErrorKind::Other, answer)
    }

    #[test]
    fn only_a_jobs_own_size_is_held_against_it() {
        for error in [refused(10054), refused(10097), PublishError::new(PublishErrorKind::MaxPayloadExceeded)] {
            assert!(matches!(fault(&error), Fault::Poison { .. }), "{error}");
        }
        for error in [refused(10077), refused(10047), PublishError::new(PublishErrorKind::TimedOut)] {
            assert!(matches!(fault(&error), Fault::Transient(_)), "{error}");
        }
        assert!(matches!(fault(&PublishError::new(PublishErrorKind::StreamNotFound)), Fault::Fatal(_)));
    }
}
