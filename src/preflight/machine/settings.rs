//! The notices that come with the settings.

use crate::config::Loaded;
use crate::preflight::finding::Finding;

/// What these findings are about.
pub(crate) const ABOUT: &str = "settings";

/// A finding for each notice.
pub(super) fn check(loaded: &Loaded) -> Vec<Finding> {
    let findings: Vec<Finding> = loaded.notices.iter().map(|notice| finding(notice)).collect();
    if findings.is_empty() { vec![Finding::ok(ABOUT, "nothing is doubtful")] } else { findings }
}

/// What stands behind a semicolon of a notice is what to do.
fn finding(notice: &str) -> Finding {
    let (found, advice) =
        notice.split_once("; ").unwrap_or((notice, "change it in the file or the environment, unless it is meant"));
    Finding::warn(ABOUT, found, advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_what_was_found_and_what_to_do() {
        assert_eq!(finding("A is off; set it").to_string(), "WARN  settings: A is off; set it");
        assert!(finding("A is off").advice.is_some());
    }
}
