//! Reads `raw_events` page by page, in the order of its key.
//!
//! The table knows no order by tenant. So a page is so many rows of the table, whoever's they are, and what is fetched of
//! it are the tenant's: every page costs PostgreSQL the same two scans of a time range of the key's index, and a tenant with
//! few rows moves on as fast as one with many.

use std::sync::{Arc, LazyLock};

use futures_util::TryStreamExt;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Row};

use super::track::{Counts, Page, Position};
use crate::delivery::pending_ack::PendingAck;
use crate::message::Point;
use crate::postgres::raw_events::{self, page_query};
use crate::postgres::types::UnixMicros;
use ingest_core::influx::point::Layout;

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

/// The points of a tenant's rows in a page, each without a pending ack yet; and how many rows and points that are.
pub(super) async fn points(
    client: &Client,
    page: &Page,
    tenant_id: &str,
    layout: Layout,
) -> Result<(Vec<Point>, Counts), Error> {
    static SQL: LazyLock<String> = LazyLock::new(|| {
        let filter = "received_at BETWEEN $1 AND $4 AND (received_at, stream, stream_seq) > ($1, $2, $3)
            AND (received_at, stream, stream_seq) <= ($4, $5, $6) AND tenant_id = $7";
        page_query(filter, "received_at, stream, stream_seq", "")
    });
    let Page { after, until } = page;
    let (from, to) = (UnixMicros(after.received_us), UnixMicros(until.received_us));
    let parameters: [&(dyn ToSql + Sync); 7] =
        [&from, &after.stream, &after.stream_seq, &to, &until.stream, &until.stream_seq, &tenant_id];
    // As they come: of a row no more is held than its point.
    let mut found = raw_events::read(client, &SQL, &parameters).await?;
    let (mut points, mut rows, mut stream) = (Vec::new(), 0, Arc::from(""));
    while let Some(row) = found.try_next().await? {
        rows += 1;
        // Rows of one stream share its name.
        if *stream != *row.stream() {
            stream = row.stream().into();
        }
        points.extend(row.point(&stream, layout, &PendingAck::default()));
    }
    let counts = Counts { rows, points: points.len() as u64, ..Counts::default() };
    Ok((points, counts))
}
