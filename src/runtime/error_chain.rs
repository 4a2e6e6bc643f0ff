//! An error with its causes as one sentence, for logs and for the place that ends the process.

use std::error::Error;

/// `what failed: why: and why that`. No `Display` of ours repeats its source, and the drivers' do not either.
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
    #[error("the house is closed")]
    struct Closed(#[source] std::io::Error);

    #[test]
    fn every_cause_is_told_once() {
        let error = Closed(std::io::Error::other("no key"));
        assert_eq!(error_chain(&error), "the house is closed: no key");
    }
}
