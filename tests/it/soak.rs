//! How much the tests of kills and of frozen servers do: as much as a minute allows in `make test`, more in `make soak`.

use std::time::Duration;

use crate::world::DEADLINE;

/// Times that a process is killed among the messages of such a test.
pub(crate) const KILLS: u64 = 20;

/// Messages of a test that kills.
pub(crate) fn messages() -> u64 {
    setting("KILL_MESSAGES", 20_000)
}

/// A server is frozen at least so long.
pub(crate) fn frozen() -> Duration {
    Duration::from_secs(setting("FREEZE_SECONDS", 5))
}

/// Long enough for that many messages, also on a busy machine.
pub(crate) fn deadline() -> Duration {
    DEADLINE * (1 + u32::try_from(messages() / 5_000).expect("a number of messages"))
}

fn setting(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(value) => value.parse().unwrap_or_else(|e| panic!("{name}={value}: {e}")),
        Err(_) => default,
    }
}
