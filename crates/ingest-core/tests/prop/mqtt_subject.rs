//! The topic of a message that nats-server took over MQTT, against the server's own rule.

use ingest_core::message::mqtt_subject::{PREFIX, is_of_a_device, of_device, topic};
use proptest::prelude::*;

/// nats-server 2.15.1, `mqttToNATSSubjectConversion`, for a topic without blanks, `+` and `#`, which it refuses.
fn subject(topic: &str) -> String {
    let bytes = topic.as_bytes();
    let mut made = Vec::new();
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'/' if at == 0 || made.last() == Some(&b'.') => made.extend(b"/."),
            b'/' if at == bytes.len() - 1 || bytes[at + 1] == b'/' => made.extend(b"./"),
            b'/' => made.push(b'.'),
            b'.' => made.extend(b"//"),
            other => made.push(*other),
        }
    }
    if made.last() == Some(&b'.') {
        made.push(b'/');
    }
    format!("{PREFIX}{}", String::from_utf8(made).expect("as valid as the topic"))
}

fn has_wildcard_level(topic: &str) -> bool {
    topic.split('/').any(|level| matches!(level, "*" | ">"))
}

proptest! {
    #[test]
    fn the_topic_is_the_one_that_the_server_made_the_subject_of(sent in "[a-c./é*>]{1,24}") {
        let expected = (!has_wildcard_level(&sent)).then_some(sent.as_str());
        let found = topic(&subject(&sent));
        prop_assert_eq!(found.as_deref(), expected);
    }

    #[test]
    fn a_device_topic_comes_back_whole(tenant in "[a-z0-9_.-]{1,12}", device in "[A-Za-z0-9:.]{1,12}", rest in "telemetry|shadow/reported|commands/ack") {
        let sent = format!("tenant/{tenant}/device/{device}/{rest}");
        let found = topic(&subject(&sent));
        prop_assert_eq!(found.as_deref(), Some(sent.as_str()));
        prop_assert!(is_of_a_device(&subject(&sent)));
    }

    #[test]
    fn a_topic_is_of_a_device_by_its_levels_alone(sent in "(tenant|device|a|[.]|/){1,9}") {
        let levels: Vec<&str> = sent.split('/').collect();
        let expected = levels.len() > 4 && levels[0] == "tenant" && levels[2] == "device";
        prop_assert_eq!(is_of_a_device(&subject(&sent)), expected, "{}", subject(&sent));
    }

    #[test]
    fn no_two_subjects_have_one_topic(one in "[ab./]{1,12}", other in "[ab./]{1,12}") {
        let of = |subject: &str| topic(&format!("{PREFIX}{subject}"));
        if let (Some(a), Some(b)) = (of(&one), of(&other)) {
            prop_assert_eq!(a == b, one == other);
        }
    }

    #[test]
    fn the_filter_of_a_device_is_the_beginning_of_the_servers_subject(tenant in "[a-z0-9_.-]{1,12}", device in "[A-Za-z0-9:.]{1,12}") {
        let filter = of_device(&tenant, &device).expect("ids that are levels");
        let made = subject(&format!("tenant/{tenant}/device/{device}/telemetry"));
        prop_assert_eq!(made.strip_prefix(filter.trim_end_matches('>')), Some("telemetry"));
    }
}
