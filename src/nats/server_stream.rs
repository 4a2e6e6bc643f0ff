//! A stream that the server makes by itself: when it is not what the node knows, and what is said while it is missing.

use async_nats::jetstream::stream::{Config, RetentionPolicy};

/// Why a stream that should be the server's own, with these subjects, is not; `None` where it is.
pub(crate) fn unfit(found: &Config, subjects: &str) -> Option<String> {
    let name = &found.name;
    if found.retention != RetentionPolicy::Interest {
        let retention = format!("{:?}", found.retention).to_lowercase();
        return Some(format!("stream {name} has the retention {retention}, not interest: it is not the server's own"));
    }
    if found.subjects != [subjects] {
        let list = found.subjects.join(", ");
        return Some(format!("stream {name} has the subjects {list}, not {subjects}: it is not the server's own"));
    }
    found.sealed.then(|| format!("stream {name} is sealed: nothing can be stored in it"))
}

/// What is said of one that does not exist.
pub(crate) fn missing(name: &str) -> String {
    format!(
        "stream {name} is missing: nats-server makes it when the first MQTT client connects, where its configuration has mqtt {{}}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(change: impl FnOnce(&mut Config)) -> Option<String> {
        let subjects = vec!["$MQTT.msgs.>".to_owned()];
        let mut config = Config {
            name: "$MQTT_msgs".to_owned(),
            subjects,
            retention: RetentionPolicy::Interest,
            ..Config::default()
        };
        change(&mut config);
        unfit(&config, "$MQTT.msgs.>")
    }

    #[test]
    fn only_the_servers_own_stream_is_taken() {
        assert_eq!(found(|_| ()), None);
        assert!(found(|config| config.retention = RetentionPolicy::WorkQueue).unwrap().contains("retention workqueue"));
        assert!(found(|config| config.subjects.push("x".to_owned())).unwrap().contains("$MQTT.msgs.>, x"));
        assert!(found(|config| config.sealed = true).unwrap().contains("sealed"));
    }
}
