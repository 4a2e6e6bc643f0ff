//! Reads `raw_events` page by page, in the order of its key.
//!
//! The table knows no order by tenant. So a page is so many rows of the table, whoever's they are, and what is fetched of
//! it are the tenant's: every page costs PostgreSQL the same two scans of a time range of the key's index, and a tenant with
//! few rows moves on as fast as one with many.

use std::pin::pin;
use std::sync::{Arc, LazyLock};

use futures_util::TryStreamExt;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Row};

use super::track::{Counts, Page, Position};
use crate::delivery::Origin;
use crate::delivery::pending_ack::PendingAck;
use crate::message::Point;
use crate::postgres::raw_events::JOIN;
use crate::postgres::types::UnixMicros;
use ingest_core::influx::point::Layout;
use ingest_core::influx::rebuild;

/// Rows of the table in one page.
pub(super) const PAGE_ROWS: i64 = 5_000;

/// The page that begins behind `after`: [`PAGE_ROWS`] rows, or all that are left before `end`.
pub(super) async fn next_page(client: &Client, after: &Position, end: &Position) -> Result<Page, Error> {
    // Rows without the broker's facts, of an earlier system, have no place in the key's order.
    const SQL: &str = "
        SELECT received_at, stream, stream_seq FROM raw_events
        WHERE received_at >= $1 AND received_at < $4 AND (received_at, stream, stream_seq) > ($1, $2, $3)
            AND stream IS NOT NULL AND stream_seq IS NOT NULL
        ORDER BY received_at, stream, stream_seq OFFSET $5 LIMIT 1";
    let (from, to) = (UnixMicros(after.received_us), UnixMicros(end.received_us));
    let parameters: [&(dyn ToSql + Sync); 5] = [&from, &after.stream, &after.stream_seq, &to, &(PAGE_ROWS - 1)];
    let last = client.query_opt(SQL, &parameters).await?;
    let until = last.as_ref().map_or_else(|| end.clone(), position);
    Ok(Page { after: after.clone(), until })
}

fn position(row: &Row) -> Position {
    let UnixMicros(received_us) = row.get(0);
    Position { received_us, stream: row.get(1), stream_seq: row.get(2) }
}

/// The points of a tenant's rows in a page, each without a share yet; and how many rows and points that are.
pub(super) async fn points(
    client: &Client,
    page: &Page,
    tenant_id: &str,
    layout: Layout,
) -> Result<(Vec<Point>, Counts), Error> {
    static SQL: LazyLock<String> = LazyLock::new(|| {
        format!(
            "SELECT received_at, stream, stream_seq, device_id, site_id, msg_type, seq, event_ts, metrics.text
            FROM (
                SELECT received_at, stream, stream_seq, coalesce(device_id, '') AS device_id,
                    coalesce(site_id, '') AS site_id, coalesce(msg_type, '') AS msg_type, coalesce(seq, 0) AS seq,
                    event_ts, CASE WHEN msg_type IN ('telemetry', 'heartbeat') THEN payload END AS payload
                FROM raw_events
                WHERE received_at BETWEEN $1 AND $4 AND (received_at, stream, stream_seq) > ($1, $2, $3)
                    AND (received_at, stream, stream_seq) <= ($4, $5, $6) AND tenant_id = $7 AND accepted
                ORDER BY received_at, stream, stream_seq
            ) AS r {JOIN}
            ORDER BY received_at, stream, stream_seq"
        )
    });
    let Page { after, until } = page;
    let (from, to) = (UnixMicros(after.received_us), UnixMicros(until.received_us));
    let parameters: [&(dyn ToSql + Sync); 7] =
        [&from, &after.stream, &after.stream_seq, &to, &until.stream, &until.stream_seq, &tenant_id];
    // As they come: of a row no more is held than its point.
    let mut found = pin!(client.query_raw(SQL.as_str(), parameters).await?);
    let (mut points, mut rows, mut stream) = (Vec::new(), 0, Arc::from(""));
    while let Some(row) = found.try_next().await? {
        rows += 1;
        points.extend(point(&row, tenant_id, layout, &mut stream));
    }
    let counts = Counts { rows, points: points.len() as u64, ..Counts::default() };
    Ok((points, counts))
}

/// The row's point; `None` where its message made none. Rows of one stream share its name.
fn point(row: &Row, tenant_id: &str, layout: Layout, stream: &mut Arc<str>) -> Option<Point> {
    let (device_id, site_id): (&str, &str) = (row.get(3), row.get(4));
    if device_id.is_empty() || site_id.is_empty() {
        return None;
    }
    let UnixMicros(event_us) = row.get(7);
    let (msg_type, seq, metrics) = (row.get(5), row.get(6), row.get(8));
    let row_of_point = rebuild::Row { msg_type, tenant_id, device_id, site_id, seq, event_us, metrics };
    let line = rebuild::line(row_of_point, layout)?;
    let Position { received_us, stream: name, stream_seq } = position(row);
    if **stream != *name {
        *stream = name.into();
    }
    let origin = Origin { stream: stream.clone(), stream_seq: stream_seq as u64, received_us };
    Some(Point { line, origin, guard: None, owed: PendingAck::default() })
}
