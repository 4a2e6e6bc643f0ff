//! The guard in front of everything that needs the admin key.

use std::net::{IpAddr, Ipv4Addr};

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::middleware::Next;
use actix_web::{Error, HttpRequest, HttpResponse, web};
use slog::{Logger, warn};

use super::sessions::{CONSOLE, OpenSessions, token};
use crate::runtime::failures::Failures;
use crate::runtime::problem::{problem, problem_for_now};
use crate::runtime::secret::Secret;
use ingest_core::provision::admin_key;

/// The header that holds the key. Never the URL: those end up in logs.
const HEADER: &str = "x-admin-key";

/// The page with the form, with a sentence above it.
pub(crate) type LogInPage = fn(StatusCode, &'static str) -> HttpResponse;

/// Compares keys, and limits those who present wrong ones.
#[derive(Debug)]
pub(super) struct KeyGuard {
    key: Secret,
    failures: Failures,
    /// Browsers that have shown the key.
    pub(super) sessions: OpenSessions,
    /// What browsers are shown that have not.
    page: LogInPage,
    pub(super) log: Logger,
}

/// Why a request does not pass.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// Another key.
    WrongKey,
    /// None at all.
    NoKey,
    /// None, and a session that has ended. A page that asks again and again guesses nothing.
    NoSession,
    /// Its address has failed too often; whole seconds until it may try again.
    Limited(u64),
}

impl KeyGuard {
    /// Admits who presents this key, as it is at that moment: it may be rotated.
    pub(super) fn new(key: Secret, page: LogInPage, log: Logger) -> Self {
        Self { key, failures: Failures::default(), sessions: OpenSessions::default(), page, log }
    }

    /// The key as it is now.
    pub(super) fn key(&self) -> String {
        self.key.expose().to_string()
    }

    /// Whether who presents this at this address has the key; failures are counted.
    pub(super) fn check(&self, address: IpAddr, presented: Option<&[u8]>) -> Result<(), Denied> {
        // Also with the right key: else the answer would tell which of many attempts was right.
        if let Some(secs) = self.failures.retry_after_secs(address) {
            return Err(Denied::Limited(secs));
        }
        if presented.is_some_and(|presented| admin_key::is_same(presented, &self.key.expose())) {
            return Ok(());
        }
        if self.failures.record(address) {
            warn!(self.log, "too many wrong admin keys: this address has to wait"; "address" => %address);
        }
        Err(if presented.is_some() { Denied::WrongKey } else { Denied::NoKey })
    }

    /// Whether a request passes: with the key, or in a session where it only looks.
    fn admit(&self, request: &HttpRequest) -> Result<(), Denied> {
        // A session's token is beyond guessing: it needs no limit, and an address that has to wait may go on looking.
        if self.sessions.admits(request, &self.key()) {
            return Ok(());
        }
        let (address, presented) = (address(request), request.headers().get(HEADER).map(|value| value.as_bytes()));
        match presented {
            None if token(request).is_some() => Err(Denied::NoSession),
            // Whoever opens the page has not guessed yet.
            None if request.path() == CONSOLE => {
                Err(self.failures.retry_after_secs(address).map_or(Denied::NoKey, Denied::Limited))
            }
            _ => self.check(address, presented),
        }
    }

    /// The log-in, with why it is shown.
    pub(super) fn denied_page(&self, denied: &Denied) -> HttpResponse {
        match denied {
            Denied::WrongKey => self.log_in_page(StatusCode::UNAUTHORIZED, "This is not the key."),
            Denied::NoKey | Denied::NoSession => self.log_in_page(StatusCode::UNAUTHORIZED, ""),
            Denied::Limited(_) => self.log_in_page(
                StatusCode::TOO_MANY_REQUESTS,
                "Too many wrong keys came from this address. It has to wait for a minute.",
            ),
        }
    }

    /// The log-in, with a sentence above its form.
    pub(super) fn log_in_page(&self, status: StatusCode, message: &'static str) -> HttpResponse {
        (self.page)(status, message)
    }
}

/// The address of a request's connection.
pub(super) fn address(request: &HttpRequest) -> IpAddr {
    request.peer_addr().map_or(Ipv4Addr::UNSPECIFIED.into(), |peer| peer.ip())
}

impl Denied {
    fn response(&self) -> HttpResponse {
        match self {
            Denied::WrongKey | Denied::NoKey | Denied::NoSession => {
                problem(StatusCode::UNAUTHORIZED, "unauthorized", "X-Admin-Key is missing or wrong")
            }
            Denied::Limited(secs) => problem_for_now(
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_failures",
                "too many wrong keys from this address; try again later",
                *secs,
            ),
        }
    }
}

