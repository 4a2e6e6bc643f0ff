//! `GET /tap`, to be added to a listener that asks for the key.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;

use super::stream::lines;
use super::taps::Taps;
use crate::runtime::connections::Slot;
use crate::runtime::problem::problem;
use ingest_core::message::rejection::Reason;
use ingest_core::tap::{Filter, Outcome};

/// Samples unless told otherwise.
const USUAL_LIMIT: usize = 100;
/// Most samples of a tap.
const MOST_SAMPLES: usize = 100_000;

/// What a client asks for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    tenant: Option<String>,
    device: Option<String>,
    outcome: Option<String>,
    reason: Option<String>,
    limit: Option<usize>,
}

/// Adds `GET /tap`. The listener asks for the key.
pub(crate) fn route(taps: Arc<Taps>) -> impl Fn(&mut web::ServiceConfig) + Clone + Send {
    let taps = web::Data::from(taps);
    move |config| {
        config.service(web::resource("/tap").app_data(taps.clone()).get(tap));
    }
}

/// The connection is held as long as somebody reads, and takes no slot from other requests.
async fn tap(
    request: HttpRequest,
    query: Result<web::Query<Query>, actix_web::Error>,
    taps: web::Data<Taps>,
) -> HttpResponse {
    let asked = query.map_err(|error| error.to_string()).and_then(|query| read(query.into_inner()));
    let (filter, limit) = match asked {
        Ok(asked) => asked,
        Err(why) => return problem(StatusCode::BAD_REQUEST, "bad_query", &why),
    };
    match taps.into_inner().open(filter) {
        Some(reader) => HttpResponse::Ok()
            .content_type("application/x-ndjson")
            .insert_header(("Cache-Control", "no-store"))
            .streaming(lines(reader, limit, request.conn_data::<Slot>().and_then(Slot::hold))),
        None => {
            let why = "no more taps can be opened now; each ends by itself after 10 minutes";
            problem(StatusCode::SERVICE_UNAVAILABLE, "too_many_taps", why)
        }
    }
}

fn read(Query { tenant, device, outcome, reason, limit }: Query) -> Result<(Filter, usize), String> {
    let outcome = outcome.map(|name| Outcome::of_name(&name).ok_or("outcome: accepted, rejected or ignored"));
    let of_code = |code: &str| Reason::ALL.into_iter().find(|reason| reason.as_str().eq_ignore_ascii_case(code));
    let reason = reason.map(|code| of_code(&code).ok_or("reason: no reason code"));
    let filter = Filter { tenant, device, outcome: outcome.transpose()?, reason: reason.transpose()? };
    let limit = limit.unwrap_or(USUAL_LIMIT);
    if !(1..=MOST_SAMPLES).contains(&limit) {
        return Err(format!("limit: 1 to {MOST_SAMPLES}"));
    }
    Ok((filter, limit))
}
