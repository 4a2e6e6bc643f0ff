//! The stand-in against what was recorded from the real server.

use std::io::Write;

use serde_json::Value as Json;

use super::*;
use crate::http::{Response, get, post};

async fn write(stub: &InfluxStub, query: &str, body: &str) -> Response {
    post(&stub.address(), &format!("/api/v3/write_lp?{query}"), &[], body.as_bytes()).await.unwrap()
}

fn json(response: &Response) -> Json {
    serde_json::from_str(&response.body).unwrap()
}

#[tokio::test]
async fn good_lines_are_points_and_the_last_value_of_a_field_wins() {
    let stub = InfluxStub::start();
    let body = "t,d=a,s=x a=1,b=2i 1000\nt,s=x,d=a b=3i,c=true 1000\nt,d=b,s=x a=1 1000";
    assert_eq!(write(&stub, "db=d1&precision=ns&no_sync=false&accept_partial=true", body).await.status, 204);
    let points = stub.points("d1");
    assert_eq!(points.len(), 2);
    let merged = points.iter().find(|point| point.tags["d"] == "a").unwrap();
    assert_eq!(merged.fields.len(), 3);
    assert_eq!(merged.field("b"), Some(&Value::Integer(3)));
    assert_eq!(stub.counts(), Counts { requests: 1, lines_written: 3, ..Default::default() });
}

#[tokio::test]
async fn a_partial_write_keeps_the_good_lines_and_names_the_bad_ones() {
    let stub = InfluxStub::start();
    let body = "t,d=dev1 v=1 17\nbad line here\nt,d=dev2 v=2 17\nt,d=dev3 v= 17\nt,d=dev4 v=4 17";
    let answer = write(&stub, "db=d1&precision=ns", body).await;
    assert_eq!(answer.status, 400);
    assert_eq!(
        answer.body,
        r#"{"data":[{"error_message":"No fields were provided","line_number":2,"original_line":"bad line here"},{"error_message":"No fields were provided","line_number":4,"original_line":"t,d=dev3 v= 17"}],"error":"partial write of line protocol occurred"}"#
    );
    assert_eq!(stub.point_count("d1"), 3);

    let answer = write(&stub, "db=d2&accept_partial=false", body).await;
    assert_eq!(answer.status, 400);
    assert_eq!(json(&answer)["error"], "line protocol parsing error");
    assert_eq!(json(&answer)["data"]["line_number"], 2);
    assert_eq!(stub.databases(), ["d1"]);
}

#[tokio::test]
async fn the_first_writer_fixes_a_columns_type_even_with_a_refused_line() {
    let stub = InfluxStub::start();
    assert_eq!(write(&stub, "db=d", "t,d=a v=1 17").await.status, 204);
    let answer = write(&stub, "db=d", "t,d=b n=1,v=5i 17\nt,d=c v=2 17").await;
    assert_eq!(answer.status, 400);
    assert_eq!(
        json(&answer)["data"][0]["error_message"],
        "invalid column type for column 'v', expected iox::column_type::field::float, got iox::column_type::field::integer"
    );
    assert_eq!(stub.point_count("d"), 2);
    // `n` was created by the refused line.
    let answer = write(&stub, "db=d", "t,d=b n=1i 17").await;
    assert!(answer.body.contains("expected iox::column_type::field::float"), "{}", answer.body);

    for (line, message_text) in [
        ("x,zz=a zz=1 1", "column 'zz', expected iox::column_type::tag, got iox::column_type::field::float"),
        ("x time=1 1", "column 'time', expected iox::column_type::timestamp, got iox::column_type::field::float"),
        ("ghost v=1,v=2 1", "invalid line protocol - multiple instances of 'v' field found"),
        ("x v=1 17x", "Found trailing content: `x`"),
        ("x v=1 17\r", "Found trailing content: `\r`"),
        ("x v=NaN 17", "No fields were provided"),
        (",d=a v=1 17", "Invalid measurement was provided"),
    ] {
        let answer = write(&stub, "db=d&precision=ns", line).await;
        assert_eq!(answer.status, 400, "{line}");
        let message = json(&answer)["data"][0]["error_message"].as_str().unwrap().to_owned();
        assert!(message.contains(message_text), "{line}: {message}");
    }
}

