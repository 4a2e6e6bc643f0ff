//! The `[retention]` table.

use crate::runtime::setting::settings;

settings! {
    /// The `[retention]` table.
    pub(crate) struct Config in "retention" {
        /// Days for which rows are kept, beside today: older day partitions of `raw_events` are dropped, except while InfluxDB is
        /// owed points of their day. Not set: for ever.
        raw_events_days: Option<u32> = None, whole(1, 36_500), "RAW_EVENTS_RETENTION_DAYS";
        /// Days for which rejected messages and their counters are kept. Not set: for ever.
        quarantine_days: Option<u32> = None, whole(1, 36_500), "QUARANTINE_RETENTION_DAYS";
        /// An index for readers (tenant, device, event time) on each partition of `raw_events` that is no longer written. It costs
        /// about a tenth of the rows' size; the role has to own the table.
        reader_index: bool = false, Flag, "RAW_EVENTS_READER_INDEX";
        /// The first round begins so long after the start: a start has other things to do.
        first_round_secs: u64 = 60, whole(0, 86_400);
        /// Time between rounds.
        interval_secs: u64 = 3_600, whole(1, 86_400);
    }
}

impl Config {
    /// Whether there is anything to do.
    pub(crate) fn is_on(&self) -> bool {
        self.raw_events_days.is_some() || self.quarantine_days.is_some() || self.reader_index
    }
}
