//! The routes of the tenants whose devices are in use: read once, shared by all who hold them.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use sha2::{Digest, Sha256};
use slog::{Logger, warn};
use tokio_postgres::{Error, Row};

use crate::runtime::readiness::Readiness;
use ingest_core::routes::route::{self, Route, TenantRoutes};

/// Most bytes of a tenant's routes that are read: the filters and configurations of a thousand ordinary ones are far less.
const MOST_BYTES: usize = 4 << 20;
/// Tenants whose routes nobody holds any more are swept out when there are this many, or twice as many as after the last
/// sweep.
const SWEEP_FROM: usize = 1_024;

/// The rows of one tenant, as read.
#[derive(Debug)]
pub(super) struct RouteRows {
    /// Whose.
    pub tenant: Arc<str>,
    /// `id, topic_filter, destination_type, destination_config, payload_filter` after a first column, in order of `id`.
    pub rows: Vec<Row>,
    /// Why they can't be read at all.
    pub refused: Option<String>,
}

impl RouteRows {
    /// None so far.
    pub(super) fn of(tenant: Arc<str>) -> Self {
        Self { tenant, rows: Vec::new(), refused: None }
    }

    /// None, for they can't be read.
    pub(super) fn unreadable(tenant: Arc<str>, why: String) -> Self {
        Self { tenant, rows: Vec::new(), refused: Some(why) }
    }
}

/// Makes routes of rows, the same rows only once: every look-up reads the rows of its tenants again, and thousands of
/// devices hold what came of them.
pub(super) struct RouteBook {
    in_use: HashMap<Arc<str>, (Fingerprint, Weak<[Route]>)>,
    sweep_at: usize,
    /// `registry.max_routes_per_tenant`.
    most: usize,
    readiness: Arc<Readiness>,
    log: Logger,
}

type Fingerprint = [u8; 32];

impl RouteBook {
    /// An empty book.
    pub(super) fn new(most: usize, readiness: Arc<Readiness>, log: Logger) -> Self {
        Self { in_use: HashMap::new(), sweep_at: SWEEP_FROM, most, readiness, log }
    }

    /// The routes that rows make. What is wrong with them is said once, as long as they stay the same and in use.
    pub(super) fn routes(&mut self, rows: &RouteRows) -> TenantRoutes {
        if rows.rows.is_empty() && rows.refused.is_none() {
            if self.in_use.remove(&rows.tenant).is_some() {
                self.readiness.clear_message(&subject(rows));
            }
            return TenantRoutes::default();
        }
        let fingerprint = fingerprint(rows);
        let known = self.in_use.get(&rows.tenant).filter(|(known, _)| *known == fingerprint);
        if let Some(routes) = known.and_then(|(_, routes)| routes.upgrade()) {
            return routes;
        }
        let is_new = known.is_none();
        let routes = self.read(rows, is_new);
        self.in_use.insert(rows.tenant.clone(), (fingerprint, Arc::downgrade(&routes)));
        self.sweep();
        routes
    }

    fn read(&self, rows: &RouteRows, is_new: bool) -> TenantRoutes {
        let tenant = &*rows.tenant;
        let (mut routes, mut bytes) = (Vec::new(), 0_usize);
        for row in rows.rows.iter().take(self.most) {
            bytes = bytes.saturating_add(texts(row).map(str::len).sum());
            if bytes > MOST_BYTES {
                break;
            }
            match route_of(row) {
                Ok(route) => routes.push(Some(route)),
                Err((id, why)) => {
                    if is_new {
                        warn!(self.log, "route ignored"; "tenant" => tenant, "route" => id, "why" => why);
                    }
                    routes.push(None);
                }
            }
        }
        let is_cut = routes.len() < rows.rows.len();
        self.report(rows, routes.len(), is_cut, is_new);
        routes.into_iter().flatten().collect()
    }

    fn report(&self, rows: &RouteRows, read: usize, is_cut: bool, is_new: bool) {
        let remark = match &rows.refused {
            Some(why) => format!("not read: {why}"),
            None if is_cut => format!("only the first {read} are in force (registry.max_routes_per_tenant, 4 MiB)"),
            None => return self.readiness.clear_message(&subject(rows)),
        };
        if is_new {
            warn!(self.log, "routes are left out"; "tenant" => &*rows.tenant, "why" => &remark);
        }
        self.readiness.set_message(subject(rows), remark);
    }

    fn sweep(&mut self) {
        if self.in_use.len() >= self.sweep_at {
            self.in_use.retain(|_, (_, routes)| routes.strong_count() > 0);
            self.sweep_at = SWEEP_FROM.max(2 * self.in_use.len());
        }
    }
}

fn subject(rows: &RouteRows) -> String {
    format!("routes of {}", rows.tenant)
}

/// Two equal ones stand for the same routes.
fn fingerprint(rows: &RouteRows) -> Fingerprint {
    let mut hash = Sha256::new();
    for text in rows.rows.iter().flat_map(texts).chain(rows.refused.as_deref()) {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    }
    hash.finalize().into()
}

fn texts(row: &Row) -> impl Iterator<Item = &str> {
    (1..row.len()).map(|column| row.try_get::<_, Option<&str>>(column).ok().flatten().unwrap_or_default())
}

/// A row as a route, or its id and why it makes none.
fn route_of(row: &Row) -> Result<Route, (String, String)> {
    let text = |column| row.try_get::<_, Option<&str>>(column);
    let columns = || -> Result<route::Row<'_>, Error> {
        Ok(route::Row {
            id: text(1)?.unwrap_or_default(),
            topic_filter: text(2)?.unwrap_or_default(),
            destination_type: text(3)?.unwrap_or_default(),
            destination_config: text(4)?,
            payload_filter: text(5)?,
        })
    };
    let id = || text(1).ok().flatten().unwrap_or_default().to_owned();
    let columns = columns().map_err(|error| (id(), error.to_string()))?;
    Route::from_row(columns).map_err(|bad| (bad.id, bad.why))
}
