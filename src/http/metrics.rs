//! `/metrics`, in the text format that the scraper asks for.

use actix_web::http::header::{ACCEPT, CONTENT_TYPE};
use actix_web::{HttpRequest, HttpResponse, web};

use crate::metrics::Metrics;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics of the node. Prometheus' own text unless the scraper names OpenMetrics.
pub(super) async fn scrape(request: HttpRequest, metrics: web::Data<Metrics>) -> HttpResponse {
    let Ok(text) = metrics.open_metrics() else {
        return HttpResponse::InternalServerError().finish();
    };
    let accept = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if accept.contains("application/openmetrics-text") {
        HttpResponse::Ok().insert_header((CONTENT_TYPE, OPEN_METRICS)).body(text)
    } else {
        HttpResponse::Ok().insert_header((CONTENT_TYPE, PROMETHEUS)).body(prometheus_text(&text))
    }
}

/// OpenMetrics text as Prometheus text 0.0.4. The two differ in where a counter's `_total` stands (here the name of the
/// metric ends in it, there only its samples do), in the type `info` (here a gauge), and in the closing `# EOF`.
fn prometheus_text(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len() + 1024);
    let mut help = "";
    for line in open_metrics.lines() {
        if let Some(described) = line.strip_prefix("# HELP ") {
            help = described;
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|typed| typed.split_once(' ')) {
            let (suffix, kind) = match kind {
                "counter" => ("_total", kind),
                "info" => ("_info", "gauge"),
                _ => ("", kind),
            };
            let words = help.strip_prefix(name).unwrap_or_default();
            text.extend(["# HELP ", name, suffix, words, "\n# TYPE ", name, suffix, " ", kind, "\n"]);
        } else if !line.starts_with("# ") {
            text.extend([line, "\n"]);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counters_type_is_that_of_its_samples() {
        let open = "# HELP a_rows Rows.\n# TYPE a_rows counter\na_rows_total 1\n# HELP a_build V.\n# TYPE a_build info\n\
            a_build_info{version=\"1\"} 1\n# HELP a_lag Lag.\n# TYPE a_lag gauge\na_lag 0.5\n# EOF\n";
        let prometheus = "# HELP a_rows_total Rows.\n# TYPE a_rows_total counter\na_rows_total 1\n\
            # HELP a_build_info V.\n# TYPE a_build_info gauge\na_build_info{version=\"1\"} 1\n\
            # HELP a_lag Lag.\n# TYPE a_lag gauge\na_lag 0.5\n";
        assert_eq!(prometheus_text(open), prometheus);
    }

    #[test]
    fn every_sample_of_a_scrape_follows_its_own_type() {
        let text = prometheus_text(&Metrics::new().open_metrics().unwrap());
        let mut metric = "";
        for line in text.lines() {
            match line.strip_prefix("# TYPE ") {
                Some(typed) => metric = typed.split(' ').next().unwrap(),
                None if line.starts_with('#') => {}
                None => {
                    let sample = line.split(['{', ' ']).next().unwrap();
                    let suffix =
                        sample.strip_prefix(metric).unwrap_or_else(|| panic!("{sample} stands under {metric}"));
                    assert!(["", "_sum", "_count", "_bucket"].contains(&suffix), "{sample} stands under {metric}");
                }
            }
        }
    }
}
