//! The console's files as they are served. They load nothing from elsewhere, and hold no script or style of their own.

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::{HttpResponse, HttpResponseBuilder};

/// Only files of this listener: no inline script or style, no frame around it, and forms that go nowhere else.
const POLICY: &str =
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'";

const HTML: &str = "text/html; charset=utf-8";
const PAGE: &str = include_str!("page.html");
const LOG_IN: &str = include_str!("log_in.html");
/// What stands in the log-in page where its message goes.
const MESSAGE: &str = "{{message}}";

/// A file that the pages load.
#[derive(Clone, Copy, Debug)]
pub(in crate::observe) struct Asset {
    /// Where it is served.
    pub path: &'static str,
    /// Its type.
    pub content_type: &'static str,
    /// Its text.
    pub text: &'static str,
}

/// The files.
pub(in crate::observe) const ASSETS: [Asset; 6] = [
    asset("/console/style.css", "text/css; charset=utf-8", include_str!("style.css")),
    asset("/console/page.js", SCRIPT, include_str!("page.js")),
    asset("/console/picture.js", SCRIPT, include_str!("picture.js")),
    asset("/console/plots.js", SCRIPT, include_str!("plots.js")),
    asset("/console/text.js", SCRIPT, include_str!("text.js")),
    asset("/console/icon.svg", "image/svg+xml", include_str!("icon.svg")),
];
const SCRIPT: &str = "text/javascript; charset=utf-8";

const fn asset(path: &'static str, content_type: &'static str, text: &'static str) -> Asset {
    Asset { path, content_type, text }
}

/// An answer with the headers that keep a page to itself.
pub(in crate::observe) fn answer(status: StatusCode, content_type: &str) -> HttpResponseBuilder {
    let mut answer = HttpResponse::build(status);
    answer
        .insert_header((CONTENT_TYPE, content_type))
        .insert_header(("Content-Security-Policy", POLICY))
        .insert_header(("X-Content-Type-Options", "nosniff"))
        .insert_header(("Referrer-Policy", "no-referrer"));
    answer
}

/// The console.
pub(in crate::observe) fn page() -> HttpResponse {
    answer(StatusCode::OK, HTML).insert_header((CACHE_CONTROL, "no-store")).body(PAGE)
}

/// The log-in, with a message above its form; a constant sentence, as it stands in the page as it is.
pub(crate) fn log_in_page(status: StatusCode, message: &'static str) -> HttpResponse {
    answer(status, HTML).insert_header((CACHE_CONTROL, "no-store")).body(LOG_IN.replace(MESSAGE, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_weigh_less_than_100_kb_and_have_no_script_or_style_of_their_own() {
        let weight = PAGE.len() + ASSETS.iter().map(|asset| asset.text.len()).sum::<usize>();
        assert!(weight < 100_000, "{weight} bytes");
        for page in [PAGE, LOG_IN] {
            assert!(!page.contains("style=") && !page.contains("<style") && !page.contains(" on"), "{page}");
            for script in page.split("<script").skip(1) {
                assert!(script.contains("src=\"/console/"), "{script}");
            }
        }
        assert!(LOG_IN.contains(MESSAGE));
    }

    #[test]
    fn what_comes_from_elsewhere_never_becomes_markup() {
        for asset in ASSETS {
            for sink in
                ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "http://", "https://"]
            {
                let text = asset.text.replace("http://www.w3.org/", "");
                assert!(!text.contains(sink), "{} has {sink}", asset.path);
            }
        }
    }
}
