//! Whether the columns that the node writes can hold what it writes: tables of other services keep their own types.
//!
//! Only a type that no row fits is refused. One that some rows do not fit (a short `varchar`, an `integer` version) costs
//! those rows, each on its own, and is no reason not to start.

use tokio_postgres::{Client, Error};

/// How a value gets into its column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    /// Binary `COPY`: the column's type has to read the very bytes.
    Copy,
    /// A statement: whatever PostgreSQL casts on assignment will do.
    Statement,
}

/// A column that the node writes.
struct Written {
    table: &'static str,
    column: &'static str,
    needs: &'static str,
    /// The shortest text that every row of the node's, or nearly every one, needs room for; 0 where it is no text.
    shortest: i32,
    by: By,
}

const fn copied(column: &'static str, needs: &'static str, shortest: i32) -> Written {
    Written { table: "raw_events", column, needs, shortest, by: By::Copy }
}

const fn stated(table: &'static str, column: &'static str, needs: &'static str, shortest: i32) -> Written {
    Written { table, column, needs, shortest, by: By::Statement }
}

const TIME: &str = "timestamptz";
const QUARANTINE: &str = "quarantine_events";
const COUNTERS: &str = "quarantine_counters_minute";
const STATE: &str = "device_state";
const SENSORS: &str = "device_sensors";
const REGISTRY: &str = "device_registry";

/// The shortest reason that is stored: `ROW_REFUSED`.
const REASON: i32 = 11;

const WRITTEN: &[Written] = &[
    copied("received_at", TIME, 0),
    copied("event_ts", TIME, 0),
    copied("seq", "bigint", 0),
    copied("stream_seq", "bigint", 0),
    copied("stream", "text", "TELEMETRY".len() as i32),
    copied("tenant_id", "text", 1),
    copied("site_id", "text", 1),
    copied("device_id", "text", 1),
    copied("msg_type", "text", "telemetry".len() as i32),
    copied("topic", "text", "tenant/t/device/d/t".len() as i32),
    copied("payload", "jsonb", 0),
    stated("raw_events", "accepted", "boolean", 0),
    stated(QUARANTINE, "received_at", TIME, 0),
    stated(QUARANTINE, "stream", "text", "SHADOW".len() as i32),
    stated(QUARANTINE, "stream_seq", "bigint", 0),
    stated(QUARANTINE, "event_ts", TIME, 0),
    stated(QUARANTINE, "topic", "text", 1),
    stated(QUARANTINE, "tenant_id", "text", 1),
    stated(QUARANTINE, "site_id", "text", 1),
    stated(QUARANTINE, "device_id", "text", 1),
    stated(QUARANTINE, "msg_type", "text", 1),
    stated(QUARANTINE, "reason", "text", REASON),
    stated(QUARANTINE, "detail", "text", 1),
    stated(QUARANTINE, "payload", "jsonb", 0),
    stated(QUARANTINE, "raw", "bytea", 0),
    stated(QUARANTINE, "authenticated", "boolean", 0),
    stated(COUNTERS, "bucket_minute", TIME, 0),
    stated(COUNTERS, "tenant_id", "text", 1),
    stated(COUNTERS, "reason", "text", REASON),
    stated(COUNTERS, "cnt", "bigint", 0),
    stated(STATE, "tenant_id", "text", 1),
    stated(STATE, "device_id", "text", 1),
    stated(STATE, "site_id", "text", 1),
    stated(STATE, "last_seen_at", TIME, 0),
    stated(STATE, "last_heartbeat_at", TIME, 0),
    stated(STATE, "last_telemetry_at", TIME, 0),
    stated(STATE, "last_seq", "bigint", 0),
    stated(STATE, "seq_missing", "bigint", 0),
    stated(STATE, "seq_late", "bigint", 0),
    stated(STATE, "seq_repeats", "bigint", 0),
    stated(STATE, "seq_resets", "bigint", 0),
    stated(STATE, "seq_reset_at", TIME, 0),
    stated(STATE, "seq_missing_ranges", "bigint[]", 0),
    stated(STATE, "seq_notes", "bigint[]", 0),
    stated(STATE, "usual_interval_ms", "bigint", 0),
    stated(STATE, "silence_due_at", TIME, 0),
    stated(STATE, "silent_since", TIME, 0),
    stated(STATE, "silence_alerted", "boolean", 0),
    stated(STATE, "returned_at", TIME, 0),
    stated(STATE, "reported_state", "jsonb", 0),
    stated(STATE, "reported_version", "bigint", 0),
    stated(STATE, "reported_at", TIME, 0),
    stated("device_commands", "acked_at", TIME, 0),
    stated("device_commands", "ack_details", "jsonb", 0),
    stated(SENSORS, "tenant_id", "text", 1),
    stated(SENSORS, "device_id", "text", 1),
    stated(SENSORS, "metric_key", "text", 1),
    stated(SENSORS, "display_name", "text", 1),
    stated(SENSORS, "unit", "text", 1),
    stated(SENSORS, "source", "text", "unmodeled".len() as i32),
    stated(SENSORS, "last_value", "numeric", 0),
    stated(SENSORS, "last_value_text", "text", 1),
    stated(SENSORS, "last_seen_at", TIME, 0),
    stated(SENSORS, "updated_at", TIME, 0),
    stated(REGISTRY, "latitude", "double precision", 0),
    stated(REGISTRY, "longitude", "double precision", 0),
    stated(REGISTRY, "located_at", TIME, 0),
];

