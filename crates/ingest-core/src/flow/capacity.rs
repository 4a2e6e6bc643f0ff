//! Capacity advice: whether an InfluxDB server can hold a database for every tenant.

use std::collections::BTreeSet;

/// Most databases of a server, by the name that it reports (`product_name` of `GET /ping`); `None` where no
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

/// The databases that exist on a server, and those that the tenants need.
#[derive(Clone, Debug)]
pub struct Demand {
    /// Those that exist.
    pub exist: BTreeSet<String>,
    /// Those that the tenants need: one for each, or one for all.
    pub wanted: BTreeSet<String>,
    /// How many tenants there are.
    pub tenants: usize,
    /// Whether all tenants share one database.
    pub is_shared: bool,
}

/// What an operator can do where a server that holds at most `most` databases has no capacity for those that are wanted
/// beside those that exist; `None` where it has.
pub fn advice(product: &str, most: usize, demand: &Demand) -> Option<String> {
    let Demand { exist, wanted, tenants, is_shared } = demand;
    let missing = wanted.difference(exist).count();
    let room = most.saturating_sub(exist.len());
    if missing <= room {
        return None;
    }
    let there = format!("{product} holds {most} databases; {} are there", exist.len());
    if *is_shared {
        return Some(format!(
            "{there} and the one that all tenants share is not among them, so none of {tenants} tenants will have one and \
             their points stay on record: drop a database that is not needed, set INFLUXDB_DATABASE to one that is there, \
             or use an edition or a server that holds more"
        ));
    }
    Some(format!(
        "{there} and {missing} more are needed, so {} of {tenants} tenants will have none and their points stay on record: \
         set INFLUXDB_DATABASE_LAYOUT=shared (one database for all, the tenant as a tag), or use an edition or several \
         servers that hold more",
        missing - room,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_name_of_an_edition_determines_its_limit() {
        assert_eq!(most_databases("InfluxDB 3 Core"), Some(5));
        assert_eq!(most_databases("InfluxDB 3 Enterprise"), Some(100));
        assert_eq!(most_databases("InfluxDB Cloud"), None);
    }

    #[test]
    fn a_server_with_room_needs_no_advice() {
        let demand = |exist: &[&str], wanted: &[&str]| Demand {
            exist: names(exist),
            wanted: names(wanted),
            tenants: wanted.len(),
            is_shared: false,
        };
        let advice = |exist: &[&str], wanted: &[&str]| advice("InfluxDB 3 Core", 5, &demand(exist, wanted));
        assert_eq!(advice(&[], &["a", "b", "c", "d", "e"]), None);
        assert_eq!(advice(&["x", "y", "a"], &["a", "b", "c"]), None);
        assert_eq!(advice(&["a", "b", "c", "d", "e", "f"], &["a", "b"]), None);
        let text = advice(&["x", "y", "a"], &["a", "b", "c", "d"]).unwrap();
        assert!(text.contains("3 are there and 3 more are needed, so 1 of 4 tenants"), "{text}");
        assert!(text.contains("INFLUXDB_DATABASE_LAYOUT=shared"), "{text}");
    }

    #[test]
    fn tenants_that_share_a_database_have_it_or_have_none() {
        let shared = |exist: &[&str]| {
            let demand = Demand { exist: names(exist), wanted: names(&["telemetry"]), tenants: 6, is_shared: true };
            advice("InfluxDB 3 Core", 5, &demand)
        };
        assert_eq!(shared(&["a", "b", "c", "d"]), None);
        assert_eq!(shared(&["a", "b", "c", "d", "telemetry"]), None);
        let text = shared(&["a", "b", "c", "d", "e"]).unwrap();
        assert!(text.contains("5 are there") && text.contains("none of 6 tenants"), "{text}");
        assert!(!text.contains("INFLUXDB_DATABASE_LAYOUT"), "{text}");
    }
}
