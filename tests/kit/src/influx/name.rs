//! Which database names the server takes.

/// Longest name on the v3 endpoints, in bytes.
const MAX_LEN: usize = 511;

/// Checks a database name (`name` or `name/retention_policy`).
///
/// # Errors
/// The server's message.
pub(super) fn check(name: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '/');
    if name.is_empty() {
        return Err("db name cannot be empty".to_owned());
    }
    if name.len() > MAX_LEN {
        return Err(format!("db name too long: max {MAX_LEN}"));
    }
    if !name.chars().all(allowed) {
        return Err("invalid character in database or rp name: must be ASCII, containing only letters, numbers, \
                    underscores, or hyphens"
            .to_owned());
    }
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Err("db name did not start with a number or letter".to_owned());
    }
    if name.matches('/').count() > 1 || name.ends_with('/') {
        return Err("db name with invalid retention policy, if providing a retention policy name, must be of form \
                    '<db_name>/<rp_name>'"
            .to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn names_are_checked_as_the_server_does() {
        for good in ["telemetry_acme-co", "1x", "UPPER", "a/b", "a-", &"a".repeat(511)] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for (bad, why) in [
            ("", "cannot be empty"),
            ("telemetry_a b", "invalid character"),
            ("a.b", "invalid character"),
            ("é", "invalid character"),
            ("_x", "did not start"),
            ("-x", "did not start"),
            ("/a", "did not start"),
            ("a/b/c", "retention policy"),
            ("a/", "retention policy"),
            (&"a".repeat(512), "too long: max 511"),
        ] {
            assert!(check(bad).unwrap_err().contains(why), "{bad}");
        }
    }
}
