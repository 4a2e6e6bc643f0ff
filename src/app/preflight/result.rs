//! A result: what a check found about one thing, and what to do about it.

use std::fmt;

use serde::Serialize;

use crate::runtime::exit::Exit;

/// How bad a result is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Level {
    /// As it should be.
    Ok,
    /// It works, and will hurt under some circumstances.
    Warn,
    /// It does not work.
    Err,
}

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct CheckResult {
    /// How bad it is.
    pub level: Level,
    /// What it is about: a dependency, or a part of one.
    pub about: String,
    /// What was found.
    pub found: String,
    /// What to do; none where all is well.
    pub advice: Option<String>,
    /// Whether there was no connection or no answer, so that nothing more is known.
    #[serde(skip)]
    is_away: bool,
}

impl CheckResult {
    /// As it should be.
    pub(crate) fn ok(about: impl Into<String>, found: impl AsRef<str>) -> Self {
        Self::new(Level::Ok, about, found, None)
    }

    /// Works, and will hurt.
    pub(crate) fn warn(about: impl Into<String>, found: impl AsRef<str>, advice: impl AsRef<str>) -> Self {
        Self::new(Level::Warn, about, found, Some(advice.as_ref()))
    }

    /// Does not work.
    pub(crate) fn err(about: impl Into<String>, found: impl AsRef<str>, advice: impl AsRef<str>) -> Self {
        Self::new(Level::Err, about, found, Some(advice.as_ref()))
    }

    /// Can't be reached.
    pub(crate) fn away(about: impl Into<String>, found: impl AsRef<str>, advice: impl AsRef<str>) -> Self {
        Self { is_away: true, ..Self::err(about, found, advice) }
    }

    fn new(level: Level, about: impl Into<String>, found: impl AsRef<str>, advice: Option<&str>) -> Self {
        Self {
            level,
            about: about.into(),
            found: one_line(found.as_ref()),
            advice: advice.map(one_line),
            is_away: false,
        }
    }
}

/// Servers' messages may have several lines; a result has one.
fn one_line(text: &str) -> String {
    text.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

impl fmt::Display for CheckResult {
    /// `WARN  about: found; advice`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Ok => "OK  ",
            Level::Warn => "WARN",
            Level::Err => "ERR ",
        };
        write!(f, "{level}  {}: {}", self.about, self.found)?;
        match &self.advice {
            Some(advice) => write!(f, "; {advice}"),
            None => Ok(()),
        }
    }
}

/// The exit code for these results: 0 where all is well, 69 where something can't be reached, else 1.
pub(crate) fn exit(results: &[CheckResult]) -> Exit {
    if results.iter().any(|result| result.is_away) {
        Exit::Unavailable
    } else if results.iter().any(|result| result.level != Level::Ok) {
        Exit::Incomplete
    } else {
        Exit::Ok
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_one_line_with_level_subject_and_advice() {
        assert_eq!(CheckResult::ok("nats", "there").to_string(), "OK    nats: there");
        let found = CheckResult::err("postgresql", "FATAL: no\n  DETAIL: really", "ask for it").to_string();
        assert_eq!(found, "ERR   postgresql: FATAL: no DETAIL: really; ask for it");
    }

    #[test]
    fn json_has_four_members_and_no_advice_where_all_is_well() {
        let json = |result: &CheckResult| serde_json::to_value(result).unwrap();
        assert_eq!(
            json(&CheckResult::ok("a", "b")),
            serde_json::json!({"level": "OK", "about": "a", "found": "b", "advice": null})
        );
        assert_eq!(
            json(&CheckResult::away("a", "b", "c")),
            serde_json::json!({"level": "ERR", "about": "a", "found": "b", "advice": "c"})
        );
    }

    #[test]
    fn what_cannot_be_reached_decides_the_exit_code() {
        let (ok, warn) = (CheckResult::ok("a", "b"), CheckResult::warn("a", "b", "c"));
        let (err, away) = (CheckResult::err("a", "b", "c"), CheckResult::away("a", "b", "c"));
        assert_eq!(exit(std::slice::from_ref(&ok)), Exit::Ok);
        assert_eq!(exit(&[ok.clone(), warn.clone()]), Exit::Incomplete);
        assert_eq!(exit(&[err.clone(), ok]), Exit::Incomplete);
        assert_eq!(exit(&[away, err, warn]), Exit::Unavailable);
    }
}
