//! A router with stand-ins for everything around it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use bytes::Bytes;
use ingest_kit::wait_for;
use parking_lot::Mutex;

use super::super::{Backend, Config, Parts, Router};
use crate::delivery::pending_ack::{Outbox, PendingAck};
use crate::delivery::{Delivery, Origin, SettleHandle};
use crate::message::{Point, Points, QuarantinePoints, Settle};
use crate::metrics::{LineResult, Metrics};
use crate::runtime::actor_guard::Heartbeat;
use crate::runtime::readiness::Readiness;
use crate::runtime::secret::Secret;
use crate::runtime::spawn::SpawnContext;
use crate::runtime::stats::Stats;
use crate::sink::influx::batcher::Batcher;
use crate::sink::influx::config::with;
use crate::sink::influx::files::Disk;
use ingest_core::flow::disposition::Verdict;

/// Long enough for anything that works, also on a busy machine; nothing that works waits for it.
pub(super) const DEADLINE: Duration = Duration::from_secs(30);

/// A router and everything around it.
pub(super) struct Harness {
    pub router: Addr<Router>,
    pub metrics: Arc<Metrics>,
    stats: Arc<Stats>,
    pub readiness: Arc<Readiness>,
    pub heartbeat: Arc<Heartbeat>,
    settle_handle: Arc<SettleHandle>,
    ends: Ends,
}

/// What became of deliveries and of refused points.
#[derive(Clone, Default)]
struct Ends {
    verdicts: Arc<Mutex<BTreeMap<u64, Verdict>>>,
    refused: Arc<Mutex<Vec<(String, String)>>>,
}

/// Stands for the consumer and for the writer.
struct Outside(Ends);

impl Actor for Outside {
    type Context = Context<Self>;
}

impl Handler<Settle> for Outside {
    type Result = ();

    fn handle(&mut self, message: Settle, _: &mut Context<Self>) {
        let mut verdicts = self.0.verdicts.lock();
        for settled in message.settled {
            assert!(verdicts.insert(settled.slot, settled.verdict).is_none(), "{} ended twice", settled.slot);
        }
    }
}

impl Handler<QuarantinePoints> for Outside {
    type Result = ();

    fn handle(&mut self, message: QuarantinePoints, _: &mut Context<Self>) {
        let points = message.points.into_iter().map(|point| (point.line, point.message));
        self.0.refused.lock().extend(points);
    }
}

/// Lets a batcher crash.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Crash;

impl Handler<Crash> for Batcher {
    type Result = ();

    fn handle(&mut self, _: Crash, _: &mut Context<Self>) {
        panic!("ordered by a test");
    }
}

