//! The statements. Every change of a device locks its row of the registry first: changes of one device happen one after the
//! other, and the last one to commit is the one that holds.

/// Registers a device, or its new site and metadata; whether it is new.
pub(super) const REGISTER: &str = "
INSERT INTO device_registry AS r (tenant_id, device_id, site_id, status, fw_version, metadata)
VALUES ($1, $2, $3, 'ACTIVE', $4, $5::text::jsonb)
ON CONFLICT (tenant_id, device_id) DO UPDATE
SET site_id = excluded.site_id, status = 'ACTIVE', fw_version = coalesce(excluded.fw_version, r.fw_version),
    metadata = excluded.metadata, updated_at = now()
RETURNING r.xmax = 0";

/// Locks a device's row: its status and the hash of its token.
pub(super) const LOCK: &str = "
SELECT status::text, provision_token_hash::text FROM device_registry
WHERE tenant_id = $1 AND device_id = $2 FOR NO KEY UPDATE";

/// Codes of a device that were not used work no longer.
pub(super) const FORGET_CODES: &str =
    "DELETE FROM device_activation WHERE tenant_id = $1 AND device_id = $2 AND used_at IS NULL";

/// Records the hash of a new code; until when it works.
pub(super) const ISSUE_CODE: &str = r#"
INSERT INTO device_activation (tenant_id, device_id, activation_code_hash, site_id, expires_at)
VALUES ($1, $2, $3, $4, now() + make_interval(mins => $5))
RETURNING to_char(expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"#;

/// Uses a code up. The transaction may have waited for the device's row: what counts is the time by now.
pub(super) const USE_CODE: &str = "
UPDATE device_activation SET used_at = clock_timestamp()
WHERE tenant_id = $1 AND device_id = $2 AND activation_code_hash = $3
  AND used_at IS NULL AND expires_at > clock_timestamp()";

/// Whether a code that can't be used was used before.
pub(super) const IS_USED: &str = "
SELECT used_at IS NOT NULL FROM device_activation
WHERE tenant_id = $1 AND device_id = $2 AND activation_code_hash = $3";

/// Gives an active device its token.
pub(super) const ACTIVATE: &str = "
UPDATE device_registry SET status = 'ACTIVE', provision_token_hash = $3, updated_at = now()
WHERE tenant_id = $1 AND device_id = $2";

/// Gives a device another token, whatever its status.
pub(super) const ROTATE: &str = "
UPDATE device_registry SET provision_token_hash = $3, updated_at = now() WHERE tenant_id = $1 AND device_id = $2";

/// Takes a device's access away.
pub(super) const REVOKE: &str = "
UPDATE device_registry SET status = 'REVOKED', updated_at = now() WHERE tenant_id = $1 AND device_id = $2";

/// A row of the history: what happened, and the hash of the token that it was about.
pub(super) const RECORD: &str =
    "INSERT INTO device_token_history (tenant_id, device_id, action, token_hash) VALUES ($1, $2, $3, $4)";

/// Lists devices. Filters and limit follow, see [`list`].
const LIST: &str = r#"
SELECT tenant_id::text, device_id::text, site_id::text, status::text, fw_version::text, provision_token_hash IS NOT NULL,
    to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
FROM device_registry"#;

/// The list with these filters (columns of the registry, as `$1`, `$2`, ..): a condition that is not there costs no index.
pub(super) fn list(filters: &[&'static str], limit: u32) -> String {
    let conditions: Vec<String> =
        filters.iter().zip(1..).map(|(column, number)| format!("{column}::text = ${number}")).collect();
    let filter = if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
    format!("{LIST}{filter} ORDER BY tenant_id, device_id LIMIT {limit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_filters_that_are_asked_for_are_conditions() {
        assert!(list(&[], 7).ends_with("FROM device_registry ORDER BY tenant_id, device_id LIMIT 7"));
        let filtered = list(&["tenant_id", "status"], 1);
        assert!(filtered.contains(" WHERE tenant_id::text = $1 AND status::text = $2 ORDER BY"), "{filtered}");
    }
}
