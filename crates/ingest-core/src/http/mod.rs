//! Rules of the way in over HTTP: what a request's body is, what names a message, and whose request it is behind a proxy.

mod batch;
mod body;
mod forwarded;
mod message_id;
#[cfg(test)]
mod tests;

pub use self::batch::{BatchError, MAX_MESSAGES, Names, messages};
pub use self::body::{NotAnObject, object, with_member};
pub use self::forwarded::{Network, NotANetwork, client_address, networks};
pub use self::message_id::{is_idempotency_key, message_id};
