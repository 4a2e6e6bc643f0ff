//! The devices' own endpoints: what is wanted of them, and what they report. A device is known by its token alone.

mod auth;
mod caller;
pub(super) mod commands;
mod reader;
pub(super) mod shadow;

pub(super) use self::auth::Devices;
