//! What becomes of a message, and what open taps are shown of that.

use super::check::Valid;
use crate::delivery::Delivery;
use crate::observe::tap::Offered;
use ingest_core::message::envelope::Envelope;
use ingest_core::message::rejection::Rejection;
use ingest_core::tap;

/// What becomes of a message.
pub(super) enum Outcome {
    Valid(Valid),
    Refused {
        rejection: Rejection,
        /// No device of its tenant is registered.
        of_unknown_tenant: bool,
    },
    /// The registry must be asked first; whether it may provision the device.
    Waits {
        may_provision: bool,
    },
    /// It is not the node's.
    Ignored,
}

impl Outcome {
    /// What taps are shown; `None` for what is not decided yet.
    pub(super) fn verdict(&self) -> Option<tap::Decision<'_>> {
        match self {
            Outcome::Valid(_) => Some(tap::Decision::Accepted),
            Outcome::Refused { rejection, .. } => Some(tap::Decision::Rejected(rejection)),
            Outcome::Ignored => Some(tap::Decision::Ignored),
            Outcome::Waits { .. } => None,
        }
    }
}

/// Offers a message to the open taps.
pub(super) fn tapped(
    taps: Option<&Offered>,
    delivery: &Delivery,
    envelope: Option<&Envelope>,
    verdict: tap::Decision<'_>,
) {
    let Some(taps) = taps else { return };
    let Delivery { origin, attempt, body, .. } = delivery;
    taps.offer(&tap::TappedMessage {
        stream: &origin.stream,
        stream_seq: origin.stream_seq,
        attempt: *attempt,
        received_us: origin.received_us,
        body,
        envelope,
        verdict,
    });
}
