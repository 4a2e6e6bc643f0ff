//! The columns of `device_state` that say where a device is in its numbers and how often it sends.

use tokio_postgres::Row;

use crate::postgres::types::UnixMicros;
use ingest_core::state::continuity::{Cadence, Continuity, Numbering, Ranges, Silence};

/// They are selected in this order, after columns of the statement's own. Cast, for an earlier system's table may have them in other types.
pub(super) const COLUMNS: &str = "s.last_seen_at::timestamptz, s.last_seq::bigint, s.seq_missing::bigint, \
    s.seq_late::bigint, s.seq_repeats::bigint, s.seq_resets::bigint, s.seq_reset_at::timestamptz, s.seq_missing_ranges::bigint[], \
    s.seq_notes::bigint[], s.silence_due_at::timestamptz, s.silent_since::timestamptz, s.returned_at::timestamptz";

/// What they hold. A null of somebody else's making counts as nothing.
pub(super) fn read(row: &Row, from: usize, now_us: i64) -> Continuity {
    let number = |column: usize| row.try_get::<_, Option<i64>>(from + column).ok().flatten().unwrap_or(0);
    let list = |column: usize| row.try_get::<_, Option<Vec<i64>>>(from + column).ok().flatten().unwrap_or_default();
    let time = |column: usize| row.try_get::<_, Option<UnixMicros>>(from + column).ok().flatten().map(|time| time.0);
    let notes = list(8);
    let note = |place: usize| notes.get(place).copied().unwrap_or(0);
    let pairs = list(7);
    let ranges = pairs.chunks_exact(2).map(|pair| (pair[0], pair[1]));
    Continuity {
        // One that lies ahead is of another clock, and counts as older than any.
        last_seen_us: time(0).filter(|seen_us| *seen_us <= now_us.saturating_add(super::statement::AHEAD_US)),
        numbering: Numbering {
            first: note(0),
            last: number(1),
            missing_ranges: Ranges::listed(ranges),
            counted_to: note(1),
            mark: note(2),
            marked_us: note(3),
            steps: u8::try_from(note(4)).unwrap_or(0),
            missing: number(2),
            late: number(3),
            repeats: number(4),
            resets: number(5),
            reset_us: time(6),
        },
        cadence: Cadence { usual_us: note(5), intervals: u32::try_from(note(6)).unwrap_or(0) },
        silence: Silence { due_us: time(9), since_us: time(10), returned_us: time(11) },
    }
}

/// The lists of a record, as PostgreSQL reads them: the ranges, where there are any, and the notes.
pub(super) fn lists(of: &Continuity) -> (Option<String>, String) {
    let Numbering { first, counted_to, mark, marked_us, steps, missing_ranges, .. } = &of.numbering;
    let ranges: Vec<String> = missing_ranges.iter().map(|(first, last)| format!("{first},{last}")).collect();
    let Cadence { usual_us, intervals } = of.cadence;
    let notes = format!("{{{first},{counted_to},{mark},{marked_us},{steps},{usual_us},{intervals}}}");
    ((!ranges.is_empty()).then(|| format!("{{{}}}", ranges.join(","))), notes)
}
