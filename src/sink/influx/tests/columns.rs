//! Columns: tables that are full of them, what one tenant may make of them, types, and databases that are made again.

use std::collections::BTreeSet;

use actix_web::HttpResponse;
use ingest_kit::{InfluxStub, Point, Value, wait_for};
use serde_json::json;

use super::super::{Api, Config};
use super::harness::{DEADLINE, Harness, database, line, quick, server};
use crate::metrics::LineResult;
use crate::sink::influx::config::with;
use ingest_core::influx::line_protocol::Skipped;
use ingest_core::influx::point::Layout;

const ACME: &str = "telemetry_acme";

/// Settings under which what is left out is tried again soon.
fn impatient(url: &str) -> Config {
    with(quick(url), |config| config.columns.column_retry_secs = 1)
}

fn skipped(harness: &Harness, why: Skipped) -> u64 {
    harness.metrics.influx.fields_skipped.of(why).get()
}

/// The names of the metrics that have columns.
fn columns(stub: &InfluxStub, database: &str) -> BTreeSet<String> {
    let own = ["time", "device_id", "site_id", "tenant_id", "seq"];
    stub.columns(database, "telemetry").into_iter().filter(|name| !own.contains(&name.as_str())).collect()
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(ToString::to_string).collect()
}

fn fields(point: &Point) -> BTreeSet<&str> {
    point.fields.iter().map(|(name, _)| name.as_str()).collect()
}

/// A server whose table has the columns `a` and `b`, and no room for more.
async fn full(speaks_sql: bool) -> InfluxStub {
    let stub = InfluxStub::start();
    stub.set_answers_queries(speaks_sql);
    let harness = Harness::new(quick(&stub.url()));
    harness.send("acme", [line(0, "a=1.5,b=1i")]);
    harness.wait_for(LineResult::Ok, 1).await;
    stub.set_column_limit(5);
    stub
}

#[actix_rt::test]
async fn a_full_table_costs_a_point_only_the_columns_that_are_not_there() {
    for (speaks_sql, api) in [(true, Api::V3), (false, Api::V3), (true, Api::V2), (false, Api::V2)] {
        let stub = full(speaks_sql).await;
        let before = stub.counts().requests;
        // A node that knows nothing yet: each of its points brings a column too many.
        let harness = Harness::new(with(quick(&stub.url()), |config| config.target.api = api));
        harness.send("acme", (1..=400).map(|number| line(number, &format!("a=2.5,n{}=1i,b=3i", number % 40))));
        harness.wait_for(LineResult::Ok, 400).await;
        let points = stub.points(ACME);
        assert_eq!(points.len(), 401);
        for point in &points {
            assert_eq!(fields(point), BTreeSet::from(["seq", "a", "b"]), "{point:?}");
        }
        assert_eq!((columns(&stub, ACME), harness.refused()), (names(&["a", "b"]), Vec::new()));
        assert_eq!(skipped(&harness, Skipped::ColumnsFull), 400);
        let requests = stub.counts().requests - before;
        // Without named lines the trials are halved down to the forty that are refused.
        let bound = if api == Api::V3 { 5 } else { 100 };
        assert!(requests <= bound, "{requests} requests by {api:?}");
        assert_eq!(harness.metrics.influx.unconfirmed_lines.get(), 0);
    }
}

#[actix_rt::test]
async fn a_batch_with_more_new_names_than_are_tried_at_once_costs_no_point_either() {
    let stub = full(false).await;
    let harness = Harness::new(quick(&stub.url()));
    let wide = |number: u64| {
        let invented: String = (0..50).map(|name| format!(",n{number}_{name}=1i")).collect();
        line(number, &format!("a=2.5{invented}"))
    };
    // All in one batch: 5,000 names, of which only a part is tried with the first refusal.
    harness.send("acme", (1..=100).map(wide));
    harness.wait_for(LineResult::Ok, 100).await;
    assert_eq!((stub.points(ACME).len(), columns(&stub, ACME)), (101, names(&["a", "b"])));
    assert_eq!((harness.refused(), harness.metrics.influx.lines.of(LineResult::Deferred).get()), (Vec::new(), 0));
    assert_eq!(harness.metrics.influx.unconfirmed_lines.get(), 0);
}

