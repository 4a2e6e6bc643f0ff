//! The JSON on the wire, opened just far enough to know whose it is.

use bytestring::ByteString;

/// An opened envelope: three members, each a slice of the message or a string of its own where it had escapes.
#[derive(Clone, Debug, Default)]
pub struct Envelope {
    /// The topic; empty where it is absent or no text.
    pub topic: ByteString,
    /// The payload's JSON text as received; empty where it is absent.
    pub payload: ByteString,
    /// The certificate's common name, where the broker authenticated the device by certificate; else empty.
    pub username: ByteString,
}
