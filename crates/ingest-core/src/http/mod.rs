//! Rules of the way in over HTTP: what a request's body is, and what names a message.

mod batch;
mod body;
mod message_id;
#[cfg(test)]
mod tests;

pub use self::batch::{BatchError, MAX_MESSAGES, Names, messages};
pub use self::body::{NotAnObject, object, with_member};
pub use self::message_id::{is_idempotency_key, message_id};
