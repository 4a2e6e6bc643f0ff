//! The admin key: long enough, possible to send, and compared in constant time.

use std::collections::HashSet;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use thiserror::Error;

/// Fewest characters of a key.
pub const MIN_CHARS: usize = 32;
/// A key with fewer different characters is not random.
const FEWEST_DIFFERENT: usize = 10;

/// Why a key can't be used. Without the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// It has so many characters.
    #[error("has {0} characters and must have at least {MIN_CHARS}")]
    TooShort(usize),
    /// It holds what no header can.
    #[error("holds a blank, a control character or one that is not ASCII, which the header X-Admin-Key can't carry")]
    NotSendable,
}

/// Checks a key that is set.
///
/// # Errors
/// Why it can't be used.
pub fn check(key: &str) -> Result<(), KeyError> {
    match key.chars().count() {
        short if short < MIN_CHARS => Err(KeyError::TooShort(short)),
        _ if !key.bytes().all(|byte| byte.is_ascii_graphic()) => Err(KeyError::NotSendable),
        _ => Ok(()),
    }
}

/// Whether a key looks like one that somebody has made up, or copied from an example.
pub fn looks_made_up(key: &str) -> bool {
    const WORDS: [&str; 7] = ["change", "secret", "password", "example", "default", "adminkey", "admin-key"];
    let lower = key.to_ascii_lowercase();
    WORDS.iter().any(|word| lower.contains(word)) || key.chars().collect::<HashSet<_>>().len() < FEWEST_DIFFERENT
}

/// Whether the key that was presented is the one that is set, in a time that tells nothing about either. A key that could not
/// be used admits nobody.
pub fn is_same(presented: &[u8], key: &str) -> bool {
    let digests_equal: bool = Sha256::digest(presented).ct_eq(&Sha256::digest(key.as_bytes())).into();
    digests_equal && check(key).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "k7Qw2ZpX9vLr4TnB6yHs8DfGj3MxCa5E";

    #[test]
    fn a_key_has_32_characters_that_a_header_can_carry() {
        assert_eq!(check(KEY), Ok(()));
        assert_eq!(check(&KEY[1..]), Err(KeyError::TooShort(31)));
        for unsendable in [format!("{KEY}\n"), format!("{KEY} x"), "é".repeat(32)] {
            assert_eq!(check(&unsendable), Err(KeyError::NotSendable));
        }
        assert!(!check(&KEY[1..]).unwrap_err().to_string().contains(&KEY[1..]));
    }

    #[test]
    fn only_the_whole_key_is_the_key_and_none_that_is_too_short() {
        assert!(is_same(KEY.as_bytes(), KEY));
        for wrong in ["", &KEY[1..], &format!("{KEY}x"), &KEY.to_lowercase()] {
            assert!(!is_same(wrong.as_bytes(), KEY), "{wrong}");
        }
        assert!(!is_same(b"", "") && !is_same(b"short", "short"));
    }

    #[test]
    fn keys_that_people_make_up_are_noticed() {
        assert!(!looks_made_up(KEY) && !looks_made_up("d41d8cd98f00b204e9800998ecf8427e"));
        for made_up in ["change-me-change-me-change-me-change-me", &"a".repeat(40), "MySecretKeyForTheDevicesOfAcme12"]
        {
            assert!(looks_made_up(made_up), "{made_up}");
        }
    }
}
