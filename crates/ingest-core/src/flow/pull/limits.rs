//! The limits of pull requests: those of the node, lowered to those of the server.

use crate::flow::pull_status::RequestLimit;

/// What requests may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most messages of one request.
    pub messages: usize,
    /// Most bytes of all open requests together, unless a single message takes more.
    pub open_bytes: usize,
    /// Bytes that any one message fits into.
    pub message_bytes: usize,
    /// Most bytes of one request, where the consumer has such a limit.
    pub request_bytes: Option<usize>,
    /// Most open requests. With two, one is being filled while the next is there already.
    pub requests: usize,
}

impl Limits {
    /// Applies a limit that the server has named; whether that changes anything.
    pub fn obey(&mut self, limit: RequestLimit) -> bool {
        let before = *self;
        match limit {
            RequestLimit::Messages(most) => self.messages = self.messages.min(most).max(1),
            RequestLimit::Bytes(most) => {
                self.request_bytes = Some(self.request_bytes.map_or(most, |bytes| bytes.min(most)).max(1));
            }
            // Requests have no limit of time here.
            RequestLimit::Expires(_) => {}
        }
        *self != before
    }

    /// Bytes of one request among as many as may be open.
    pub(super) fn share_bytes(&self) -> usize {
        let share = (self.open_bytes / self.requests.max(1)).max(self.message_bytes);
        self.request_bytes.map_or(share, |most| share.min(most))
    }
}
