//! Coercion: a line is adapted to the columns of its table. Values are coerced to the types of their columns; fields
//! without a column, with a type conflict or beyond the tenant's budget are left out. The rest of the point is written,
//! and its row holds all of it.

mod coerce;
#[cfg(test)]
mod tests;

pub use self::coerce::{Coerced, Coercion};
