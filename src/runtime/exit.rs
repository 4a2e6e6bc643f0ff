//! How the process ends.

use std::process::ExitCode;

/// The exit codes, each after its meaning in `sysexits.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done, or drained with nothing left undone.
    Ok = 0,
    /// Some of what was asked for could not be done; standard output says what.
    Incomplete = 1,
    /// The configuration or the command line is wrong; nothing has been started.
    Config = 64,
    /// Something that the node depends on was not available within its bound at start-up.
    Unavailable = 69,
    /// The supervisor gave up: the restart budget is spent.
    GaveUp = 70,
    /// The drain's deadline passed with work undone, which the broker delivers again; or a command was told to stop.
    Unfinished = 75,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}
