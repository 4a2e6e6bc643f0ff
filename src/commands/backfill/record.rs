//! The statements on `influx_backfills`: where a backfill stands, for whoever goes on with it.

use tokio_postgres::{Client, Error};

use super::track::Position;
use crate::postgres::types::UnixMicros;

/// Which backfill: the same again is the same one.
#[derive(Clone, Debug)]
pub(super) struct Ask<'a> {
    /// Whose points.
    pub tenant_id: &'a str,
    /// Where they go, without credentials.
    pub target: &'a str,
    /// Received from here on, Unix microseconds.
    pub from_us: i64,
    /// Received before then; `None`: before it first began.
    pub to_us: Option<i64>,
    /// The time.
    pub now_us: i64,
}

impl Ask<'_> {
    /// The end of the range, for a backfill that begins now.
    pub(super) fn until_us(&self) -> i64 {
        self.to_us.unwrap_or(self.now_us)
    }
}

/// Where a backfill stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RecordedProgress {
    /// The end of its range, Unix microseconds.
    pub to_us: i64,
    /// Up to here everything is confirmed.
    pub position: Position,
    /// Points written up to there.
    pub written: u64,
    /// Points refused up to there.
    pub refused: u64,
    /// Whether it is at its end.
    pub is_finished: bool,
}

/// The number of a backfill; it is put on record where it is new.
pub(super) async fn find(client: &Client, ask: &Ask<'_>) -> Result<i32, Error> {
    const INSERT: &str = "
        INSERT INTO influx_backfills (tenant_id, target, received_from, asked_to, received_to, position_at)
        VALUES ($1, $2, $3, coalesce($4::timestamptz, 'infinity'), $5, $3)
        ON CONFLICT (tenant_id, target, received_from, asked_to) DO NOTHING";
    const SELECT: &str = "
        SELECT id FROM influx_backfills WHERE tenant_id = $1 AND target = $2 AND received_from = $3
            AND asked_to = coalesce($4::timestamptz, 'infinity')";
    let (from, to) = (UnixMicros(ask.from_us), ask.to_us.map(UnixMicros));
    let until = UnixMicros(ask.until_us());
    client.execute(INSERT, &[&ask.tenant_id, &ask.target, &from, &to, &until]).await?;
    Ok(client.query_one(SELECT, &[&ask.tenant_id, &ask.target, &from, &to]).await?.get(0))
}

/// Where it stands. For whoever holds its lock: else it may be elsewhere already.
pub(super) async fn load(client: &Client, id: i32) -> Result<RecordedProgress, Error> {
    const SQL: &str = "
        SELECT received_to, position_at, position_stream, position_seq, written, refused, finished_at IS NOT NULL
        FROM influx_backfills WHERE id = $1";
    let row = client.query_one(SQL, &[&id]).await?;
    let (UnixMicros(to_us), UnixMicros(received_us)) = (row.get(0), row.get(1));
    let position = Position { received_us, stream: row.get(2), stream_seq: row.get(3) };
    let (written, refused): (i64, i64) = (row.get(4), row.get(5));
    Ok(RecordedProgress { to_us, position, written: written as u64, refused: refused as u64, is_finished: row.get(6) })
}

/// Sets it back to its beginning.
pub(super) async fn restart(client: &Client, id: i32, ask: &Ask<'_>) -> Result<(), Error> {
    const SQL: &str = "
        UPDATE influx_backfills SET received_to = $2, position_at = received_from, position_stream = '', position_seq = 0,
            written = 0, refused = 0, started_at = now(), updated_at = now(), finished_at = NULL
        WHERE id = $1";
    client.execute(SQL, &[&id, &UnixMicros(ask.until_us())]).await.map(drop)
}

/// Moves it on: forward only, whoever else may think that it is his. Whether it did.
pub(super) async fn advance(client: &Client, id: i32, recorded: &RecordedProgress) -> Result<bool, Error> {
    const SQL: &str = "
        UPDATE influx_backfills SET position_at = $2, position_stream = $3, position_seq = $4, written = $5, refused = $6,
            updated_at = now(), finished_at = CASE WHEN $7 THEN now() END
        WHERE id = $1 AND (position_at, position_stream, position_seq) <= ($2, $3, $4)";
    let RecordedProgress { position, written, refused, is_finished, .. } = recorded;
    let (at, written, refused) = (UnixMicros(position.received_us), *written as i64, *refused as i64);
    let key = (&position.stream, &position.stream_seq);
    Ok(client.execute(SQL, &[&id, &at, key.0, key.1, &written, &refused, is_finished]).await? == 1)
}
