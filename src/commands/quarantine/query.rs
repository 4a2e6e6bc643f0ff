//! What the command asks PostgreSQL.

use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Row};

use super::event::{Count, Event};

/// Which events, in SQL's terms.
#[derive(Clone, Copy, Debug)]
pub(super) struct Selection<'a> {
    pub tenant: Option<&'a str>,
    pub reason: Option<&'a str>,
    pub since_us: Option<i64>,
    pub limit: i64,
}

impl Selection<'_> {
    /// What [`WHICH`] needs, and the limit as `$4`.
    fn parameters(&self) -> [&(dyn ToSql + Sync); 4] {
        [&self.tenant, &self.reason, &self.since_us, &self.limit]
    }
}

const WHICH: &str = "($1::text IS NULL OR tenant_id = $1 OR ($1 = 'unknown' AND tenant_id IS NULL))
    AND ($2::text IS NULL OR reason = $2)
    AND ($3::bigint IS NULL OR ingested_at >= to_timestamp($3::bigint / 1000000.0))";

/// The newest events, of `device` where one is named.
pub(super) async fn newest(
    database: &Client,
    selection: &Selection<'_>,
    device: Option<&str>,
) -> Result<Vec<Event>, Error> {
    let columns = columns();
    let sql = format!(
        "SELECT {columns} FROM quarantine_events q WHERE {WHICH} AND ($5::text IS NULL OR device_id = $5)
         ORDER BY q.id DESC LIMIT $4"
    );
    let [tenant, reason, since, limit] = selection.parameters();
    Ok(database.query(&sql, &[tenant, reason, since, limit, &device]).await?.iter().map(read).collect())
}

/// The events of these ids, in their order.
pub(in crate::commands) async fn by_ids(database: &Client, ids: &[i64]) -> Result<Vec<Event>, Error> {
    let columns = columns();
    let sql = format!(
        "SELECT {columns} FROM unnest($1::bigint[]) WITH ORDINALITY AS wanted (id, place)
         JOIN quarantine_events q ON q.id = wanted.id ORDER BY wanted.place"
    );
    Ok(database.query(&sql, &[&ids]).await?.iter().map(read).collect())
}

/// The ids of events in the order in which the broker had them; those replayed before only if they are wanted `again`, and
/// `device` or `event` alone where one is named.
pub(super) async fn oldest_ids(
    database: &Client,
    selection: &Selection<'_>,
    device: Option<&str>,
    again: bool,
    event: Option<i64>,
) -> Result<Vec<i64>, Error> {
    let sql = format!(
        "SELECT id::bigint FROM quarantine_events WHERE {WHICH} AND ($5 OR replayed_at IS NULL)
           AND ($6::bigint IS NULL OR id = $6) AND ($7::text IS NULL OR device_id = $7)
         ORDER BY received_at, stream_seq, id LIMIT $4"
    );
    let [tenant, reason, since, limit] = selection.parameters();
    Ok(database
        .query(&sql, &[tenant, reason, since, limit, &again, &event, &device])
        .await?
        .iter()
        .map(|row| row.get(0))
        .collect())
}

/// Remembers that the stream has these events again.
pub(super) async fn mark_replayed(database: &Client, ids: &[i64]) -> Result<(), Error> {
    let sql = "UPDATE quarantine_events SET replayed_at = now(), replays = replays + 1 WHERE id = ANY ($1)";
    database.execute(sql, &[&ids]).await.map(drop)
}

/// The counters of a period beside the events of the same messages.
pub(super) async fn counts(database: &Client, selection: &Selection<'_>) -> Result<Vec<Count>, Error> {
    const SQL: &str = "
        WITH period AS (
            SELECT date_trunc('minute', to_timestamp($3::bigint / 1000000.0), 'UTC') AS since
        ), rejected AS (
            SELECT tenant_id, reason, sum(cnt)::bigint AS rejected FROM quarantine_counters_minute, period
            WHERE since IS NULL OR bucket_minute >= since GROUP BY 1, 2
        ), stored AS (
            SELECT coalesce(tenant_id, 'unknown') AS tenant_id, reason, count(*) AS stored, count(replayed_at) AS replayed
            FROM quarantine_events, period
            WHERE since IS NULL OR coalesce(received_at, ingested_at) >= since GROUP BY 1, 2
        )
        SELECT tenant_id, reason, coalesce(rejected, 0), coalesce(stored, 0), coalesce(replayed, 0)
        FROM rejected FULL JOIN stored USING (tenant_id, reason)
        WHERE ($1::text IS NULL OR tenant_id = $1) AND ($2::text IS NULL OR reason = $2)
        ORDER BY 3 DESC, 4 DESC, 1, 2 LIMIT $4";
    let rows = database.query(SQL, &selection.parameters()).await?;
    let count = |row: &Row| Count {
        tenant_id: row.get(0),
        reason: row.get(1),
        rejected: row.get(2),
        stored: row.get(3),
        replayed: row.get(4),
    };
    Ok(rows.iter().map(count).collect())
}

/// The columns that [`read`] reads, in its order.
fn columns() -> String {
    let time = |column: &str| format!(r#"to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"#);
    [
        "q.id::bigint".to_owned(),
        time("q.ingested_at"),
        time("q.received_at"),
        "round(extract(epoch FROM q.received_at) * 1000000)::bigint".to_owned(),
        time("q.event_ts"),
        "q.stream, q.stream_seq, q.topic, q.tenant_id, q.site_id, q.device_id, q.msg_type, q.reason, q.detail, \
         q.authenticated"
            .to_owned(),
        time("q.replayed_at"),
        "q.replays, q.payload::text, q.raw, jsonb_pretty(q.payload)".to_owned(),
        "EXISTS (SELECT FROM raw_events r WHERE r.received_at = q.received_at AND r.stream = q.stream \
         AND r.stream_seq = q.stream_seq AND NOT r.accepted)"
            .to_owned(),
    ]
    .join(", ")
}

fn read(row: &Row) -> Event {
    Event {
        id: row.get(0),
        refused_at: row.get(1),
        received_at: row.get(2),
        received_us: row.get(3),
        event_ts: row.get(4),
        stream: row.get(5),
        stream_seq: row.get(6),
        topic: row.get(7),
        tenant_id: row.get(8),
        site_id: row.get(9),
        device_id: row.get(10),
        msg_type: row.get(11),
        reason: row.get(12),
        detail: row.get(13),
        authenticated: row.get(14),
        replayed_at: row.get(15),
        replays: row.get(16),
        payload: row
            .get::<_, Option<&str>>(17)
            .and_then(|json| serde_json::value::RawValue::from_string(json.into()).ok()),
        raw: row.get::<_, Option<&[u8]>>(18).map(|raw| raw.escape_ascii().to_string()),
        pretty_payload: row.get(19),
        is_mirrored: row.get(20),
    }
}
