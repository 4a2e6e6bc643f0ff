//! Log-in of a browser: it shows the key once, and has a session from then on, which may look and change nothing.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{LOCATION, SET_COOKIE};
use actix_web::web::{Data, Form, Payload};
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use serde::Deserialize;
use slog::{info, warn};
use tokio::time::timeout;

use super::key::{KeyGuard, address};
use super::sessions::{CONSOLE, COOKIE_NAME, LIFETIME_SECS, token};
use crate::runtime::problem::problem;

/// Where a browser shows the key, and where it ends its session.
pub(super) const LOG_IN: &str = "/console/log-in";
pub(super) const LOG_OUT: &str = "/console/log-out";
/// Longest time that a form may take.
const BOUND: Duration = Duration::from_secs(2);

#[derive(Deserialize)]
struct Shown {
    key: String,
}

/// Takes the key of the form, and sets the cookie of a session.
pub(super) async fn log_in(request: HttpRequest, body: Payload, guard: Data<KeyGuard>) -> HttpResponse {
    let Ok(Ok(form)) = timeout(BOUND, Form::<Shown>::from_request(&request, &mut body.into_inner())).await else {
        return guard.log_in_page(StatusCode::BAD_REQUEST, "The form did not arrive as it should. Try again.");
    };
    let address = address(&request);
    if let Err(denied) = guard.check(address, Some(form.key.trim().as_bytes())) {
        return guard.denied_page(&denied);
    }
    let key = guard.key();
    match guard.sessions.open(&key) {
        Ok(token) => {
            info!(guard.log, "logged in at the console"; "address" => %address);
            let cookie = format!("{COOKIE_NAME}={token}; Path=/; Max-Age={LIFETIME_SECS}; HttpOnly; SameSite=Strict");
            to_the_console(&cookie)
        }
        Err(error) => {
            warn!(guard.log, "no session: there are no random numbers"; "error" => %error);
            problem(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "there are no random numbers for a session")
        }
    }
}

/// Ends the session.
pub(super) async fn log_out(request: HttpRequest, guard: Data<KeyGuard>) -> HttpResponse {
    if let Some(token) = token(&request) {
        guard.sessions.close(token);
    }
    to_the_console(&format!("{COOKIE_NAME}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict"))
}

fn to_the_console(cookie: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((LOCATION, CONSOLE)).insert_header((SET_COOKIE, cookie)).finish()
}
