//! Device topics, `tenant/{tenant}/device/{device}/{msg_type}`: they decide which tenant and device a message belongs to.

/// Longest tenant and longest device id, in characters. Even at four bytes a character a tenant, a device and a metric
/// name fit into one entry of an index of PostgreSQL (2,704 bytes), so a name that passes can be stored everywhere.
pub const MAX_ID_CHARS: usize = 255;
/// Longest message type, in characters.
pub const MAX_TYPE_CHARS: usize = 128;
/// Longest topic, in bytes.
pub const MAX_BYTES: usize = 2_048;

/// The parts of a device's topic. All but `rest` are non-empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Topic<'a> {
    /// The tenant.
    pub tenant: &'a str,
    /// The device.
    pub device: &'a str,
    /// The message type.
    pub msg_type: &'a str,
    /// What follows the type's level, without the slash between them; `None` where the topic ends with the type.
    pub rest: Option<&'a str>,
}

impl<'a> Topic<'a> {
    /// Parses a topic. `None` where it is not of a device, where tenant, device or type are empty or too long, where it is
    /// too long as a whole, and where it holds U+0000 (PostgreSQL's text can't).
    pub fn parse(topic: &'a str) -> Option<Self> {
        if topic.len() > MAX_BYTES || topic.as_bytes().contains(&0) {
            return None;
        }
        let (tenant, after_tenant) = topic.strip_prefix("tenant/")?.split_once('/')?;
        let (device, after_device) = after_tenant.strip_prefix("device/")?.split_once('/')?;
        let (msg_type, rest) = match after_device.split_once('/') {
            Some((msg_type, rest)) => (msg_type, Some(rest)),
            None => (after_device, None),
        };
        let named = is_name(tenant, MAX_ID_CHARS) && is_name(device, MAX_ID_CHARS) && is_name(msg_type, MAX_TYPE_CHARS);
        named.then_some(Self { tenant, device, msg_type, rest })
    }

    /// Whether it is `.../shadow/reported`, the one topic of the shadow lane.
    pub fn is_shadow_report(&self) -> bool {
        self.msg_type == "shadow" && self.rest == Some("reported")
    }

    /// Whether it is one of those on which the platform itself publishes to devices: `.../commands` and `.../shadow/desired`.
    pub fn is_own(&self) -> bool {
        matches!((self.msg_type, self.rest), ("commands", None) | ("shadow", Some("desired")))
    }

    /// Whether it is `.../commands/ack`, the one topic of the command lane.
    pub fn is_command_ack(&self) -> bool {
        self.msg_type == "commands" && self.rest == Some("ack")
    }
}

fn is_name(text: &str, max_chars: usize) -> bool {
    !text.is_empty() && within(text, max_chars)
}

/// Whether the text has at most `max_chars` characters.
pub(crate) fn within(text: &str, max_chars: usize) -> bool {
    text.len() <= max_chars || text.chars().nth(max_chars).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases;

    #[test]
    fn the_public_cases_hold() {
        for case in ["topic_extract", "types", "shadow", "commands"].into_iter().flat_map(cases::read) {
            let Some(envelope) = case.envelope() else { continue };
            let text = envelope["topic"].as_str().unwrap();
            let topic = Topic::parse(text);
            for expect in case.alternatives() {
                if let Some(tenant) = expect["device_id"].as_str().and(expect["tenant_id"].as_str()) {
                    let topic = topic.unwrap_or_else(|| panic!("{}: {text} is no topic", case.id()));
                    assert_eq!(topic.tenant, tenant, "{}", case.id());
                    assert_eq!(Some(topic.device), expect["device_id"].as_str(), "{}", case.id());
                    assert_eq!(Some(topic.msg_type), expect["msg_type"].as_str(), "{}", case.id());
                }
                if case.id().starts_with("topic_extract") && expect["reason"] == "BAD_TOPIC_FORMAT" {
                    assert_eq!(topic, None, "{}: {text}", case.id());
                }
            }
        }
    }

    #[test]
    fn a_topic_has_its_parts() {
        let topic = Topic::parse("tenant/acme/device/dev 1/telemetry").unwrap();
        assert_eq!(topic, Topic { tenant: "acme", device: "dev 1", msg_type: "telemetry", rest: None });
        let topic = Topic::parse("tenant/a/device/tenant/device/x//y").unwrap();
        assert_eq!(topic, Topic { tenant: "a", device: "tenant", msg_type: "device", rest: Some("x//y") });
        assert_eq!(Topic::parse("tenant/a/device/d/t/").unwrap().rest, Some(""));
    }

    #[test]
    fn text_that_names_no_device_is_no_topic() {
        for text in [
            "",
            "/",
            "tenant",
            "tenant/a/device/d",
            "tenant/a/device/d/",
            "tenant/a/device//t",
            "tenant//device/d/t",
            "/tenant/a/device/d/t",
            "Tenant/a/device/d/t",
            "tenant/a/devices/d/t",
            "tenant/a/b/device/d/t",
            "tenant/a\0/device/d/t",
            "tenant/a/device/d/t/\0",
        ] {
            assert_eq!(Topic::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn names_are_bounded_in_characters_and_the_topic_in_bytes() {
        let topic = |tenant: &str, device: &str, rest: &str| format!("tenant/{tenant}/device/{device}/{rest}");
        for letter in ["x", "é", "\u{1f4a9}"] {
            let longest = letter.repeat(MAX_ID_CHARS);
            let (longer, longest_type) = (letter.repeat(MAX_ID_CHARS + 1), letter.repeat(MAX_TYPE_CHARS));
            assert!(Topic::parse(&topic(&longest, "d", "t")).is_some());
            assert!(Topic::parse(&topic("t", &longest, "t")).is_some());
            assert!(Topic::parse(&topic("t", "d", &longest_type)).is_some());
            assert_eq!(Topic::parse(&topic(&longer, "d", "t")), None);
            assert_eq!(Topic::parse(&topic("t", &longer, "t")), None);
            assert_eq!(Topic::parse(&topic("t", "d", &format!("{longest_type}{letter}"))), None);
        }
        let fill = MAX_BYTES - topic("t", "d", "t/").len();
        assert!(Topic::parse(&topic("t", "d", &format!("t/{}", "x".repeat(fill)))).is_some());
        assert_eq!(Topic::parse(&topic("t", "d", &format!("t/{}", "x".repeat(fill + 1)))), None);
    }

    #[test]
    fn shadow_and_command_topics_have_exactly_six_levels() {
        let parse = |rest: &str| format!("tenant/a/device/d/{rest}");
        let shadow = |rest| Topic::parse(&parse(rest)).unwrap().is_shadow_report();
        let ack = |rest| Topic::parse(&parse(rest)).unwrap().is_command_ack();
        assert!(shadow("shadow/reported") && ack("commands/ack"));
        for other in ["shadow", "shadow/", "shadow/reported/", "shadow/reported/x", "shadow/desired", "Shadow/reported"]
        {
            assert!(!shadow(other) && !ack(other), "{other}");
        }
        for other in ["commands", "commands/", "commands/ack/", "commands/ack/x", "telemetry"] {
            assert!(!ack(other) && !shadow(other), "{other}");
        }
    }
}
