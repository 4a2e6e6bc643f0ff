//! Taps: an operator looks at messages as validators decide them. Without a tap it costs one load of an atomic for each chunk.
//!
//! ```text
//! Validator --offer: try_send--> Tap (bounded) --lines--> GET /tap on the admin listener
//! ```

mod route;
mod stream;
mod taps;

pub(crate) use self::route::route;
pub(crate) use self::taps::{Offered, Taps};
