//! Names of a tenant in other systems: its token in NATS subjects and its metric label.
//!
//! Tenant ids are arbitrary text, these alphabets are restricted. Every rule is injective: two tenants never share a name.

use std::borrow::Cow;
use std::fmt::Write;

use super::digest::sha256_hex;

/// Longest token of a subject: a subject must fit a NATS protocol line (4096 bytes by default).
const MAX_TOKEN_BYTES: usize = 1024;
/// The `tenant` label of all tenants that have no series of their own. No tenant's label equals it: in those a `%` is
/// followed by another `%` or by hexadecimal digits.
pub const OTHER_TENANTS_LABEL: &str = "%other";
/// Longest metric label.
const MAX_LABEL_BYTES: usize = 64;

/// The token that stands for a tenant or a device in a NATS subject (`routes.{token}`).
///
/// 1. Every byte of the id's UTF-8 that is not a visible ASCII character, and every `.`, `*`, `>` and `%`, becomes `%`
///    and two upper-case hexadecimal digits (`a.b c` is `a%2Eb%20c`); an id without such bytes stays as it is.
/// 2. Where that is longer than 1024 bytes: `%%` and the SHA-256 of the id in lower-case hexadecimal.
/// 3. The empty id (no topic has one) is `%`.
pub fn subject_token(tenant: &str) -> Cow<'_, str> {
    let stays = |b: u8| b.is_ascii_graphic() && !matches!(b, b'.' | b'*' | b'>' | b'%');
    if tenant.is_empty() {
        return Cow::Borrowed("%");
    }
    let token = percent_encoded(tenant, stays);
    if token.len() > MAX_TOKEN_BYTES { Cow::Owned(format!("%%{}", sha256_hex(tenant.as_bytes()))) } else { token }
}

/// The subject that a producer publishes a device's message to: `{lane}.{tenant}.{device}`, where `lane` is `telemetry`,
/// `shadow` or `commands`, and both ids are as [`subject_token`] makes them.
pub fn subject_of_device(lane: &str, tenant: &str, device: &str) -> String {
    format!("{lane}.{}.{}", subject_token(tenant), subject_token(device))
}

/// The value of a `tenant` label: short, and valid between quotation marks in Prometheus' text format.
///
/// 1. Every byte of the id's UTF-8 that is not a visible ASCII character, and every `"`, `\` and `%`, becomes `%` and
///    two upper-case hexadecimal digits.
/// 2. Where that is longer than 64 bytes: `%%` and the first 32 digits of the id's SHA-256 in lower-case hexadecimal.
pub fn metric_label(tenant: &str) -> Cow<'_, str> {
    let label = percent_encoded(tenant, |b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\' | b'%'));
    if label.len() > MAX_LABEL_BYTES {
        Cow::Owned(format!("%%{}", &sha256_hex(tenant.as_bytes())[..32]))
    } else {
        label
    }
}

/// Text with `%` and two upper-case hexadecimal digits for every byte that does not stay (`%` itself must be one of them).
pub(crate) fn percent_encoded(text: &str, stays: impl Fn(u8) -> bool) -> Cow<'_, str> {
    if text.bytes().all(&stays) { Cow::Borrowed(text) } else { Cow::Owned(escaped("", '%', text, stays)) }
}

/// `prefix`, then `text` with the mark and two hexadecimal digits for every byte that does not stay (the mark itself
/// must be one of them).
pub(crate) fn escaped(prefix: &str, mark: char, text: &str, stays: impl Fn(u8) -> bool) -> String {
    let mut out = String::with_capacity(prefix.len() + text.len() + 16);
    out.push_str(prefix);
    for byte in text.bytes() {
        if stays(byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String never fails.
            let _ = write!(out, "{mark}{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_tenant_has_the_label_of_all_others() {
        for tenant in ["%other", "other", "%25other", "%", "", &"%other".repeat(20)] {
            let label = metric_label(tenant);
            assert_ne!(label, OTHER_TENANTS_LABEL);
            // After a `%`, anything but another one is of a number.
            let follows = label.split('%').skip(1).all(|rest| !rest.starts_with('o'));
            assert!(follows, "{label}");
        }
    }

    #[test]
    fn a_subject_token_has_no_dots_blanks_or_wildcards() {
        for (tenant, token) in [
            ("acme", "acme"),
            ("a-b_c:d/e", "a-b_c:d/e"),
            ("a.b c", "a%2Eb%20c"),
            ("*", "%2A"),
            (">", "%3E"),
            ("100%", "100%25"),
            ("tab\tnl\n\x7F", "tab%09nl%0A%7F"),
            ("é", "%C3%A9"),
            ("", "%"),
        ] {
            assert_eq!(subject_token(tenant), token);
        }
        let long = ".".repeat(400);
        assert!(subject_token(&long).starts_with("%%") && subject_token(&long).len() == 66);
    }

    #[test]
    fn a_label_is_short_and_needs_no_escapes() {
        assert_eq!(metric_label("a.b*c"), "a.b*c");
        assert_eq!(metric_label("a\"b\\c\n"), "a%22b%5Cc%0A");
        assert_eq!(metric_label(&"é".repeat(40)).len(), 34);
    }
}
