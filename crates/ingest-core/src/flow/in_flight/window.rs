//! Window: most unsettled deliveries of a lane, in messages and in bytes.

/// A number of deliveries and of their bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Deliveries.
    pub messages: usize,
    /// Bytes of their bodies.
    pub bytes: usize,
}
