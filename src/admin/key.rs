//! The guard in front of everything that needs the admin key.

use std::net::{IpAddr, Ipv4Addr};

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::middleware::Next;
use actix_web::{Error, HttpResponse, web};
use slog::{Logger, warn};

use crate::runtime::failures::Failures;
use crate::runtime::problem::{problem, problem_for_now};
use crate::runtime::secret::Secret;
use ingest_core::provision::admin_key;

/// The header that holds the key. Never the URL: those end up in logs.
const HEADER: &str = "x-admin-key";

/// Compares keys, and limits those who present wrong ones.
#[derive(Debug)]
pub(super) struct KeyGuard {
    key: Secret,
    failures: Failures,
    log: Logger,
}

/// Why a request does not pass.
#[derive(Debug, PartialEq, Eq)]
enum Denied {
    /// No key, or another one.
    WrongKey,
    /// Its address has failed too often; whole seconds until it may try again.
    Limited(u64),
}

impl KeyGuard {
    /// Admits who presents this key, as it is at that moment: it may be rotated.
    pub(super) fn new(key: Secret, log: Logger) -> Self {
        Self { key, failures: Failures::default(), log }
    }

    fn check(&self, address: IpAddr, presented: Option<&[u8]>) -> Result<(), Denied> {
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
        Err(Denied::WrongKey)
    }
}

impl Denied {
    fn response(&self) -> HttpResponse {
        match self {
            Denied::WrongKey => problem(StatusCode::UNAUTHORIZED, "unauthorized", "X-Admin-Key is missing or wrong"),
            Denied::Limited(secs) => problem_for_now(
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_failures",
                "too many wrong keys from this address; try again later",
                *secs,
            ),
        }
    }
}

/// Lets a request pass that has the key.
pub(super) async fn require_key(
    guard: web::Data<KeyGuard>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let address = request.peer_addr().map_or(Ipv4Addr::UNSPECIFIED.into(), |peer| peer.ip());
    let presented = request.headers().get(HEADER).map(|value| value.as_bytes());
    match guard.check(address, presented) {
        Ok(()) => Ok(next.call(request).await?.map_into_left_body()),
        Err(denied) => Ok(request.into_response(denied.response()).map_into_right_body()),
    }
}

#[cfg(test)]
mod tests {
    use slog::{Discard, o};

    use super::*;

    const KEY: &str = "k7Qw2ZpX9vLr4TnB6yHs8DfGj3MxCa5E";

    #[test]
    fn ten_failures_make_an_address_wait_whatever_it_presents_and_no_other() {
        let guard = KeyGuard::new(Secret::new(KEY), Logger::root(Discard, o!()));
        let [one, other] = [1, 2].map(|host| IpAddr::from(Ipv4Addr::new(127, 0, 0, host)));
        for number in 0..10 {
            assert_eq!(guard.check(one, Some(KEY.as_bytes())), Ok(()), "successes are not counted");
            let wrong = (number % 2 == 0).then_some(&b"wrong"[..]);
            assert_eq!(guard.check(one, wrong), Err(Denied::WrongKey));
        }
        assert!(matches!(guard.check(one, Some(KEY.as_bytes())), Err(Denied::Limited(1..=60))));
        assert_eq!(guard.check(other, Some(KEY.as_bytes())), Ok(()));
    }

    #[test]
    fn a_rotated_key_counts_at_once_and_an_empty_one_admits_nobody() {
        let (key, address) = (Secret::new(KEY), IpAddr::from(Ipv4Addr::LOCALHOST));
        let guard = KeyGuard::new(key.clone(), Logger::root(Discard, o!()));
        let newer = KEY.replace('k', "K");
        key.replace(&Secret::new(&newer));
        assert_eq!(guard.check(address, Some(KEY.as_bytes())), Err(Denied::WrongKey));
        assert_eq!(guard.check(address, Some(newer.as_bytes())), Ok(()));
        key.replace(&Secret::default());
        assert_eq!(guard.check(address, Some(b"")), Err(Denied::WrongKey));
    }
}
