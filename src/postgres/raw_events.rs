//! Rows of `raw_events` and their points, for all that read many rows: redelivery and backfill. What a point is made of is
//! read in bounded size.
//!
//! jsonb holds `1e131000` in a few bytes and writes it out in 131,072 digits: a message of 4 KB becomes a text of 6 MB,
//! and takes PostgreSQL 30 ms to write. A point can't hold such a number anyway. So what a point can't hold is left out
//! by PostgreSQL, without being written out, wherever the text would be large.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::{Stream, TryStreamExt};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Row};

use super::types::UnixMicros;
use crate::delivery::Origin;
use crate::delivery::pending_ack::PendingAck;
use crate::message::Point;
use ingest_core::influx::point::Layout;
use ingest_core::influx::rebuild;

/// Joins to rows `r`, which have the column `payload`, the text of its member `metrics` as `metrics.text`: as jsonb
/// writes it where that is short, else what of it a point can hold. Null where there is none.
pub const JOIN: &str = "
    CROSS JOIN LATERAL (
        SELECT CASE
            WHEN octet_length(whole.text) <= 16384 THEN whole.text
            WHEN jsonb_typeof(r.payload -> 'metrics') = 'object' THEN (
                SELECT jsonb_object_agg(key, CASE jsonb_typeof(value)
                    -- Of more decimal places no f64 knows; the scale is kept above 0, so a float stays one.
                    WHEN 'number' THEN to_jsonb(round(value::numeric, least(scale(value::numeric), 1100)))
                    ELSE value END)::text
                FROM jsonb_each(r.payload -> 'metrics')
                -- The order of tests in AND is not certain, that in CASE is.
                WHERE CASE jsonb_typeof(value)
                    WHEN 'boolean' THEN true
                    WHEN 'number' THEN abs(value::numeric) < 1e309 END)
            END AS text
        FROM (
            -- OFFSET 0: the text is written once, not once for each mention.
            SELECT CASE WHEN NOT (r.payload -> 'metrics') @?
                    'strict $.** ? (@ >= 1e19 || @ <= -1e19 || (@ < 1e-300 && @ > -1e-300 && @ != 0))'
                THEN (r.payload -> 'metrics')::text END AS text OFFSET 0
        ) AS whole
    ) AS metrics";

/// The query for a page of accepted rows that `filter` admits, for [`read`]. `order` are the columns of their key that the
/// filter leaves open (one more, and PostgreSQL sorts what its index has in order); `limit` is a LIMIT clause or empty.
pub(crate) fn page_query(filter: &str, order: &str, limit: &str) -> String {
    // Rows of an earlier system may lack what the node's own rows have. The payload of those that make no point is not read.
    format!(
        "SELECT tenant_id, received_at, stream, stream_seq, device_id, site_id, msg_type, seq, event_ts, metrics.text
        FROM (
            SELECT tenant_id, received_at, stream, stream_seq, coalesce(device_id, '') AS device_id,
                coalesce(site_id, '') AS site_id, coalesce(msg_type, '') AS msg_type, coalesce(seq, 0) AS seq,
                event_ts, CASE WHEN msg_type IN ('telemetry', 'heartbeat') THEN payload END AS payload
            FROM raw_events
            WHERE accepted AND {filter}
            ORDER BY {order} {limit}
        ) AS r {JOIN}
        ORDER BY {order}"
    )
}

/// A row that a [`page_query`] has found.
#[derive(Clone, Debug)]
pub(crate) struct StoredRow(Row);

impl StoredRow {
    /// Column `tenant_id`.
    pub(crate) fn tenant_id(&self) -> &str {
        self.0.get(0)
    }

    /// Column `received_at`, Unix microseconds.
    pub(crate) fn received_us(&self) -> i64 {
        let UnixMicros(received_us) = self.0.get(1);
        received_us
    }

    /// Column `stream`.
    pub(crate) fn stream(&self) -> &str {
        self.0.get(2)
    }

    /// Column `stream_seq`.
    pub(crate) fn stream_seq(&self) -> i64 {
        self.0.get(3)
    }

    /// Bytes that PostgreSQL sent for it.
    pub(crate) fn bytes(&self) -> usize {
        self.0.raw_size_bytes()
    }

    /// The row's point, with a reference of its own to the outbox entries of `pending_ack`; `None` where its message made none.
    /// `stream` is the row's, shared by the points of many.
    pub(crate) fn point(&self, stream: &Arc<str>, layout: Layout, pending_ack: &PendingAck) -> Option<Point> {
        let UnixMicros(event_us) = self.0.get(8);
        let row = rebuild::Row {
            msg_type: self.0.get(6),
            tenant_id: self.tenant_id(),
            device_id: self.0.get(4),
            site_id: self.0.get(5),
            seq: self.0.get(7),
            event_us,
            metrics: self.0.get(9),
        };
        let line = rebuild::line(row, layout)?;
        let (stream_seq, received_us) = (self.stream_seq() as u64, self.received_us());
        let origin = Origin { stream: stream.clone(), stream_seq, received_us };
        Some(Point { line, origin, guard: None, owed: pending_ack.clone_ref() })
    }
}

/// Runs a [`page_query`]. Rows arrive as they come, so that a reader holds no more of them than it needs; what follows
/// is dropped at the socket.
///
/// # Errors
/// PostgreSQL's, at once or with any row.
pub(crate) async fn read(
    client: &Client,
    page_query: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Pin<Box<impl Stream<Item = Result<StoredRow, Error>> + use<>>>, Error> {
    let found = client.query_raw(page_query, parameters.iter().copied()).await?;
    Ok(Box::pin(found.map_ok(StoredRow)))
}