/// Asks a router for a tenant's batcher.
#[derive(Message)]
#[rtype(result = "Option<Addr<Batcher>>")]
pub(in crate::sink::influx) struct Find(pub &'static str);

impl Handler<Find> for Router {
    type Result = Option<Addr<Batcher>>;

    fn handle(&mut self, Find(tenant_id): Find, _: &mut Context<Self>) -> Self::Result {
        self.known_batcher(tenant_id)
    }
}

/// Settings under which tests need not wait long for anything.
pub(super) fn quick(url: &str) -> Config {
    with(Config::default(), |config| {
        config.target.url = Some(url.to_owned());
        config.target.token = Secret::new("apiv3_test");
        config.batch.flush_interval_ms = 10;
        config.retry.retry_delay_ms = 10;
        config.retry.retry_delay_max_ms = 50;
        config.retry.breaker_failures = 3;
    })
}

impl Harness {
    pub(super) fn new(config: Config) -> Self {
        let backend = Backend::new(&config).unwrap();
        Self::before(backend, config)
    }

    /// A router whose files lie on this disk.
    pub(super) fn on_disk(config: Config, disk: Arc<dyn Disk>) -> Self {
        let mut backend = Backend::new(&config).unwrap();
        backend.disk = disk;
        Self::before(backend, config)
    }

    fn before(backend: Backend, config: Config) -> Self {
        let (stats, heartbeat) = (Stats::new(), Arc::<Heartbeat>::default());
        let (spawn, _) = SpawnContext::detached("router", heartbeat.clone());
        let (metrics, readiness) = (spawn.metrics.clone(), spawn.readiness.clone());
        let ends = Ends::default();
        let outside = Outside(ends.clone()).start();
        let quarantine = outside.clone().recipient();
        let router = Router::new(Parts { spawn, backend, quarantine, config, stats: stats.clone() }).start();
        let settle_handle = SettleHandle::new(outside.recipient());
        Self { router, metrics, stats, readiness, heartbeat, settle_handle, ends }
    }

    /// Best-effort lines.
    pub(super) fn send(&self, tenant_id: &str, lines: impl IntoIterator<Item = String>) {
        let points = lines
            .into_iter()
            .map(|line| Point { line, origin: origin(0), guard: None, owed: PendingAck::default() })
            .collect();
        self.router.do_send(Points { tenant_id: tenant_id.into(), points });
    }

    /// Lines that are replayed.
    pub(super) fn replay(&self, tenant_id: &str, lines: impl IntoIterator<Item = String>) {
        let (outbox, _) = Outbox::new();
        let owed = outbox.claim(vec![1], tenant_id.into());
        let point = |line| Point { line, origin: origin(0), guard: None, owed: owed.clone_ref() };
        self.router.do_send(Points { tenant_id: tenant_id.into(), points: lines.into_iter().map(point).collect() });
    }

    /// Lines that deliveries wait for, numbered from `first`.
    pub(super) fn send_required(&self, tenant_id: &str, first: u64, lines: impl IntoIterator<Item = String>) {
        let points = lines.into_iter().zip(first..).map(|(line, slot)| {
            let delivery = Delivery::new(origin(slot), 1, Bytes::new(), slot, self.settle_handle.clone());
            Point { line, origin: origin(slot), guard: Some(delivery.into_guard()), owed: PendingAck::default() }
        });
        self.router.do_send(Points { tenant_id: tenant_id.into(), points: points.collect() });
    }

    pub(super) fn count(&self, result: LineResult) -> u64 {
        self.metrics.influx.lines.of(result).get()
    }

    pub(super) async fn wait_for(&self, result: LineResult, lines: u64) {
        wait_for(&format!("{lines} lines {result:?}"), DEADLINE, async || self.count(result) == lines).await;
        assert_eq!(self.count(result), lines);
    }

    pub(super) async fn wait_for_verdicts(&self, verdict: Verdict, deliveries: usize) {
        wait_for(&format!("{deliveries} deliveries {verdict:?}"), DEADLINE, async || {
            self.verdicts().iter().filter(|other| **other == verdict).count() == deliveries
        })
        .await;
    }

    pub(super) fn verdicts(&self) -> Vec<Verdict> {
        self.ends.verdicts.lock().values().copied().collect()
    }

    pub(super) fn refused(&self) -> Vec<(String, String)> {
        self.ends.refused.lock().clone()
    }

    /// What `/stats` says of a tenant.
    pub(super) fn tenant(&self, tenant_id: &str) -> serde_json::Value {
        let stats = self.stats.collect();
        let mut tenants = stats["influx"]["tenants"].as_array().unwrap().iter();
        tenants.find(|tenant| tenant["tenant_id"] == tenant_id).cloned().unwrap_or_default()
    }

    pub(super) fn last_error(&self, tenant_id: &str) -> String {
        self.tenant(tenant_id)["last_error"].as_str().unwrap_or_default().to_owned()
    }
}

fn origin(stream_seq: u64) -> Origin {
    Origin { stream: "TELEMETRY".into(), stream_seq, received_us: 1_795_219_200_000_000 }
}

pub(super) fn line(number: u64, fields: &str) -> String {
    format!("telemetry,device_id=d{number},site_id=s seq={number}i,{fields} 1795219200123000000")
}

pub(super) fn lines(count: u64) -> impl Iterator<Item = String> {
    (0..count).map(|number| line(number, "v=1.5"))
}

pub(super) fn database(tenant_id: &str) -> String {
    format!("telemetry_{tenant_id}")
}

/// A server that fails at one line and takes all others, and counts the requests it took.
pub(super) fn picky_server() -> (String, Arc<Mutex<u64>>) {
    server(|body| {
        if body.contains("bad") {
            return HttpResponse::InternalServerError().body("internal error");
        }
        HttpResponse::NoContent().finish()
    })
}

/// A server that answers writes so, and counts those it took.
pub(super) fn server(answer: fn(&str) -> HttpResponse) -> (String, Arc<Mutex<u64>>) {
    let taken = Arc::<Mutex<u64>>::default();
    let count = web::Data::from(taken.clone());
    let server = HttpServer::new(move || {
        let take = move |request: HttpRequest, body: String, taken: web::Data<Mutex<u64>>| async move {
            if !request.path().ends_with("write_lp") {
                return HttpResponse::NotFound().finish();
            }
            let answer = answer(&body);
            *taken.lock() += u64::from(answer.status() == 204);
            answer
        };
        App::new().app_data(count.clone()).default_service(web::to(take))
    });
    let server = server.workers(1).disable_signals().bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}", server.addrs()[0]);
    actix_rt::spawn(server.run());
    (url, taken)
}