#[tokio::test]
async fn series_may_have_types_of_their_own_where_a_test_wants_it() {
    let stub = InfluxStub::builder().type_scope(TypeScope::Series).start();
    assert_eq!(write(&stub, "db=d", "t,d=a v=1 17\nt,d=b v=1i 17").await.status, 204);
    assert_eq!(write(&stub, "db=d", "t,d=a v=1i 18").await.status, 400);
}

#[tokio::test]
async fn escapes_are_read_as_the_server_reads_them() {
    for (written, stored) in [
        (r"a\ b", "a b"),
        (r"a\,b", "a,b"),
        (r"a\=b", "a=b"),
        ("a=b", "a=b"),
        (r"a\b", r"a\b"),
        (r"a\\b", r"a\b"),
        (r"a\\\b", r"a\\b"),
        ("\"q\"#\u{1F600}", "\"q\"#\u{1F600}"),
    ] {
        let point = parse_line(&format!("t,d={written} v=1 1")).unwrap();
        assert_eq!(point.tags["d"], stored, "{written}");
    }
    assert!(parse_line(r"t,d=a\\ v=1 1").unwrap_err().contains("may not end with a backslash"));
}

#[tokio::test]
async fn a_repeated_tag_key_is_taken_and_counted_as_poison() {
    let stub = InfluxStub::start();
    assert_eq!(write(&stub, "db=d", "x,d=a,d=b v=2 17").await.status, 204);
    assert_eq!(stub.counts().poison_lines, 1);
}

#[tokio::test]
async fn timestamps_are_scaled_guessed_or_made_up() {
    let stub = InfluxStub::start();
    for (precision, timestamp, nanoseconds) in [
        ("s", "17", 17_000_000_000),
        ("ms", "17", 17_000_000),
        ("us", "17", 17_000),
        ("ns", "-17", -17),
        ("auto", "4999999999", 4_999_999_999_000_000_000),
        ("auto", "5000000000", 5_000_000_000_000_000),
        ("auto", "1700000000000000000", 1_700_000_000_000_000_000),
    ] {
        let database = format!("d{timestamp}{precision}").replace('-', "");
        let answer = write(&stub, &format!("db={database}&precision={precision}"), &format!("t v=1 {timestamp}")).await;
        assert_eq!(answer.status, 204);
        assert_eq!(stub.points(&database)[0].time_ns, nanoseconds, "{precision} {timestamp}");
    }
    let answer = write(&stub, "db=d&precision=s", "t v=1 1700000000123").await;
    assert!(answer.body.contains("timestamp, 1700000000123, out of range for precision: Second"), "{}", answer.body);
    assert_eq!(write(&stub, "db=d", "t v=1").await.status, 204);
    assert_eq!(stub.counts().untimed_lines, 1);
}

