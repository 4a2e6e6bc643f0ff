//! What an attempt has stored.

/// What an attempt has made durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stored {
    /// New rows of `raw_events`.
    pub rows: u64,
    /// Rows that were there already.
    pub duplicates: u64,
    /// New events of the quarantine.
    pub quarantined: u64,
    /// Shadow reports that changed their device's state.
    pub shadows: u64,
    /// Acknowledgements that changed their command.
    pub acks: u64,
}