#[actix_rt::test]
async fn a_full_family_of_fields_closes_nothing_but_itself() {
    let stub = InfluxStub::start();
    stub.set_family_limit(2);
    let harness = Harness::new(quick(&stub.url()));
    harness.send("acme", (0..50).map(|number| line(number, &format!("plc1::x{number}=1.5,temp=2.5,plc2::y=1i"))));
    harness.wait_for(LineResult::Ok, 50).await;
    let there = columns(&stub, ACME);
    assert_eq!(there.iter().filter(|name| name.starts_with("plc1::")).count(), 2);
    assert!(stub.points(ACME).iter().all(|point| point.field("temp").is_some() && point.field("plc2::y").is_some()));
    assert_eq!((skipped(&harness, Skipped::ColumnsFull), harness.refused()), (48, Vec::new()));
}

#[actix_rt::test]
async fn when_there_is_room_again_what_was_left_out_is_written_again() {
    let stub = full(true).await;
    let harness = Harness::new(impatient(&stub.url()));
    harness.send("acme", [line(1, "a=2.5,late=1i")]);
    harness.wait_for(LineResult::Ok, 1).await;
    assert_eq!(columns(&stub, ACME), names(&["a", "b"]));
    stub.set_column_limit(6);
    let mut number = 1;
    wait_for("the column", DEADLINE, async || {
        number += 1;
        harness.send("acme", [line(number, "a=2.5,late=1i")]);
        columns(&stub, ACME).contains("late")
    })
    .await;
    harness.wait_for(LineResult::Ok, number).await;
    harness.send("acme", [line(number + 1, "late=7i")]);
    harness.wait_for(LineResult::Ok, number + 1).await;
    assert!(stub.points(ACME).iter().any(|point| point.field("late") == Some(&Value::Integer(7))));
}

#[actix_rt::test]
async fn a_table_without_room_for_the_tags_leaves_points_owed_and_is_not_asked_without_end() {
    let stub = InfluxStub::start();
    stub.define_field(ACME, "telemetry", "other", &Value::Float(0.0));
    stub.set_column_limit(1);
    let harness = Harness::new(quick(&stub.url()));
    harness.send("acme", (0..20).map(|number| line(number, "a=1.5,other=2.5")));
    harness.wait_for(LineResult::Deferred, 20).await;
    assert!(stub.counts().requests < 20, "{:?}", stub.counts());
    assert_eq!(harness.refused(), []);
}

/// Takes no line with the field `bad` for want of a column, and breaks at a line that has no other.
fn breaks_when_asked_alone(body: &str) -> HttpResponse {
    let is_alone = |line: &str| line.contains(",bad=") && !line.contains(",v=");
    if body.lines().any(is_alone) {
        return HttpResponse::InternalServerError().body("internal error");
    }
    let refused: Vec<_> = (1..)
        .zip(body.lines())
        .filter(|(_, line)| line.contains(",bad="))
        .map(|(number, _)| json!({"line_number": number, "error_message": "Update to schema would exceed a limit"}))
        .collect();
    if refused.is_empty() {
        return HttpResponse::NoContent().finish();
    }
    HttpResponse::UnprocessableEntity()
        .json(json!({"error": "partial write of line protocol occurred", "data": refused}))
}

#[actix_rt::test]
async fn a_field_that_breaks_the_server_when_it_is_tried_is_left_out_and_holds_up_nothing() {
    let (url, _) = server(breaks_when_asked_alone);
    let harness = Harness::new(quick(&url));
    harness.send("acme", (0..20).map(|number| line(number, if number == 5 { "bad=1,v=1" } else { "v=1" })));
    harness.wait_for(LineResult::Ok, 20).await;
    assert_eq!((skipped(&harness, Skipped::ColumnsFull), harness.refused()), (1, Vec::new()), "`v` has a column");
}

