//! HTTP server for probes, scrapes and autoscalers: answered however busy the actors are.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::dev::ServerHandle;
use actix_web::web;

use super::{Config, lag, metrics, probes, stats};
use crate::metrics::Metrics;
use crate::runtime::listener::listen;
use crate::runtime::readiness::Readiness;
use crate::runtime::stats::Stats;

/// Starts serving on the current system; returns the bound address.
///
/// Stopped last, after the drain: until then `/ready` shows why the node is not ready and `/metrics` the drain's progress.
///
/// # Errors
/// A message that names the setting, where the address can't be bound.
pub(crate) fn start(
    config: &Config,
    readiness: Arc<Readiness>,
    metrics: Arc<Metrics>,
    stats: Arc<Stats>,
) -> io::Result<(SocketAddr, ServerHandle)> {
    listen(("HTTP_BIND", config.bind), move |app| {
        app.app_data(web::Data::from(readiness.clone()))
            .app_data(web::Data::from(metrics.clone()))
            .app_data(web::Data::from(stats.clone()))
            .service(web::resource("/health").get(probes::health).head(probes::health))
            .service(web::resource("/ready").get(probes::ready).head(probes::ready))
            .service(web::resource("/metrics").get(metrics::scrape))
            .service(web::resource("/stats").get(stats::show))
            .service(web::resource("/lag").get(lag::show));
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::{Duration, Instant};

    use actix_web::http::StatusCode;
    use awc::http::header::{ACCEPT, CONTENT_TYPE};
    use serde_json::{Value, json};
    use time::OffsetDateTime;
    use time::format_description::well_known::Rfc3339;

    use super::*;
    use crate::delivery::{Lane, Lanes};
    use crate::metrics::BrokerReport;
    use crate::runtime::readiness::Condition;
    use ingest_core::flow::lag::ConsumerFigures;
    use ingest_core::message::rejection::Reason;

    struct Node {
        address: SocketAddr,
        server: ServerHandle,
        readiness: Arc<Readiness>,
        metrics: Arc<Metrics>,
        stats: Arc<Stats>,
    }

    fn serve() -> Node {
        let (readiness, metrics, stats) = (Readiness::new(), Metrics::new(), Stats::new());
        let config = Config { bind: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let (address, server) = start(&config, readiness.clone(), metrics.clone(), stats.clone()).unwrap();
        Node { address, server, readiness, metrics, stats }
    }

    /// Figures that have just been read, with a message that is two seconds old.
    fn report(figures: ConsumerFigures) -> BrokerReport {
        BrokerReport { asked: Instant::now(), figures, oldest: Some(Duration::from_secs(2)), window: 20_000 }
    }

    impl Node {
        async fn get(&self, path: &str, accept: &str) -> (StatusCode, String, String) {
            let url = format!("http://{}{path}", self.address);
            let mut response = awc::Client::default().get(url).insert_header((ACCEPT, accept)).send().await.unwrap();
            let content_type =
                response.headers().get(CONTENT_TYPE).map_or("", |value| value.to_str().unwrap()).to_owned();
            let body = String::from_utf8(response.body().await.unwrap().to_vec()).unwrap();
            (StatusCode::from_u16(response.status().as_u16()).unwrap(), content_type, body)
        }

        async fn json(&self, path: &str) -> (StatusCode, Value) {
            let (status, content_type, body) = self.get(path, "*/*").await;
            assert_eq!(content_type, "application/json");
            (status, serde_json::from_str(&body).unwrap())
        }
    }

    #[actix_rt::test]
    async fn ready_follows_the_conditions_while_health_stays_200() {
        let node = serve();
        let (status, body) = node.json("/ready").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(body["status"], "not_ready");
        assert!(body["reasons"].as_array().unwrap().contains(&json!("nats: starting")), "{body}");

        let all = [Condition::Nats, Condition::Postgres, Condition::Registry, Condition::Schema];
        all.into_iter().chain([Condition::Tree]).for_each(|condition| node.readiness.up(condition));
        Lanes::default().iter().for_each(|lane| node.readiness.up(Condition::Consumer(lane)));
        node.readiness.set_message("ingest-workers", "ack_wait is 5 s");
        let (status, body) = node.json("/ready").await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(body, json!({"status": "ready", "reasons": [], "notes": ["ingest-workers: ack_wait is 5 s"]}));

        node.readiness.down(Condition::Postgres, "connection refused");
        let (status, body) = node.json("/ready").await;
        assert_eq!(
            (status, &body["reasons"]),
            (StatusCode::SERVICE_UNAVAILABLE, &json!(["postgres: connection refused"]))
        );
        assert_eq!(node.json("/health").await, (StatusCode::OK, json!({"status": "alive"})));
        node.server.stop(false).await;
    }

    #[actix_rt::test]
    async fn a_scrape_has_the_requested_format() {
        let node = serve();
        node.metrics.validation.rejections.of(Reason::TokenInvalid).inc_by(4);

        let (status, content_type, body) = node.get("/metrics", "text/plain;version=0.0.4").await;
        assert_eq!((status, content_type.as_str()), (StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8"));
        assert!(body.contains("\n# TYPE ingest_rejections_total counter\n"), "{body}");
        assert!(body.contains("\ningest_rejections_total{reason=\"TOKEN_INVALID\"} 4\n"), "{body}");
        assert!(!body.contains("# EOF"));

        let accept = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5";
        let (_, content_type, body) = node.get("/metrics", accept).await;
        assert_eq!(content_type, "application/openmetrics-text; version=1.0.0; charset=utf-8");
        assert!(body.contains("\n# TYPE ingest_rejections counter\n") && body.ends_with("# EOF\n"), "{body}");
        node.server.stop(false).await;
    }

    #[actix_rt::test]
    async fn stats_hold_every_components_state_and_every_lanes_ledger() {
        let node = serve();
        node.stats.register("influx", || json!({"batchers": {"acme": {"buffered": 3}}}));
        node.metrics.ledgers.lane(Lane::TELEMETRY).received = 2;
        node.metrics.ledgers.lane(Lane::TELEMETRY).in_flight = 2;
        let figures = ConsumerFigures { pending: 7, ack_floor: 5, ..ConsumerFigures::default() };
        node.metrics.consumers.broker.set(Lane::TELEMETRY, report(figures));
        let (status, body) = node.json("/stats").await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(body["actors"]["influx"]["batchers"]["acme"]["buffered"], 3);
        assert_eq!(body["consumers"]["ingest-workers"]["in_flight"], 2);
        let known = &body["consumers"]["ingest-workers"];
        assert_eq!((&known["pending"], &known["ack_floor"], &known["redelivered"]), (&json!(7), &json!(5), &json!(0)));
        assert!(known["lag_seconds"].as_f64().unwrap() >= 2.0 && known["info_age_seconds"].is_f64(), "{known}");
        let unknown = body["consumers"]["ingest-shadow"].as_object().unwrap();
        let broker = unknown.iter().filter(|(_, value)| value.is_null()).map(|(key, _)| key.as_str());
        let keys = [
            "ack_floor",
            "ack_pending",
            "info_age_seconds",
            "lag_seconds",
            "max_ack_pending",
            "pending",
            "redelivered",
        ];
        assert_eq!(broker.collect::<BTreeSet<_>>(), BTreeSet::from(keys));
        assert_eq!((&body["totals"]["received"], &body["totals"]["pending"]), (&json!(2), &Value::Null));
        node.server.stop(false).await;
    }

    #[actix_rt::test]
    async fn lag_is_answered_while_every_lanes_figures_are_known_and_never_with_others() {
        let node = serve();
        let (status, body) = node.json("/lag").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(body["reasons"].as_array().unwrap().len(), 3, "{body}");

        let figures =
            ConsumerFigures { pending: 7, ack_pending: 3, max_ack_pending: 60_000, ..ConsumerFigures::default() };
        Lanes::default().iter().for_each(|lane| node.metrics.consumers.broker.set(lane, report(figures)));
        let (status, body) = node.json("/lag").await;
        assert_eq!((status, &body["replicas_useful"]), (StatusCode::OK, &json!(3)));
        let lag = &body["consumers"]["ingest-workers"];
        assert_eq!((&lag["messages"], &lag["scalable"]), (&json!(10), &json!(0)), "PostgreSQL is not connected yet");
        assert!(lag["seconds"].as_f64().unwrap() >= 2.0, "{body}");
        let as_of = OffsetDateTime::parse(body["as_of"].as_str().unwrap(), &Rfc3339).unwrap();
        assert!(as_of <= OffsetDateTime::now_utc());

        let postgres = [Condition::Postgres, Condition::Registry, Condition::Schema];
        postgres.into_iter().for_each(|condition| node.readiness.up(condition));
        node.metrics.consumers.broker.set(Lane::TELEMETRY, BrokerReport { oldest: None, ..report(figures) });
        let (_, body) = node.json("/lag").await;
        let lag = &body["consumers"]["ingest-workers"];
        assert_eq!((&lag["scalable"], &lag["seconds"]), (&json!(10), &Value::Null));

        node.metrics.consumers.broker.discard(Lane::SHADOW);
        let (status, body) = node.json("/lag").await;
        let expected =
            json!({"status": "unknown", "reasons": ["ingest-shadow: the consumer is missing, or not bound yet"]});
        assert_eq!((status, body), (StatusCode::SERVICE_UNAVAILABLE, expected));
        node.server.stop(false).await;
    }

    #[actix_rt::test]
    async fn an_address_in_use_is_an_error_that_names_the_setting() {
        let node = serve();
        let config = Config { bind: node.address };
        let error = start(&config, Readiness::new(), Metrics::new(), Stats::new()).err().unwrap();
        let expected = format!("HTTP_BIND {} can't be listened on: ", node.address);
        assert!(error.to_string().starts_with(&expected), "{error}");
        assert_eq!(node.get("/nowhere", "*/*").await.0, StatusCode::NOT_FOUND);
        node.server.stop(false).await;
    }
}
