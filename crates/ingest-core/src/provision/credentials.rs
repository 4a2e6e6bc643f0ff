//! Activation codes and provision tokens: URL-safe text of random bytes that the caller draws.

use data_encoding::BASE64URL_NOPAD;

/// Random bytes of an activation code, 144 bits: what makes guessing hopeless is their number, not the limit of attempts.
pub const CODE_BYTES: usize = 18;
/// Random bytes of a provision token.
pub const TOKEN_BYTES: usize = 24;

/// An activation code: 24 characters.
pub fn activation_code(random: &[u8; CODE_BYTES]) -> String {
    BASE64URL_NOPAD.encode(random)
}

/// A provision token: `tok-` and 32 characters.
pub fn provision_token(random: &[u8; TOKEN_BYTES]) -> String {
    format!("tok-{}", BASE64URL_NOPAD.encode(random))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_have_their_length_and_survive_any_url() {
        let is_safe = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        for byte in 0..=u8::MAX {
            let (code, token) = (activation_code(&[byte; CODE_BYTES]), provision_token(&[byte; TOKEN_BYTES]));
            assert!(code.len() == 24 && is_safe(&code), "{code}");
            assert!(token.len() == 36 && token.starts_with("tok-") && is_safe(&token), "{token}");
        }
    }
}
