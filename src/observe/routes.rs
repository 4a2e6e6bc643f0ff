//! What the admin listener serves of the node: `/actors`, the console and its events. All of it is read only.

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::web::{self, Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

use super::console::{self, Asset};
use super::observer::Observer;
use crate::runtime::connections::Slot;
use crate::runtime::problem::problem_for_now;

/// Seconds after which it is worth while to try again to watch.
const TRY_AGAIN_SECS: u64 = 5;

/// Adds what is shown to whoever has the key.
pub(crate) fn shown(observer: Data<Observer>) -> impl Fn(&mut web::ServiceConfig) + Clone + Send {
    move |config| {
        config
            .app_data(observer.clone())
            .route("/actors", web::get().to(actors))
            .route("/console", web::get().to(page))
            .route("/console/events", web::get().to(events));
    }
}

/// Adds the files of the console, which hold nothing of the node: the log-in has them, too.
pub(crate) fn assets(config: &mut web::ServiceConfig) {
    for asset in console::ASSETS {
        config.route(asset.path, web::get().to(move || file(asset)));
    }
}

async fn actors(observer: Data<Observer>) -> HttpResponse {
    HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(&*observer.snapshot())
}

async fn page() -> HttpResponse {
    console::page()
}

async fn file(asset: Asset) -> HttpResponse {
    console::answer(StatusCode::OK, asset.content_type).insert_header((CACHE_CONTROL, "no-cache")).body(asset.text)
}

/// One event a second. The connection is held as long as somebody watches, and takes no slot from other requests.
async fn events(request: HttpRequest, observer: Data<Observer>) -> HttpResponse {
    let connection = || request.conn_data::<Slot>().and_then(Slot::hold);
    match observer.watch(connection) {
        Ok(messages) => HttpResponse::Ok()
            .insert_header((CONTENT_TYPE, "text/event-stream"))
            .insert_header((CACHE_CONTROL, "no-store"))
            // A proxy that collects answers would show nothing.
            .insert_header(("X-Accel-Buffering", "no"))
            .streaming(ReceiverStream::new(messages).map(Ok::<Bytes, actix_web::Error>)),
        Err(why) => problem_for_now(StatusCode::SERVICE_UNAVAILABLE, "no_room", why.to_string(), TRY_AGAIN_SECS),
    }
}
