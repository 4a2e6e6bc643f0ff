//! A delivery: one message handed to us once, and the duty to give it exactly one verdict.
//!
//! A [`Delivery`] that is dropped without a verdict (a panic, a closed mailbox, a forgotten branch) reports itself as
//! lost, so that the broker delivers it again: forgetting a message is impossible, at worst it is slow.

mod guard;
mod lane;
mod received;
mod settle;
mod settlement;
#[cfg(test)]
mod tests;

pub use self::guard::Ticket;
pub use self::lane::Lane;
pub use self::received::{Delivery, Origin, Replay};
pub use self::settle::{Desk, Settle, Settled};
pub use self::settlement::Settlement;
