//! Which checks a message must pass.

use crate::message::intake::IntakeStream;
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
    /// The checks of a message of this topic, where one way in takes all types: those of the lane whose stream it would go to.
    /// `None` for what the platform itself publishes to devices.
    pub fn of_topic(topic: &str) -> Option<Checks> {
        // What is no topic of a device is rejected there.
        let Some(topic) = Topic::parse(topic) else { return Some(Checks::Telemetry) };
        match IntakeStream::of(&topic) {
            _ if topic.is_own() => None,
            IntakeStream::Telemetry => Some(Checks::Telemetry),
            IntakeStream::Shadow => Some(Checks::Shadow),
            IntakeStream::Commands => Some(Checks::Command),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_decides_and_what_the_platform_publishes_is_nobodys() {
        let of = |rest: &str| Checks::of_topic(&format!("tenant/t/device/d/{rest}"));
        for rest in ["telemetry", "heartbeat", "alarm", "telemetry/raw", "shadow", ""] {
            assert_eq!(of(rest), Some(Checks::Telemetry), "{rest}");
        }
        // Others below these two are refused by their lane.
        for rest in ["shadow/reported", "shadow/reported/x", "shadow/desired/x"] {
            assert_eq!(of(rest), Some(Checks::Shadow), "{rest}");
        }
        for rest in ["commands/ack", "commands/ack/x", "commands/7"] {
            assert_eq!(of(rest), Some(Checks::Command), "{rest}");
        }
        assert_eq!((of("shadow/desired"), of("commands")), (None, None));
    }
}
