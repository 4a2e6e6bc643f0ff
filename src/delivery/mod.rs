//! A delivery: one message handed to us once, and the duty to give it exactly one verdict.
//!
//! A [`Delivery`] that is dropped without a verdict (a panic, a closed mailbox, a forgotten branch) reports itself as
//! lost, so that the broker delivers it again: forgetting a message is impossible, at worst it is slow.

mod guard;
mod lane;
pub(crate) mod pending_ack;
mod received;
mod settle;
mod settlement;
#[cfg(test)]
mod tests;

pub(crate) use self::guard::DeliveryGuard;
pub use self::lane::{Lane, Lanes};
pub(crate) use self::lane::{Opening, Owner, RunWhen};
pub(crate) use self::received::Replay;
pub use self::received::{Delivery, Origin};
pub(crate) use self::settle::Settled;
pub use self::settle::{Settle, SettleHandle};
pub use self::settlement::Settlement;
