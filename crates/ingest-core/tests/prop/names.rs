use ingest_core::influx::names::{influx_bucket, influx_database};
use ingest_core::message::names::{metric_label, subject_token};
use proptest::prelude::*;

/// Ids that are most likely to collide: of few characters, among them those of escapes.
fn ids() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ab_%.x 2-]{0,6}",
        "(telemetry[_-])?[xh]?-{0,2}[0-9A-F_%.]{0,6}",
        "(x--|h--)?[a_2.-]{0,4}",
        "[xh]--[0-9a-f]{32}",
        "\\PC{0,6}",
        "[\\x00-\\x7F]{0,4}",
        "(a|\\.|é){480,520}",
        "[.é]{300,400}",
    ]
}

/// The template that buckets have where none is set.
const TEMPLATE: &str = "telemetry_{tenant_id}";

/// Whether InfluxDB 3 takes a database of this name.
fn is_database(name: &str) -> bool {
    name.len() <= 511
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

proptest! {
    #[test]
    fn two_tenants_never_share_a_name(one in ids(), other in ids()) {
        prop_assume!(one != other);
        prop_assert_ne!(influx_database(&one), influx_database(&other));
        prop_assert_ne!(influx_bucket(TEMPLATE, &one), influx_bucket(TEMPLATE, &other));
        prop_assert_ne!(subject_token(&one), subject_token(&other));
        prop_assert_ne!(metric_label(&one), metric_label(&other));
    }

    #[test]
    fn a_tenant_may_be_named_like_another_ones_database(id in ids()) {
        // The names that the rules write are tenant ids too.
        for name in [influx_database(&id), subject_token(&id).into_owned(), metric_label(&id).into_owned()] {
            let bucket = influx_bucket(TEMPLATE, &id);
            let parts = [&*name, &*bucket].map(|name| name.strip_prefix("telemetry_").unwrap_or(name));
            for other in [&*name, &*bucket].into_iter().chain(parts) {
                prop_assert_eq!(influx_database(other) == influx_database(&id), other == id);
                prop_assert_eq!(influx_bucket(TEMPLATE, other) == influx_bucket(TEMPLATE, &id), other == id);
                prop_assert_eq!(subject_token(other) == subject_token(&id), other == id);
                prop_assert_eq!(metric_label(other) == metric_label(&id), other == id);
            }
        }
    }

    #[test]
    fn names_keep_to_their_alphabets(id in ids()) {
        prop_assert!(is_database(&influx_database(&id)));
        let bucket = influx_bucket(TEMPLATE, &id);
        prop_assert!(is_database(&bucket) && bucket.len() <= 64, "{bucket}");
        let token = subject_token(&id);
        prop_assert!(!token.is_empty() && token.len() <= 1024);
        prop_assert!(token.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'.' | b'*' | b'>')));
        let label = metric_label(&id);
        prop_assert!(label.len() <= 64 && label.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\')));
    }

    #[test]
    fn plain_ids_stay_as_they_are(id in "[A-Za-z0-9_-]{1,60}") {
        prop_assert_eq!(influx_database(&id), format!("telemetry_{id}"));
        prop_assert_eq!(&*subject_token(&id), &*id);
        prop_assert_eq!(&*metric_label(&id), &*id);
    }
}
