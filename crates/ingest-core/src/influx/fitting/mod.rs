//! Lines made to fit: what a table has no column for, what its column can't hold, and what the tenant may make no column
//! for is left out of a point. Everything else of the point is written, and its row holds it all.

mod fit;
#[cfg(test)]
mod tests;

pub use self::fit::{Fitted, Fitting};
