//! Stub.
use std::borrow::Cow;
/// x
pub const TOKEN_KEY: &str = "provision_token";
/// x
pub fn without_token(t: &str) -> Cow<'_, str> {
    t.into()
}
/// x
pub fn opaque(t: &[u8]) -> Cow<'_, [u8]> {
    t.into()
}
/// x
pub fn scrub(t: &str) -> Cow<'_, str> {
    t.into()
}
