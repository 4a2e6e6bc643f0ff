//! Which checks a message must pass.

use crate::message::topic::Topic;

/// The checks of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checks {
    /// Those of a message that becomes a row: [`super::telemetry()`].
    Telemetry,
    /// Those of a shadow report: [`super::shadow()`].
    Shadow,
    /// Those of a command's acknowledgement: [`super::command()`].
    Command,
}

impl Checks {
    /// The checks of a message of this topic, where one way in takes all types. `None` for what the platform itself publishes
    /// to devices, commands and desired state, and for what else has their types.
    pub fn of_topic(topic: &str) -> Option<Checks> {
        match Topic::parse(topic) {
            Some(topic) if topic.is_shadow_report() => Some(Checks::Shadow),
            Some(topic) if topic.is_command_ack() => Some(Checks::Command),
            Some(Topic { msg_type: "shadow" | "commands", .. }) => None,
            // Any other type is stored, and what is no topic of a device is rejected there.
            _ => Some(Checks::Telemetry),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_decides_and_what_the_platform_publishes_is_nobodys() {
        let of = |rest: &str| Checks::of_topic(&format!("tenant/t/device/d/{rest}"));
        for rest in ["telemetry", "heartbeat", "alarm", "telemetry/raw", ""] {
            assert_eq!(of(rest), Some(Checks::Telemetry), "{rest}");
        }
        assert_eq!((of("shadow/reported"), of("commands/ack")), (Some(Checks::Shadow), Some(Checks::Command)));
        for rest in ["shadow", "shadow/desired", "shadow/reported/x", "commands", "commands/7", "commands/ack/x"] {
            assert_eq!(of(rest), None, "{rest}");
        }
    }
}
