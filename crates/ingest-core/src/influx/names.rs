//! Names in InfluxDB: the database and the bucket of a tenant.
//!
//! Tenant ids are arbitrary text, these alphabets are restricted. Every rule is injective: two tenants never share a name.

use std::borrow::Cow;

use crate::message::digest::sha256_hex;
use crate::message::names::{escaped, percent_encoded};

/// Prefix of a plain tenant's database.
const PLAIN_DATABASE: &str = "telemetry_";
/// Prefix of any other tenant's database. No plain name begins with it.
const ESCAPED_DATABASE: &str = "telemetry-x-";
/// Prefix of a database whose escaped name would be too long.
const HASHED_DATABASE: &str = "telemetry-h-";
/// Longest database name that InfluxDB 3 takes.
const MAX_DATABASE_BYTES: usize = 511;
/// The placeholder for the tenant in a bucket's template.
pub const TENANT_PLACE: &str = "{tenant_id}";
/// Longest bucket name that InfluxDB 3 takes on its v2 endpoint; InfluxDB 2 takes longer ones.
const MAX_BUCKET_BYTES: usize = 64;

/// The InfluxDB database of a tenant.
///
/// 1. An id of ASCII letters, digits, `_` and `-` alone, at most 501 of them: `telemetry_{id}`.
/// 2. Any other: `telemetry-x-` and the id, in which every byte of its UTF-8 that is no ASCII letter, no digit and no
///    `-` becomes `_` and two upper-case hexadecimal digits (`a b` is `telemetry-x-a_20b`, `a_.b` is
///    `telemetry-x-a_5F_2Eb`).
/// 3. Where that is longer than 511 bytes: `telemetry-h-` and the SHA-256 of the id in lower-case hexadecimal.
///
/// No two of the three are ever equal, as their prefixes differ.
pub fn influx_database(tenant: &str) -> String {
    let name = if is_plain(tenant) {
        format!("{PLAIN_DATABASE}{tenant}")
    } else {
        escaped(ESCAPED_DATABASE, '_', tenant, |b| b.is_ascii_alphanumeric() || b == b'-')
    };
    if name.len() > MAX_DATABASE_BYTES { format!("{HASHED_DATABASE}{}", sha256_hex(tenant.as_bytes())) } else { name }
}

/// The InfluxDB 2 bucket of a tenant: the template, with `{tenant_id}` replaced by the tenant's part.
///
/// 1. An id of ASCII letters, digits, `_` and `-` alone that begins with neither `x--` nor `h--` is its own part.
/// 2. Any other: `x--` and the id, escaped as in [`influx_database`].
/// 3. Where the bucket's name is longer than 64 bytes: `h--` and the first 32 digits of the id's SHA-256 in lower-case
///    hexadecimal.
pub fn influx_bucket(template: &str, tenant: &str) -> String {
    let is_marked = tenant.starts_with("x--") || tenant.starts_with("h--");
    let part = if is_plain(tenant) && !is_marked {
        tenant.to_owned()
    } else {
        escaped("x--", '_', tenant, |b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let name = template.replace(TENANT_PLACE, &part);
    if name.len() > MAX_BUCKET_BYTES {
        template.replace(TENANT_PLACE, &format!("h--{}", &sha256_hex(tenant.as_bytes())[..32]))
    } else {
        name
    }
}

/// Whether an id can be part of a database's name as it is.
fn is_plain(tenant: &str) -> bool {
    !tenant.is_empty() && tenant.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

/// Text as part of a URL's query: everything but RFC 3986's unreserved characters percent-encoded.
pub fn query_value(text: &str) -> Cow<'_, str> {
    percent_encoded(text, |b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_tenant_has_a_plain_database() {
        for tenant in ["acme", "ACME-2_b", "0", "-", "_x", "nt-1"] {
            assert_eq!(influx_database(tenant), format!("telemetry_{tenant}"));
        }
    }

    #[test]
    fn any_other_tenant_has_an_escaped_one() {
        for (tenant, database) in [
            ("a b", "telemetry-x-a_20b"),
            ("a_.b", "telemetry-x-a_5F_2Eb"),
            ("a.b-c", "telemetry-x-a_2Eb-c"),
            ("müller & söhne", "telemetry-x-m_C3_BCller_20_26_20s_C3_B6hne"),
            ("../x", "telemetry-x-_2E_2E_2Fx"),
            ("", "telemetry-x-"),
        ] {
            assert_eq!(influx_database(tenant), database);
        }
    }

    #[test]
    fn a_long_tenant_has_a_hashed_one() {
        let longest = "x".repeat(501);
        assert_eq!(influx_database(&longest), format!("telemetry_{longest}"));
        let name = influx_database(&"x".repeat(502));
        assert_eq!(name, format!("telemetry-h-{}", sha256_hex("x".repeat(502).as_bytes())));
        assert_ne!(name, influx_database(&"x".repeat(503)));
        assert!(influx_database(&"é".repeat(84)).starts_with("telemetry-h-"));
        assert!(influx_database(&"é".repeat(83)).starts_with("telemetry-x-_C3_A9"));
    }

    #[test]
    fn a_bucket_is_its_template_with_the_tenant_in_it() {
        let bucket = |tenant: &str| influx_bucket("iot_{tenant_id}", tenant);
        for (tenant, name) in [
            ("acme", "iot_acme"),
            ("a_b-c", "iot_a_b-c"),
            ("a b", "iot_x--a_20b"),
            ("x--a_20b", "iot_x--x--a_5F20b"),
            ("h--0", "iot_x--h--0"),
            ("", "iot_x--"),
        ] {
            assert_eq!(bucket(tenant), name);
        }
        let long = bucket(&"x".repeat(61));
        assert_eq!((long.len(), &long[..7]), (39, "iot_h--"));
        assert_eq!(influx_bucket("everything", "acme"), "everything");
        assert_eq!(query_value("my org&b=\u{e9}"), "my%20org%26b%3D%C3%A9");
    }
}
