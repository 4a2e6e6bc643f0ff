//! What the unit tests of this component share.

use std::time::Instant;

use actix::prelude::*;
use bytes::Bytes;

use super::message::RouteMessage;
use crate::delivery::{Delivery, Origin, SettleHandle};
use crate::message::{RouteJobs, Settle};
use ingest_core::routes::route::{Matched, Route, Row, TenantRoutes};

struct Deaf;

impl Actor for Deaf {
    type Context = Context<Self>;
}

impl Handler<Settle> for Deaf {
    type Result = ();

    fn handle(&mut self, _: Settle, _: &mut Self::Context) {}
}

/// A route message that came now, with a job for each of these routes.
pub(super) fn route_message(tenant_id: &str, stream_seq: u64, route_ids: &[&str]) -> RouteMessage {
    let row =
        Row { id: "", topic_filter: "#", destination_type: "webhook", destination_config: None, payload_filter: None };
    let routes: TenantRoutes = route_ids.iter().map(|id| Route::from_row(Row { id, ..row }).unwrap()).collect();
    let (topic, payload) = ("tenant/acme/device/d1/telemetry", "{}");
    let origin = Origin { stream: "TELEMETRY".into(), stream_seq, received_us: 1_795_219_200_123_456 };
    let settle_handle = SettleHandle::new(Deaf.start().recipient());
    let guard = Delivery::new(origin.clone(), 1, Bytes::new(), 0, settle_handle).into_guard();
    let routes = Matched::of(&routes, topic, payload).unwrap();
    let jobs =
        RouteJobs { tenant_id: tenant_id.into(), origin, topic: topic.into(), payload: payload.into(), routes, guard };
    RouteMessage { jobs, since: Instant::now() }
}
