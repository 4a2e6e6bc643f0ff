//! `ingest_make_partitions`: what it makes, and that nothing else can be made of it.

use ingest_kit::Postgres;

use super::roles::Roles;

const MAKE: &str = "SELECT count(*) FROM ingest_make_partitions($1::text::date)";

async fn made(client: &tokio_postgres::Client, day: &str) -> Result<i64, tokio_postgres::Error> {
    Ok(client.query_one(MAKE, &[&day]).await?.get(0))
}

#[tokio::test]
async fn a_day_gets_its_partition_once_and_only_what_others_leave_of_it() {
    let roles = Roles::with(&["postgres run"]).await;
    let owner = roles.as_owner();
    owner
        .execute(
            "CREATE TABLE noon PARTITION OF raw_events FOR VALUES FROM ('2026-02-09 10:00+00') TO ('2026-02-09 14:00+00');
             CREATE TABLE night PARTITION OF raw_events FOR VALUES FROM ('2026-02-09 22:00+00') TO ('2026-02-10 02:00+00');
             CREATE TABLE raw_events_20260211 (kept_as int)",
        )
        .await;
    let ingest = roles.as_ingest().connect().await;
    // Whatever the session is set to.
    ingest.batch_execute("SET timezone = 'Pacific/Auckland'; SET datestyle = 'SQL, DMY'").await.expect("settings");
    for (day, pieces) in [("2026-02-09", 2), ("2026-02-10", 1), ("2026-02-11", 1), ("2026-02-09", 0), ("1970-01-01", 1)]
    {
        assert_eq!(made(&ingest, day).await.expect("partitions"), pieces, "{day}");
    }
    let bounds = "SELECT relname::text, pg_get_expr(relpartbound, oid) FROM pg_class
                  WHERE relispartition AND relkind = 'r' AND relname LIKE 'raw_events_202602%' ORDER BY 1";
    let client = owner.connect().await;
    client.batch_execute("SET timezone = 'UTC'").await.expect("a setting");
    let rows = client.query(bounds, &[]).await.expect("bounds");
    let bounds: Vec<(String, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let of = |name: &str, from: &str, to: &str| {
        (name.to_owned(), format!("FOR VALUES FROM ('2026-02-{from}:00:00+00') TO ('2026-02-{to}:00:00+00')"))
    };
    let expected = [
        of("raw_events_20260209", "09 00", "09 10"),
        of("raw_events_20260209_2", "09 14", "09 22"),
        of("raw_events_20260210", "10 02", "11 00"),
        of("raw_events_20260211_2", "11 00", "12 00"),
    ];
    assert_eq!(bounds, expected);
}

#[tokio::test]
async fn days_that_no_broker_has_get_none() {
    let roles = Roles::with(&["postgres run"]).await;
    let ingest = roles.as_ingest().connect().await;
    for day in ["1969-12-31", "2999-01-01", "infinity", "-infinity", "5874897-12-31", "4713-01-01 BC"] {
        let refused = made(&ingest, day).await.expect_err(day);
        assert_eq!(refused.code().map(|code| code.code()), Some("22008"), "{day}: {refused}");
    }
    let none = ingest.query("SELECT * FROM ingest_make_partitions(NULL)", &[]).await.expect_err("no day");
    assert_eq!(none.code().map(|code| code.code()), Some("22008"), "{none}");
}

#[tokio::test]
async fn nothing_of_the_caller_leads_the_function_astray() {
    let roles = Roles::with(&["postgres run"]).await;
    let ingest = roles.as_ingest().connect().await;
    // Temporary tables are the caller's own, and come first where a path does not say otherwise.
    ingest
        .batch_execute(
            "CREATE TEMP TABLE raw_events (received_at timestamptz) PARTITION BY RANGE (received_at);
             CREATE TEMP TABLE pg_inherits AS SELECT 1 AS x;
             SET search_path = pg_temp, public",
        )
        .await
        .expect("temporary tables");
    assert_eq!(made(&ingest, "2026-02-09").await.expect("a partition"), 1);
    let parent = "pg_inherits i JOIN pg_class c ON c.oid = i.inhparent
                  WHERE i.inhrelid = 'public.raw_events_20260209'::regclass AND c.relnamespace = 'public'::regnamespace";
    assert_eq!(roles.as_owner().count(parent).await, 1);
}

#[tokio::test]
async fn nobody_may_call_it_who_was_not_granted_that() {
    let roles = Roles::with(&[]).await;
    let refused = made(&roles.as_ingest().connect().await, "2026-02-09").await.expect_err("no right");
    assert_eq!(refused.code().map(|code| code.code()), Some("42501"), "{refused}");
    // Who could make partitions before: a member of the owner.
    roles.database.execute(&roles.named("GRANT iot_owner TO iot_ingest")).await;
    assert_eq!(made(&roles.as_ingest().connect().await, "2026-02-09").await.expect("a partition"), 1);
}

#[tokio::test]
async fn a_table_of_somebody_elses_and_a_superuser_who_migrates_leave_its_owner_the_right() {
    let database = Postgres::shared().create_database().await;
    let owner = format!("owns_in_{}", database.name());
    database
        .execute(&format!(
            "CREATE ROLE {owner} LOGIN; GRANT USAGE, CREATE ON SCHEMA public TO {owner}; SET ROLE {owner};
             CREATE TABLE raw_events (received_at timestamptz NOT NULL, stream_seq bigint NOT NULL, stream text NOT NULL)
             PARTITION BY RANGE (received_at)"
        ))
        .await;
    crate::world::migrate(&database).await;
    let url = database.url().replacen("ingest@", &format!("{owner}@"), 1);
    let client = ingest_kit::Database::new(database.name(), url).connect().await;
    assert_eq!(made(&client, "2026-02-09").await.expect("a partition"), 1);
}
