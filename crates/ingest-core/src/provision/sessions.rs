//! Sessions of browsers that have shown the admin key: bounded in number and time, and kept as digests only.

use std::collections::VecDeque;

use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Random bytes of a session's token.
pub const SESSION_BYTES: usize = 32;

/// The sessions, the oldest first.
#[derive(Debug)]
pub struct Sessions {
    most: usize,
    lifetime_secs: u64,
    open: VecDeque<Session>,
}

#[derive(Debug)]
struct Session {
    token: [u8; 32],
    /// The key that it was opened with: a session ends when the key is another.
    key: [u8; 32],
    ends_secs: u64,
}

impl Sessions {
    /// At most so many, each for so long.
    pub fn new(most: usize, lifetime_secs: u64) -> Self {
        Self { most: most.max(1), lifetime_secs, open: VecDeque::new() }
    }

    /// Opens a session for whoever has shown this key, and returns its token: URL-safe text of the random bytes. The oldest
    /// session makes room. `now_secs` is of any clock that does not run backwards.
    pub fn open(&mut self, random: &[u8; SESSION_BYTES], key: &str, now_secs: u64) -> String {
        self.open.retain(|session| now_secs < session.ends_secs);
        if self.open.len() == self.most {
            self.open.pop_front();
        }
        let token = BASE64URL_NOPAD.encode(random);
        let ends_secs = now_secs.saturating_add(self.lifetime_secs);
        self.open.push_back(Session { token: digest(&token), key: digest(key), ends_secs });
        token
    }

    /// Whether this is the token of a session that holds, while the key is this one.
    pub fn admits(&self, token: &str, key: &str, now_secs: u64) -> bool {
        let (token, key) = (digest(token), digest(key));
        // All are compared, in a time that tells nothing about any.
        self.open.iter().fold(false, |admits, session| {
            let is_same: bool = (session.token.ct_eq(&token) & session.key.ct_eq(&key)).into();
            admits | (is_same && now_secs < session.ends_secs)
        })
    }

    /// Ends a session.
    pub fn close(&mut self, token: &str) {
        let token = digest(token);
        self.open.retain(|session| session.token.ct_ne(&token).into());
    }
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "k7Qw2ZpX9vLr4TnB6yHs8DfGj3MxCa5E";

    fn open(sessions: &mut Sessions, byte: u8, now_secs: u64) -> String {
        sessions.open(&[byte; SESSION_BYTES], KEY, now_secs)
    }

    #[test]
    fn a_session_admits_its_token_until_it_ends_or_is_closed_or_the_key_changes() {
        let mut sessions = Sessions::new(4, 100);
        let (one, other) = (open(&mut sessions, 1, 10), open(&mut sessions, 2, 20));
        assert!(one.len() == 43 && one != other);
        assert!(sessions.admits(&one, KEY, 109) && !sessions.admits(&one, KEY, 110));
        assert!(sessions.admits(&other, KEY, 110) && !sessions.admits(&other, &KEY[1..], 110));
        for wrong in ["", &one[1..], KEY] {
            assert!(!sessions.admits(wrong, KEY, 20), "{wrong}");
        }
        sessions.close(&other);
        assert!(!sessions.admits(&other, KEY, 30) && sessions.admits(&one, KEY, 30));
    }

    #[test]
    fn the_oldest_session_makes_room_for_another_and_ended_ones_before_it() {
        let mut sessions = Sessions::new(2, 100);
        let [a, b, c] = [1, 2, 3].map(|byte| open(&mut sessions, byte, u64::from(byte)));
        assert_eq!([&a, &b, &c].map(|token| sessions.admits(token, KEY, 5)), [false, true, true]);
        let d = open(&mut sessions, 4, 102);
        assert_eq!([&c, &d].map(|token| sessions.admits(token, KEY, 102)), [true, true], "the second had ended");
    }
}
