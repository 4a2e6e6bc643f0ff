//! Whether an InfluxDB server can hold a database for every tenant.

use std::collections::BTreeSet;

/// How many databases a server holds, by the name that it gives itself (`product_name` of `GET /ping`); `None` where no
/// limit is known. The limits are built into the editions of InfluxDB 3.
pub fn most_databases(product: &str) -> Option<usize> {
    if product.contains("Enterprise") {
        Some(100)
    } else if product.contains("Core") {
        Some(5)
    } else {
        None
    }
}

/// What to do, where a server that holds `most` databases has no room for those that are `wanted` beside those that
/// `exist`; `None` where it has.
pub fn advice(product: &str, most: usize, exist: &BTreeSet<String>, wanted: &BTreeSet<String>) -> Option<String> {
    let missing = wanted.difference(exist).count();
    let room = most.saturating_sub(exist.len());
    (missing > room).then(|| {
        format!(
            "{product} holds {most} databases; {} are there and {missing} more are needed, so {} of {} tenants will have \
             none and their points stay on record: set INFLUXDB_DATABASE_LAYOUT=shared (one database for all, the tenant \
             as a tag), or use an edition or several servers that hold more",
            exist.len(),
            missing - room,
            wanted.len(),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn editions_are_told_apart_by_their_names() {
        assert_eq!(most_databases("InfluxDB 3 Core"), Some(5));
        assert_eq!(most_databases("InfluxDB 3 Enterprise"), Some(100));
        assert_eq!(most_databases("InfluxDB Cloud"), None);
    }

    #[test]
    fn a_server_with_room_needs_no_advice() {
        let advice = |exist: &[&str], wanted: &[&str]| advice("InfluxDB 3 Core", 5, &names(exist), &names(wanted));
        assert_eq!(advice(&[], &["a", "b", "c", "d", "e"]), None);
        assert_eq!(advice(&["x", "y", "a"], &["a", "b", "c"]), None);
        assert_eq!(advice(&["a", "b", "c", "d", "e", "f"], &["a", "b"]), None);
        let text = advice(&["x", "y", "a"], &["a", "b", "c", "d"]).unwrap();
        assert!(text.contains("3 are there and 3 more are needed, so 1 of 4 tenants"), "{text}");
        assert!(text.contains("INFLUXDB_DATABASE_LAYOUT=shared"), "{text}");
    }
}
