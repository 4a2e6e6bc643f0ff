//! Topic filters of message routes: MQTT wildcards.

use thiserror::Error;

/// A filter for topics.
///
/// - `+` as a whole level matches one level that is not empty (as routes always did; MQTT would match an empty one).
/// - `#` as a whole level matches that level and all below, also none: `a/#` matches `a`, `a/b` and `a/b/c`. What
///   follows it in the filter is ignored.
/// - Anything else is literal, case-sensitive, and matches itself: `a+`, `b#`, an empty level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicFilter(Box<str>);

/// The error of an empty filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the topic filter is empty")]
pub struct EmptyFilter;

impl TopicFilter {
    /// Reads a filter.
    ///
    /// # Errors
    /// [`EmptyFilter`]: every other text is a filter.
    pub fn parse(text: &str) -> Result<Self, EmptyFilter> {
        if text.is_empty() { Err(EmptyFilter) } else { Ok(Self(text.into())) }
    }

    /// Whether a topic matches.
    pub fn matches(&self, topic: &str) -> bool {
        let mut levels = topic.split('/');
        for wanted in self.0.split('/') {
            if wanted == "#" {
                return true;
            }
            match levels.next() {
                Some(level) if wanted == level || (wanted == "+" && !level.is_empty()) => {}
                _ => return false,
            }
        }
        levels.next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases;

    fn matches(filter: &str, topic: &str) -> bool {
        TopicFilter::parse(filter).unwrap().matches(topic)
    }

    #[test]
    fn the_public_cases_hold() {
        let mut checked = 0;
        for case in cases::read("topic_match") {
            let routes = case.get("routes").as_array().unwrap();
            let filter = routes[0]["topic_filter"].as_str().unwrap();
            let envelope = case.envelope().unwrap();
            let expected = !case.alternatives()[0]["route_jobs"].as_array().unwrap().is_empty();
            assert_eq!(matches(filter, envelope["topic"].as_str().unwrap()), expected, "{}", case.id());
            checked += 1;
        }
        assert!(checked > 4, "only {checked} cases were found");
    }

    #[test]
    fn levels_match_themselves_and_wildcards_more() {
        let topic = "tenant/a/device/d1/telemetry";
        for filter in [
            "tenant/a/device/d1/telemetry",
            "tenant/+/device/+/telemetry",
            "+/+/+/+/+",
            "#",
            "tenant/#",
            "tenant/a/device/d1/#",
            "tenant/a/device/d1/telemetry/#",
            "+/#",
            "tenant/#/ignored",
        ] {
            assert!(matches(filter, topic), "{filter}");
        }
        for filter in [
            "Tenant/+/#",
            "tenant/a/device/d1",
            "tenant/a/device/d1/telemetry/",
            "tenant/a/device/d1/telemetry/+",
            "tenant/a/device/d1/telemetry/+/#",
            "+/+/+/+",
            "tenant/a/device/d+/telemetry",
            "tenant/a/device/d#",
            "tenant/a/device/d1/telemetr",
            "/tenant/#",
            " #",
        ] {
            assert!(!matches(filter, topic), "{filter}");
        }
    }

    #[test]
    fn an_empty_level_is_matched_by_itself_and_by_the_rest() {
        assert!(matches("a//b", "a//b") && matches("a/#", "a/") && matches("a/", "a/"));
        assert!(!matches("a/+", "a/") && !matches("a/+/b", "a//b") && !matches("a", "a/"));
    }

    #[test]
    fn letters_of_patterns_are_letters() {
        assert!(matches("a.b/(c)*", "a.b/(c)*"));
        assert!(!matches("a.b", "axb") && !matches("a$", "a") && !matches("a", "a\n"));
    }

    #[test]
    fn an_empty_filter_is_an_error() {
        assert_eq!(TopicFilter::parse(""), Err(EmptyFilter));
    }
}
