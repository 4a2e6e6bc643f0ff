//! The bound of a lane: messages and bytes.

/// How much a lane may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Deliveries.
    pub messages: usize,
    /// Bytes of their bodies.
    pub bytes: usize,
}
