//! Sessions of browsers: what they may look at, and by which cookie they are known.

use std::time::Instant;

use actix_web::HttpRequest;
use actix_web::http::Method;
use actix_web::http::header::COOKIE;
use parking_lot::Mutex;

use ingest_core::provision::sessions::{SESSION_BYTES, Sessions};

/// The page that a browser wants to see.
pub(super) const CONSOLE: &str = "/console";
/// What a session may look at, with GET. Everything else takes the key itself.
const SHOWN: [&str; 3] = [CONSOLE, "/console/events", "/actors"];

/// The cookie that holds a session's token, and how long it does.
pub(super) const COOKIE_NAME: &str = "ingest_console";
pub(super) const LIFETIME_SECS: u64 = 8 * 3_600;
/// Browsers that are logged in at the same time.
const MOST_SESSIONS: usize = 64;

/// The open sessions.
#[derive(Debug)]
pub(super) struct OpenSessions {
    sessions: Mutex<Sessions>,
    since: Instant,
}

impl Default for OpenSessions {
    fn default() -> Self {
        Self { sessions: Mutex::new(Sessions::new(MOST_SESSIONS, LIFETIME_SECS)), since: Instant::now() }
    }
}

impl OpenSessions {
    /// Whether a request is to look at something, in a session that holds while the key is this one.
    pub(super) fn admits(&self, request: &HttpRequest, key: &str) -> bool {
        request.method() == Method::GET
            && SHOWN.contains(&request.path())
            && token(request).is_some_and(|token| self.sessions.lock().admits(token, key, self.now_secs()))
    }

    /// Opens a session for whoever has shown this key; its token.
    pub(super) fn open(&self, key: &str) -> Result<String, getrandom::Error> {
        let mut random = [0; SESSION_BYTES];
        getrandom::fill(&mut random)?;
        Ok(self.sessions.lock().open(&random, key, self.now_secs()))
    }

    /// Ends a session.
    pub(super) fn close(&self, token: &str) {
        self.sessions.lock().close(token);
    }

    fn now_secs(&self) -> u64 {
        self.since.elapsed().as_secs()
    }
}

/// The token of a request's session, whether that holds or not.
pub(super) fn token(request: &HttpRequest) -> Option<&str> {
    let headers = request.headers().get_all(COOKIE).filter_map(|header| header.to_str().ok());
    let mut cookies = headers.flat_map(|header| header.split(';')).filter_map(|cookie| cookie.trim().split_once('='));
    cookies.find_map(|(name, value)| (name == COOKIE_NAME).then_some(value))
}
