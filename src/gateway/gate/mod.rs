//! The gate: the pipeline's own checks, made at the door, from what the registry has answered.
//!
//! A worker of a way in decides a known device by itself ([`Door`]); the actor [`Gate`] keeps what is known up to date, and
//! asks the registry about the rest.

mod actor;
mod door;
mod known;
mod not_admitted;
mod question;

pub(crate) use self::actor::{Gate, Parts as GateParts};
pub(crate) use self::door::{Door, DoorParts, now_us};
pub(crate) use self::not_admitted::{NotAdmitted, Unavailable};
