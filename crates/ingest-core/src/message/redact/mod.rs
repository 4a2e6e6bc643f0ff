//! Redaction: removes provision tokens from everything that is stored or forwarded.
//!
//! Three rules for three kinds of input: [`without_token`] for a payload that is accepted (per message, so one scan),
//! [`scrub`] for any JSON text that goes to the quarantine, [`opaque()`] for bytes that are no JSON (and [`is_unreadable`]
//! for those that can't be read as text).

mod compressed;
mod cursor;
mod encoded;
mod json;
mod opaque;
#[cfg(test)]
mod tests;
mod token;
mod units;

pub use self::encoded::{has_masked_encoding, is_unreadable};
pub use self::json::{scrub, without_token};
pub use self::opaque::{opaque, opaque_text};
pub use self::token::TOKEN_KEY;
