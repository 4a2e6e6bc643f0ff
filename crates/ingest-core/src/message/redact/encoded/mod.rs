//! Encodings that hide a token: base64, hexadecimal, lists of byte values, compression, and any of them inside of another.
//!
//! Encoded parts are decoded and inspected in bounded time and memory. A part counts as hiding a token where the token's key
//! is inside, and where its inside can't be known (damaged or unknown compression, too deep, too large).

mod decode;
mod inspection;
#[cfg(test)]
mod tests;

pub(super) use self::inspection::{Inspection, MIN_RUN, without_runs};
pub use self::inspection::{has_masked_encoding, is_unreadable};