/// Lets a request pass that has the key, or a session for what it looks at.
pub(super) async fn require_key(
    guard: web::Data<KeyGuard>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let Err(denied) = guard.admit(request.request()) else {
        return Ok(next.call(request).await?.map_into_left_body());
    };
    let is_for_a_browser = request.path() == CONSOLE && !request.headers().contains_key(HEADER);
    let response = if is_for_a_browser { guard.denied_page(&denied) } else { denied.response() };
    Ok(request.into_response(response).map_into_right_body())
}

#[cfg(test)]
mod tests {
    use actix_web::http::Method;
    use actix_web::test::TestRequest;
    use slog::{Discard, o};

    use super::*;

    const KEY: &str = "k7Qw2ZpX9vLr4TnB6yHs8DfGj3MxCa5E";

    fn guard(key: Secret) -> KeyGuard {
        KeyGuard::new(key, |status, _| HttpResponse::new(status), Logger::root(Discard, o!()))
    }

    #[test]
    fn ten_failures_make_an_address_wait_whatever_it_presents_and_no_other() {
        let guard = guard(Secret::new(KEY));
        let [one, other] = [1, 2].map(|host| IpAddr::from(Ipv4Addr::new(127, 0, 0, host)));
        for number in 0..10 {
            assert_eq!(guard.check(one, Some(KEY.as_bytes())), Ok(()), "successes are not counted");
            let wrong = (number % 2 == 0).then_some(&b"wrong"[..]);
            let expected = if wrong.is_some() { Denied::WrongKey } else { Denied::NoKey };
            assert_eq!(guard.check(one, wrong), Err(expected));
        }
        assert!(matches!(guard.check(one, Some(KEY.as_bytes())), Err(Denied::Limited(1..=60))));
        assert_eq!(guard.check(other, Some(KEY.as_bytes())), Ok(()));
    }

    #[test]
    fn a_rotated_key_counts_at_once_and_an_empty_one_admits_nobody() {
        let (key, address) = (Secret::new(KEY), IpAddr::from(Ipv4Addr::LOCALHOST));
        let guard = guard(key.clone());
        let newer = KEY.replace('k', "K");
        key.replace(&Secret::new(&newer));
        assert_eq!(guard.check(address, Some(KEY.as_bytes())), Err(Denied::WrongKey));
        assert_eq!(guard.check(address, Some(newer.as_bytes())), Ok(()));
        key.replace(&Secret::default());
        assert_eq!(guard.check(address, Some(b"")), Err(Denied::WrongKey));
    }

    fn asks(path: &str, method: Method, cookie: Option<&str>) -> HttpRequest {
        let request = TestRequest::with_uri(path).method(method).peer_addr(([127, 0, 0, 1], 1).into());
        match cookie {
            Some(token) => request.insert_header(("cookie", format!("a=b; ingest_console={token}"))).to_http_request(),
            None => request.to_http_request(),
        }
    }

    #[test]
    fn a_session_may_look_and_change_nothing_and_ends_with_the_key() {
        let key = Secret::new(KEY);
        let guard = guard(key.clone());
        let token = guard.sessions.open(KEY).unwrap();
        for path in ["/console", "/console/events", "/actors"] {
            assert_eq!(guard.admit(&asks(path, Method::GET, Some(&token))), Ok(()), "{path}");
        }
        for (path, method) in [("/api/admin/devices", Method::GET), ("/actors", Method::POST)] {
            assert_eq!(guard.admit(&asks(path, method, Some(&token))), Err(Denied::NoSession), "{path}");
        }
        key.replace(&Secret::new(KEY.replace('k', "K")));
        assert_eq!(guard.admit(&asks("/actors", Method::GET, Some(&token))), Err(Denied::NoSession));
    }

    #[test]
    fn neither_who_opens_the_page_nor_an_ended_session_counts_as_a_guess() {
        let guard = guard(Secret::new(KEY));
        for _ in 0..30 {
            assert_eq!(guard.admit(&asks("/console", Method::GET, None)), Err(Denied::NoKey));
            assert_eq!(guard.admit(&asks("/console/events", Method::GET, Some("ended"))), Err(Denied::NoSession));
        }
        let local = IpAddr::from(Ipv4Addr::LOCALHOST);
        (0..10).for_each(|_| drop(guard.check(local, Some(b"wrong"))));
        assert!(matches!(guard.admit(&asks("/console", Method::GET, None)), Err(Denied::Limited(_))));
        let token = guard.sessions.open(KEY).unwrap();
        assert_eq!(guard.admit(&asks("/actors", Method::GET, Some(&token))), Ok(()), "it goes on looking");
    }
}
