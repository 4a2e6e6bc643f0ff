//! The MQTT topic that nats-server has stored a message of its MQTT clients under, from the subject that it made of it.
//!
//! The server's rule, by which no two topics share a subject: `/` becomes `.`, and `.` becomes `//`; an empty level becomes the
//! level `/` (so a leading `/` is `/.`, a trailing one `./`, and `//` is `./.`). Wildcards of NATS are not escaped: a topic
//! with the level `*` or `>` is stored under a subject that only looks like a filter.

use bytestring::ByteString;

/// What stands before the subject of the topic.
pub const PREFIX: &str = "$MQTT.msgs.";

/// Whether the topic is one of a device, `tenant/{tenant}/device/{device}/{..}`: what other applications say to each other over
/// the same server is not.
pub fn is_of_a_device(subject: &str) -> bool {
    let Some(subject) = subject.strip_prefix(PREFIX) else { return false };
    let mut levels = subject.splitn(5, '.');
    let mut next = || levels.next();
    (next(), next().is_some(), next(), next().is_some(), next().is_some())
        == (Some("tenant"), true, Some("device"), true, true)
}

/// The topic; `None` where it holds a level `*` or `>`, which a route or a filter would take for a wildcard, or where the server
/// makes this subject of no topic, so that somebody else has published it.
pub fn topic(subject: &str) -> Option<ByteString> {
    let subject = subject.strip_prefix(PREFIX)?;
    if subject.split('.').any(|token| matches!(token, "" | "*" | ">")) {
        return None;
    }
    if !subject.contains('/') {
        return Some(subject.replace('.', "/").into());
    }
    let levels: Option<Vec<String>> = subject.split('.').map(level).collect();
    Some(levels?.join("/").into())
}

/// The filter of the subjects under which the server stores a device's messages; `None` where an id holds what makes its topics no
/// topics of a device, or looks like a wildcard.
pub fn of_device(tenant: &str, device: &str) -> Option<String> {
    let is_level = |id: &str| {
        !id.is_empty()
            && !matches!(id, "*" | ">")
            && !id.contains(|c: char| c == '/' || c.is_whitespace() || c.is_control())
    };
    let token = |id: &str| id.replace('.', "//");
    let holds = is_level(tenant) && is_level(device);
    holds.then(|| format!("{PREFIX}tenant.{}.device.{}.>", token(tenant), token(device)))
}

/// The level of a topic that this token stands for; `None` where it stands for none.
fn level(token: &str) -> Option<String> {
    if token == "/" {
        return Some(String::new());
    }
    let dotted = token.replace("//", ".");
    (!dotted.contains('/')).then_some(dotted)
}
