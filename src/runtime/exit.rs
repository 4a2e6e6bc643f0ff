//! Exit codes of the process.

use std::process::ExitCode;

/// The exit codes, each after its meaning in `sysexits.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done, or drained completely.
    Ok = 0,
    /// Some of the requested work could not be done; standard output lists it.
    Incomplete = 1,
    /// The configuration or the command line is wrong; nothing has been started.
    Config = 64,
    /// A dependency was not available within its timeout at start-up.
    Unavailable = 69,
    /// The supervisor's restart budget is spent.
    GaveUp = 70,
    /// The drain's deadline passed with deliveries in flight, which the broker delivers again; or a command was interrupted.
    Unfinished = 75,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}
