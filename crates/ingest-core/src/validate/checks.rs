//! Which checks a message must pass.

/// The checks of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checks {
    /// Those of a message that becomes a row: [`super::telemetry`].
    Telemetry,
    /// Those of a shadow report: [`super::shadow()`].
    Shadow,
    /// Those of a command's acknowledgement: [`super::command()`].
    Command,
}
