//! The notices that come with the settings.

use crate::app::preflight::result::CheckResult;
use crate::config::Loaded;

/// What these results are about.
pub(crate) const ABOUT: &str = "settings";

/// A result for each notice.
pub(super) fn check(loaded: &Loaded) -> Vec<CheckResult> {
    let results: Vec<CheckResult> = loaded.notices.iter().map(|notice| result(notice)).collect();
    if results.is_empty() { vec![CheckResult::ok(ABOUT, "nothing is doubtful")] } else { results }
}

/// What stands behind a semicolon of a notice is what to do.
fn result(notice: &str) -> CheckResult {
    let (found, advice) =
        notice.split_once("; ").unwrap_or((notice, "change it in the file or the environment, unless it is meant"));
    CheckResult::warn(ABOUT, found, advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_what_was_found_and_what_to_do() {
        assert_eq!(result("A is off; set it").to_string(), "WARN  settings: A is off; set it");
        assert!(result("A is off").advice.is_some());
    }
}