#[actix_rt::test]
async fn a_tenant_makes_only_so_many_columns_also_after_a_restart() {
    for speaks_sql in [true, false] {
        let stub = InfluxStub::start();
        stub.set_answers_queries(speaks_sql);
        let config = with(quick(&stub.url()), |config| config.columns.max_fields_per_tenant = 3);
        let harness = Harness::new(config.clone());
        harness.send("acme", (0..10).map(|number| line(number, &format!("a=1.5,n{number}=1i,b=2.5"))));
        harness.send("acme", [line(10, "c=1.5,a=2i")]);
        harness.wait_for(LineResult::Ok, 11).await;
        assert_eq!(columns(&stub, ACME), names(&["a", "n0", "b"]));
        assert_eq!((skipped(&harness, Skipped::FieldBudget), harness.refused()), (10, Vec::new()));
        assert!(stub.points(ACME).iter().all(|point| point.field("seq").is_some()));

        let harness = Harness::new(config);
        harness.send("acme", (20..30).map(|number| line(number, &format!("z{number}=1i,b=2.5"))));
        harness.wait_for(LineResult::Ok, 10).await;
        let most = if speaks_sql { 3 } else { 5 };
        assert!(columns(&stub, ACME).len() <= most, "{:?}", columns(&stub, ACME));
        assert!(
            stub.points(ACME).iter().filter(|point| point.field("b").is_some()).count()
                >= if speaks_sql { 20 } else { 10 }
        );
    }
}

#[actix_rt::test]
async fn tenants_that_share_a_database_have_a_budget_each_and_use_each_others_columns_freely() {
    let stub = InfluxStub::start();
    let config = with(quick(&stub.url()), |config| {
        config.columns.max_fields_per_tenant = 2;
        config.target.database_layout = Layout::Shared;
    });
    let harness = Harness::new(config);
    let shared = |tenant: &str, number: u64, fields: &str| {
        line(number, fields).replacen(",site_id=s", &format!(",site_id=s,tenant_id={tenant}"), 1)
    };
    harness.send("evil", (0..20).map(|number| shared("evil", number, &format!("e{number}=1i"))));
    harness.wait_for(LineResult::Ok, 20).await;
    assert_eq!(columns(&stub, "telemetry"), names(&["e0", "e1"]));
    harness.send("acme", [shared("acme", 1, "e0=1i,x=1i,e1=1i,y=1i,z=1i")]);
    harness.wait_for(LineResult::Ok, 21).await;
    assert_eq!(columns(&stub, "telemetry"), names(&["e0", "e1", "x", "y"]));
    assert_eq!(skipped(&harness, Skipped::FieldBudget), 19);
}

#[actix_rt::test]
async fn a_type_conflict_that_names_no_table_is_coerced_for_all_batches_at_once() {
    let stub = InfluxStub::start();
    let harness = Harness::new(with(quick(&stub.url()), |config| {
        config.target.api = Api::V2;
        config.batch.batch_size = 100;
    }));
    let mixed = |number: u64| line(number, if number.is_multiple_of(2) { "x=1.5" } else { "x=1i" });
    harness.send("acme", (0..4_000).map(mixed));
    harness.wait_for(LineResult::Ok, 4_000).await;
    assert_eq!((stub.point_count(ACME), harness.refused()), (4_000, Vec::new()));
    // Forty batches, all of them under way when the first conflict is told.
    let requests = stub.counts().requests;
    assert!(requests <= 80, "{requests} requests");
    let floats = stub.points(ACME).iter().filter(|point| matches!(point.field("x"), Some(Value::Float(_)))).count();
    assert_eq!(floats, 4_000, "integers are written as the floats that they mean");
}

#[actix_rt::test]
async fn learned_types_do_not_outlive_a_database() {
    let stub = InfluxStub::start();
    let harness = Harness::new(impatient(&stub.url()));
    harness.send("acme", [line(0, "x=1i,y=1.5")]);
    harness.wait_for(LineResult::Ok, 1).await;
    harness.send("acme", [line(1, "x=1.5,y=2i")]);
    harness.wait_for(LineResult::Ok, 2).await;
    assert_eq!(skipped(&harness, Skipped::TypeConflict), 1);
    assert!(stub.drop_database(&database("acme")));
    let mut number = 1;
    wait_for("the column in its new type", DEADLINE, async || {
        number += 1;
        harness.send("acme", [line(number, "x=2.5")]);
        stub.points(ACME).iter().any(|point| matches!(point.field("x"), Some(Value::Float(_))))
    })
    .await;
    harness.wait_for(LineResult::Ok, number + 1).await;
    harness.send("acme", [line(number + 1, "x=7.5,y=3i")]);
    harness.wait_for(LineResult::Ok, number + 2).await;
    assert!(stub.points(ACME).iter().any(|point| point.field("x") == Some(&Value::Float(7.5))));
}
