//! Proof of reprocessing: the signed header of a message that is sent through again from the quarantine.
//!
//! The quarantine holds no provision token, so a reprocessed message can't authenticate as its device. Instead the
//! operator's command signs it, header and body, with a key that only the database holds:
//!
//! ```text
//! Ingest-Replay: v1;{stream};{stream_seq};{received_us};{trusted|validated};{hmac-sha256, lower-case hexadecimal}
//! ```
//!
//! The origin is that of the first delivery, so that everything stored of a reprocessed message has the keys of the
//! original.

use std::fmt;

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::message::compact::compact;

/// The header's name.
pub const HEADER: &str = "Ingest-Replay";

/// Longest value of it, bytes: NATS bounds a stream's name to 255.
pub const MAX_HEADER: usize = 1_024;

const VERSION: &str = "v1";
const TRUSTED: &str = "trusted";
const UNTRUSTED: &str = "judged";

/// The secret that signs reprocessed messages. Its `Debug` prints `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Key([u8; 32]);

impl Key {
    /// The key of these bytes; `None` unless there are 32.
    pub fn new(secret: &[u8]) -> Option<Self> {
        secret.try_into().ok().map(Self)
    }

    /// HMAC over the header without its last field, and the body. The header's length comes first, so that no other pair has
    /// the same input.
    fn sign(&self, facts: &str, body: &[u8]) -> String {
        // HMAC itself fills a short key up with zeros.
        let mut block = [0; 64];
        block[..self.0.len()].copy_from_slice(&self.0);
        let mut mac = Hmac::<Sha256>::new(&block.into());
        mac.update(&(facts.len() as u64).to_be_bytes());
        mac.update(facts.as_bytes());
        mac.update(body);
        HEXLOWER.encode(&mac.finalize().into_bytes())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The first delivery of a reprocessed message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstDelivery {
    /// The stream it came in on.
    pub stream: String,
    /// Its sequence number there.
    pub stream_seq: u64,
    /// When the broker stored it, Unix microseconds.
    pub received_us: i64,
    /// Its sender was authenticated, or the operator vouches for it: no token is required.
    pub trusted: bool,
}

impl FirstDelivery {
    /// The header of a reprocessed message with this body.
    pub fn header(&self, key: &Key, body: &[u8]) -> String {
        let facts = self.to_string();
        let proof = key.sign(&facts, body);
        format!("{facts};{proof}")
    }

    /// What a header says; `None` where it is not exactly what [`FirstDelivery::header`] wrote for this body. Takes
    /// the same time however much of the proof is right.
    pub fn proven(header: &str, key: &Key, body: &[u8]) -> Option<Self> {
        let (facts, proof) = header.rsplit_once(';')?;
        let is_right: bool = key.sign(facts, body).as_bytes().ct_eq(proof.as_bytes()).into();
        if is_right { Self::read(facts) } else { None }
    }

    /// Parsed from the right: a stream may have semicolons in its name.
    fn read(facts: &str) -> Option<Self> {
        let mut fields = facts.strip_prefix(VERSION)?.strip_prefix(';')?.rsplitn(4, ';');
        let trusted = match fields.next()? {
            TRUSTED => true,
            UNTRUSTED => false,
            _ => return None,
        };
        let received_us = fields.next()?.parse().ok()?;
        let stream_seq = fields.next()?.parse().ok()?;
        Some(Self { stream: fields.next()?.to_owned(), stream_seq, received_us, trusted })
    }
}

impl fmt::Display for FirstDelivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stream, stream_seq, received_us, trusted } = self;
        let trust = if *trusted { TRUSTED } else { UNTRUSTED };
        write!(f, "{VERSION};{stream};{stream_seq};{received_us};{trust}")
    }
}

/// The envelope of a reprocessed message. `payload` is JSON text; the blanks that PostgreSQL puts into it would count as its size.
pub fn envelope(topic: &str, payload: &str) -> String {
    format!(r#"{{"topic":{},"payload":{}}}"#, serde_json::Value::from(topic), compact(payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = b"{}";

    fn key(byte: u8) -> Key {
        Key::new(&[byte; 32]).unwrap()
    }

    fn origin() -> FirstDelivery {
        FirstDelivery {
            stream: "TELEMETRY".to_owned(),
            stream_seq: 120,
            received_us: 1_770_628_523_045_000,
            trusted: true,
        }
    }

    #[test]
    fn a_header_is_the_facts_and_their_hmac() {
        let header = origin().header(&key(7), BODY);
        // As Python's hmac module makes it of the facts' length (8 bytes, big-endian), the facts and the body.
        let proof = "5ec92cb32159fb03aef1de2a47581f8ba7f1d6fae5c61c4412220c0445dcc707";
        assert_eq!(header, format!("v1;TELEMETRY;120;1770628523045000;trusted;{proof}"));
    }

    #[test]
    fn only_the_key_of_the_database_proves_anything() {
        let header = origin().header(&key(7), BODY);
        assert_eq!(FirstDelivery::proven(&header, &key(7), BODY), Some(origin()));
        assert_eq!(FirstDelivery::proven(&header, &key(8), BODY), None);
        assert_eq!(FirstDelivery::proven(&header, &key(7), b"{ }"), None);
        assert_eq!(FirstDelivery::proven(&header.to_uppercase(), &key(7), BODY), None);
    }

    #[test]
    fn an_untrusted_origin_can_not_be_made_trusted() {
        let untrusted = FirstDelivery { trusted: false, ..origin() }.header(&key(7), BODY);
        assert_eq!(FirstDelivery::proven(&untrusted.replace("judged", "trusted"), &key(7), BODY), None);
    }

    #[test]
    fn text_that_is_no_header_proves_nothing() {
        for text in ["", ";", "v1", "v1;TELEMETRY;120;5;trusted", "v1;TELEMETRY;120;5;trusted;", ";;;;;;"] {
            assert_eq!(FirstDelivery::proven(text, &key(7), BODY), None, "{text}");
        }
        for facts in ["v2;S;1;5;trusted", "v1;S;1;5;yes", "v1;S;-1;5;trusted", "v1;1;5;trusted"] {
            let header = format!("{facts};{}", key(7).sign(facts, BODY));
            assert_eq!(FirstDelivery::proven(&header, &key(7), BODY), None, "{facts}");
        }
    }

    #[test]
    fn a_key_is_32_bytes_and_stays_out_of_logs() {
        assert_eq!((Key::new(b""), Key::new(&[0; 31]), Key::new(&[0; 33])), (None, None, None));
        assert_eq!(format!("{:?}", key(7)), "***");
    }

    #[test]
    fn an_envelope_has_no_blanks_but_those_in_strings() {
        assert_eq!(
            envelope("tenant/a \"b\"/device/d/t", r#"{"a \" b\\": [1, 2], "c": " \\"}"#),
            r#"{"topic":"tenant/a \"b\"/device/d/t","payload":{"a \" b\\":[1,2],"c":" \\"}}"#
        );
    }
}