/// Tables that the node makes rows in, whoever else does.
const INSERTED: [&str; 5] = ["raw_events", QUARANTINE, COUNTERS, STATE, SENSORS];

/// The columns that exist and hold nothing of what is written, one sentence each: table, column, what it is, what it must be.
///
/// # Errors
/// When PostgreSQL does not answer.
pub(super) async fn unfit(client: &Client) -> Result<Vec<String>, Error> {
    // A domain counts as the type beneath it. Text goes into whatever reads and writes as text; enumerations read it from
    // `COPY` and from nothing else.
    const SQL: &str = "
        SELECT w.tbl, w.col, format_type(a.atttypid, a.atttypmod), w.needs,
            CASE WHEN b.typname IN ('varchar', 'bpchar') AND a.atttypmod BETWEEN 5 AND w.shortest + 3
                THEN w.shortest END AS room
        FROM unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::boolean[]) AS w (tbl, col, needs, shortest, copied)
        JOIN pg_attribute a ON a.attrelid = to_regclass(w.tbl) AND a.attname = w.col AND NOT a.attisdropped
        JOIN pg_type t ON t.oid = a.atttypid
        JOIN pg_type b ON b.oid = coalesce(nullif(t.typbasetype, 0), t.oid)
        WHERE NOT CASE
            WHEN b.oid = w.needs::regtype THEN true
            WHEN w.copied THEN w.needs = 'text' AND (b.typcategory = 'S' OR b.typtype = 'e')
            ELSE b.typcategory = 'S' OR EXISTS (
                SELECT FROM pg_cast c
                WHERE c.castsource = w.needs::regtype AND c.casttarget = b.oid AND c.castcontext IN ('a', 'i'))
            END
            OR (b.typname IN ('varchar', 'bpchar') AND a.atttypmod BETWEEN 5 AND w.shortest + 3)
        ORDER BY w.tbl, a.attnum";

    let column = |of: fn(&Written) -> &'static str| WRITTEN.iter().map(of).collect::<Vec<_>>();
    let shortest: Vec<i32> = WRITTEN.iter().map(|written| written.shortest).collect();
    let copied: Vec<bool> = WRITTEN.iter().map(|written| written.by == By::Copy).collect();
    let (tables, columns, needs) = (column(|w| w.table), column(|w| w.column), column(|w| w.needs));
    let rows = client.query(SQL, &[&tables, &columns, &needs, &shortest, &copied]).await?;
    let sentence = |row: &tokio_postgres::Row| {
        let [table, column, found, needs] = [0, 1, 2, 3].map(|field| row.get::<_, String>(field));
        let room = row.get::<_, Option<i32>>(4).map(|room| format!(" with room for {room} characters"));
        format!("{table}.{column} is {found} and must be {needs}{}", room.unwrap_or_default())
    };
    Ok(rows.iter().map(sentence).collect())
}

/// Columns without a value of the node's that must have one: they refuse every row. Only warned of, as the operator may be about to
/// give them a default, and nothing is lost until then.
///
/// # Errors
/// When PostgreSQL does not answer.
pub(super) async fn demanding(client: &Client) -> Result<Vec<String>, Error> {
    const SQL: &str = "
        SELECT t.tbl, a.attname::text
        FROM unnest($1::text[]) AS t (tbl)
        JOIN pg_attribute a ON a.attrelid = to_regclass(t.tbl) AND a.attnum > 0 AND NOT a.attisdropped
        WHERE a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AND a.attgenerated = ''
            AND (t.tbl, a.attname::text) NOT IN (SELECT * FROM unnest($2::text[], $3::text[]))
        ORDER BY 1, a.attnum";
    let written: (Vec<&str>, Vec<&str>) = WRITTEN.iter().map(|written| (written.table, written.column)).unzip();
    let rows = client.query(SQL, &[&INSERTED.as_slice(), &written.0, &written.1]).await?;
    let sentence = |row: &tokio_postgres::Row| {
        let [table, column] = [0, 1].map(|field| row.get::<_, String>(field));
        format!(
            "{table}.{column} is NOT NULL without a default, and the node does not write it: every row will be held"
        )
    };
    Ok(rows.iter().map(sentence).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::postgres::copy;

    #[test]
    fn every_column_that_is_copied_is_looked_at() {
        let looked_at: Vec<&str> =
            WRITTEN.iter().filter(|written| written.by == By::Copy).map(|written| written.column).collect();
        assert_eq!(looked_at.join(", "), copy::COLUMNS);
    }
}
