//! Properties of the two duties that nobody may forget, over inputs that nobody thought of: one module per duty.
#![allow(clippy::unwrap_used, reason = "a test that panics has said what it had to say")]

mod debt;
mod delivery;