#[tokio::test]
async fn parameters_names_and_limits_are_checked_with_the_servers_messages() {
    let stub = InfluxStub::builder().database_limit(2).start();
    for (query, body, status, message_text) in [
        ("x=1", "t v=1 1", 400, "serde error: missing field `db`"),
        ("db=a&db=b", "t v=1 1", 400, "serde error: duplicate field `db`"),
        ("db=", "t v=1 1", 400, r#"{"error":"db name cannot be empty"}"#),
        ("db=a&precision=seconds", "t v=1 1", 400, "serde error: unknown variant `seconds`"),
        ("db=a&no_sync=1", "t v=1 1", 400, "serde error: provided string was not `true` or `false`"),
        ("db=a%20b", "t v=1 1", 400, "invalid character in database or rp name"),
        ("db=a", " \n#c\n", 400, "incoming write was empty"),
        ("db=b", "t v=1 1", 204, ""),
        ("db=c", "t v=1 1", 422, r#"{"error":"Adding a new database would exceed limit of 2 databases"}"#),
    ] {
        let answer = write(&stub, query, body).await;
        assert_eq!(answer.status, status, "{query}: {}", answer.body);
        assert!(answer.body.contains(message_text), "{query}: {}", answer.body);
    }
    // The empty body has created its database.
    assert_eq!(stub.databases(), ["a", "b"]);
    let fields: Vec<String> = (0..501).map(|n| format!("f{n}=1")).collect();
    let answer = write(&stub, "db=a", &format!("wide {} 1\nwide f0=1 2", fields.join(","))).await;
    assert_eq!(answer.status, 422);
    assert!(answer.body.contains("would exceed number of columns per table limit of 500 columns"), "{}", answer.body);
    assert_eq!(stub.point_count("a"), 1);
}

#[tokio::test]
async fn bodies_may_be_packed_but_not_too_large() {
    let stub = InfluxStub::start();
    let packed = |text: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    };
    let send = async |headers: &[&str], body: &[u8]| {
        post(&stub.address(), "/api/v3/write_lp?db=d", headers, body).await.unwrap()
    };
    assert_eq!(send(&["Content-Encoding: gzip"], &packed(b"t v=1 1")).await.status, 204);
    assert_eq!(send(&["Content-Encoding: gzip"], b"t v=1 1").await.status, 400);
    let answer = send(&["Content-Encoding: zstd"], b"t v=1 1").await;
    assert_eq!((answer.status, answer.body.as_str()), (400, "unacceptable content-encoding: zstd"));
    let large = vec![b' '; 10 * 1024 * 1024 + 1];
    let answer = send(&[], &large).await;
    assert_eq!((answer.status, answer.body.as_str()), (413, "max request size (10485760 bytes) exceeded"));
    assert_eq!(send(&["Content-Encoding: gzip"], &packed(&large)).await.status, 413);
    assert_eq!(send(&[], b"t v=\xff 1").await.status, 400);
    assert_eq!(stub.total_points(), 1);
}

#[tokio::test]
async fn a_token_guards_everything() {
    let stub = InfluxStub::builder().token("apiv3_x").start();
    let send = async |header: &str| {
        post(&stub.address(), "/api/v3/write_lp?db=d", &[header], b"t v=1 1").await.unwrap().status
    };
    assert_eq!(send("X: y").await, 401);
    assert_eq!(send("Authorization: Bearer other").await, 401);
    assert_eq!(send("Authorization: bearer apiv3_x").await, 400);
    assert_eq!(send("Authorization: apiv3_x").await, 400);
    assert_eq!(send("Authorization: Bearer apiv3_x").await, 204);
    assert_eq!(send("Authorization: Token apiv3_x").await, 204);
    assert_eq!(send("Authorization: Basic dTphcGl2M194").await, 204);
    assert_eq!(get(&stub.address(), "/health").await.unwrap().status, 401);
}

#[tokio::test]
async fn databases_are_created_listed_and_deleted() {
    let stub = InfluxStub::start();
    let create = async |body: &str, headers: &[&str]| {
        post(&stub.address(), "/api/v3/configure/database", headers, body.as_bytes()).await.unwrap().status
    };
    let json = ["Content-Type: application/json"];
    assert_eq!(create(r#"{"db":"d1"}"#, &[]).await, 415);
    assert_eq!(create(r#"{"db":"d1"}"#, &json).await, 200);
    assert_eq!(create(r#"{"db":"d1"}"#, &json).await, 409);
    assert_eq!(create(r#"{"db":"a b"}"#, &json).await, 400);
    let list = get(&stub.address(), "/api/v3/configure/database?format=json").await.unwrap();
    assert_eq!(list.body, r#"[{"iox::database":"_internal"},{"iox::database":"d1"}]"#);
    assert_eq!(get(&stub.address(), "/health").await.unwrap().body, "OK");
    assert!(get(&stub.address(), "/ping").await.unwrap().body.contains("InfluxDB 3 Core"));
    assert_eq!(get(&stub.address(), "/api/v3/write_lp?db=d").await.unwrap().status, 404);
}

#[tokio::test]
async fn it_fails_hangs_and_goes_away_on_demand() {
    let mut stub = InfluxStub::start();
    stub.fail_next(2, 503);
    assert_eq!(write(&stub, "db=d", "t v=1 1").await.status, 503);
    assert_eq!(write(&stub, "db=d", "t v=1 1").await.status, 503);
    assert_eq!(write(&stub, "db=d", "t v=1 1").await.status, 204);

    stub.hang(Some("d"));
    assert_eq!(write(&stub, "db=other", "t v=1 1").await.status, 204);
    let mut hanging = Box::pin(write(&stub, "db=d", "t v=1 2"));
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut hanging).await.is_err());
    stub.release();
    assert_eq!(hanging.await.status, 204);

    stub.stop().await;
    assert!(get(&stub.address(), "/health").await.is_err());
    stub.start_again();
    assert_eq!(get(&stub.address(), "/health").await.unwrap().status, 200);
    assert_eq!(stub.point_count("d"), 2);
}

#[tokio::test]
async fn counting_only_keeps_nothing() {
    let stub = InfluxStub::builder().count_only().start();
    assert_eq!(write(&stub, "db=d", "nonsense\nnonsense\nnonsense").await.status, 204);
    assert_eq!(write(&stub, "db=d", "nonsense\n").await.status, 204);
    assert_eq!(stub.counts().lines_written, 4);
    assert_eq!(stub.total_points(), 0);
}

#[tokio::test]
async fn the_v2_api_takes_all_or_nothing_and_names_no_line() {
    let stub = InfluxStub::start();
    let write = async |query: &str, body: &str| {
        post(&stub.address(), &format!("/api/v2/write?{query}"), &[], body.as_bytes()).await.unwrap()
    };
    assert_eq!(write("org=o&bucket=d1&precision=ns", "t,d=a v=1.5 1").await.status, 204);
    let answer = write("bucket=d1&precision=ns", "t,d=b v=2.5 1\nt,d=a v=1i 2").await;
    assert_eq!(answer.status, 400);
    assert_eq!(json(&answer)["code"], "invalid");
    assert_eq!(
        json(&answer)["message"],
        "write buffer error: line protocol parse failed: invalid column type for column 'v', expected \
         iox::column_type::field::float, got iox::column_type::field::integer"
    );
    assert_eq!(stub.point_count("d1"), 1);
    assert_eq!(write("precision=ns", "t v=1 1").await.status, 400);
}

#[tokio::test]
async fn columns_and_families_have_limits_and_can_be_queried() {
    let stub = InfluxStub::start();
    stub.set_family_limit(1);
    let answer = write(&stub, "db=d1&precision=ns", "t,d=a f::x=1 1\nt,d=a f::y=1,z=1 1\nt,d=a g::x=1 1").await;
    let errors = &json(&answer)["data"];
    assert_eq!((answer.status, errors.as_array().unwrap().len(), &errors[0]["line_number"]), (422, 1, &Json::from(2)));
    let message_text = "Update to schema would exceed the field limit (1) for field family 'f'";
    assert_eq!(errors[0]["error_message"], message_text);
    let ask = async |database: &str| {
        let body = format!(
            r#"{{"db":"{database}","q":"SELECT column_name FROM information_schema.columns WHERE table_name = 't'"}}"#
        );
        post(&stub.address(), "/api/v3/query_sql", &[], body.as_bytes()).await.unwrap()
    };
    let answer = ask("d1").await;
    let mut columns: Vec<_> = json(&answer).as_array().unwrap().iter().map(|row| row["column_name"].clone()).collect();
    columns.sort_by_key(ToString::to_string);
    assert_eq!((answer.status, columns), (200, ["d", "f::x", "g::x", "time"].map(Json::from).to_vec()));
    assert_eq!(ask("d2").await.status, 404);
    stub.set_answers_queries(false);
    assert_eq!(ask("d1").await.status, 404);
}

#[tokio::test]
async fn what_is_durable_waits_for_the_next_flush_and_what_is_refused_does_not() {
    let stub = InfluxStub::start();
    stub.set_flush_interval(Duration::from_secs(2));
    assert_eq!(write(&stub, "db=d1&precision=ns", "t v=1 1").await.status, 204);
    let flushed = std::time::Instant::now();
    assert_eq!(write(&stub, "db=d1&precision=ns", "nonsense").await.status, 400);
    let refused = flushed.elapsed();
    assert_eq!(write(&stub, "db=d1&precision=ns", "t v=1 2").await.status, 204);
    assert!(refused < flushed.elapsed() && flushed.elapsed() >= Duration::from_secs(1));
}
