//! The common name of a certificate.

use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::der::asn1::{Ia5StringRef, PrintableStringRef, TeletexStringRef, Utf8StringRef};
use x509_cert::der::oid::ObjectIdentifier;

/// `commonName`.
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// The common name of a certificate's subject; `None` where it has none, or several: which one would count is anybody's guess.
pub(super) fn common_name(certificate: &[u8]) -> Option<String> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let subject = &certificate.tbs_certificate.subject;
    let mut names = subject.0.iter().flat_map(|set| set.0.iter()).filter(|attribute| attribute.oid == COMMON_NAME);
    let name = &names.next()?.value;
    if names.next().is_some() {
        return None;
    }
    let text = name
        .decode_as::<Utf8StringRef<'_>>()
        .map(|text| text.to_string())
        .or_else(|_| name.decode_as::<PrintableStringRef<'_>>().map(|text| text.to_string()))
        .or_else(|_| name.decode_as::<Ia5StringRef<'_>>().map(|text| text.to_string()))
        .or_else(|_| name.decode_as::<TeletexStringRef<'_>>().map(|text| text.to_string()));
    text.ok()
}
