//! What is refused before anything is looked up: names that are too long, subjects of others, what is too large, and what
//! the quarantine keeps of all that.

mod crash;
mod kept;
mod names;
mod side_lanes;
mod subject;

use std::collections::BTreeMap;

use ingest_kit::Database;

/// The rejections so far, by tenant and reason.
async fn counted(database: &Database) -> BTreeMap<(String, String), i64> {
    let sql = "SELECT tenant_id, reason, sum(cnt)::bigint FROM quarantine_counters_minute GROUP BY 1, 2";
    database.query(sql, &[]).await.iter().map(|row| ((row.get(0), row.get(1)), row.get(2))).collect()
}

/// An entry of [`counted`].
fn count(tenant: &str, reason: &str, count: i64) -> ((String, String), i64) {
    ((tenant.to_owned(), reason.to_owned()), count)
}
