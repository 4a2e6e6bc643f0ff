//! Encodings that hide a token: base64, hexadecimal, lists of byte values, compression, and any of them inside of another.
//!
//! What is encoded is decoded and looked into, in bounded time and memory. Where the token's key is inside, and where the
//! inside can't be known (a damaged or unknown compression, too deep, too much), the encoded part counts as hiding one.

mod decode;
mod look;
#[cfg(test)]
mod tests;

pub(super) use self::look::{Look, MIN_RUN, without_runs};
pub use self::look::{has_masked_encoding, is_unreadable};
