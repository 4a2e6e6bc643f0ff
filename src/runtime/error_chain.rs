//! Error chain: an error with its causes as one line.

use std::error::Error;

/// `error: cause: cause of the cause`. No `Display` of this crate or of the drivers repeats its source.
pub fn error_chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the connection is closed")]
    struct Closed(#[source] std::io::Error);

    #[test]
    fn every_cause_is_shown_once() {
        let error = Closed(std::io::Error::other("timed out"));
        assert_eq!(error_chain(&error), "the connection is closed: timed out");
    }
}
