//! The server: version, JetStream, account.

use super::{ABOUT, Session};
use crate::app::preflight::result::CheckResult;
use crate::config::Config;
use crate::nats::account::{AccountInfo, account};

/// What a result about JetStream as a whole is about.
pub(super) const JETSTREAM: &str = "nats jetstream";

const VERSION: &str = "nats version";

/// The oldest version that the node is tested with.
const TESTED: (u64, u64, u64) = (2, 9, 10);

/// Streams that the node makes where they are missing: of three lanes, and of route jobs. With alerts it is one more.
const STREAMS: i64 = 4;

/// Connection, version and JetStream.
pub(super) async fn check(config: &Config, session: &Session) -> Vec<CheckResult> {
    let needed = STREAMS + i64::from(config.state.silence.enabled);
    let info = session.client.server_info();
    let name = if info.server_name.is_empty() { &info.server_id } else { &info.server_name };
    let cluster = info.cluster.as_deref().map(|cluster| format!(" of cluster {cluster}")).unwrap_or_default();
    let mut results = vec![CheckResult::ok(ABOUT, format!("connected to {name}{cluster}")), version(&info.version)];
    match account(&session.context).await {
        Ok(Some(account)) => results.extend(limits(&account, needed)),
        // Not permitted: the node does without.
        Ok(None) => results.push(CheckResult::ok(JETSTREAM, "the account's limits are not shown")),
        Err(why) => results.push(CheckResult::err(
            JETSTREAM,
            format!("the account has no JetStream: {why}"),
            "enable JetStream on the server (-js, jetstream { store_dir }) and for the account (jetstream: enabled)",
        )),
    }
    results
}

fn version(found: &str) -> CheckResult {
    let said = format!("nats-server {found}");
    match read(found) {
        Some(version) if version < TESTED => {
            let (major, minor, patch) = TESTED;
            let advice =
                format!("upgrade it: {major}.{minor}.{patch} is the oldest version that the node is tested with");
            CheckResult::warn(VERSION, said, advice)
        }
        _ => CheckResult::ok(VERSION, said),
    }
}

/// `2.10.4-beta.1` is (2, 10, 4).
fn read(version: &str) -> Option<(u64, u64, u64)> {
    let mut numbers = version.trim_start_matches('v').split(['.', '-', '+']).map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??, numbers.next()??))
}

/// The account's limits, as far as the node could meet them.
fn limits(account: &AccountInfo, needed: i64) -> Vec<CheckResult> {
    let mut results = Vec::new();
    let limits = &account.limits;
    let (streams, most) = (account.streams, limits.max_streams);
    if most > 0 && most < needed {
        results.push(CheckResult::warn(
            JETSTREAM,
            format!("the account may have {most} streams ({streams} are there), the node needs {needed}"),
            "raise max_streams of the account",
        ));
    }
    if limits.max_bytes_required {
        results.push(CheckResult::warn(
            JETSTREAM,
            "the account demands max_bytes of every stream",
            "set nats.stream_max_bytes, or make the streams by hand",
        ));
    }
    let (used, most) = (account.storage, limits.max_storage);
    if most > 0 && used > most / 10 * 9 {
        results.push(CheckResult::warn(
            JETSTREAM,
            format!("{used} of the account's {most} bytes of storage are used"),
            "raise the account's limit, or let streams keep less: a full account refuses every producer",
        ));
    }
    if results.is_empty() {
        results.push(CheckResult::ok(JETSTREAM, format!("enabled, {streams} streams")));
    }
    results
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::preflight::result::Level;

    #[test]
    fn a_version_is_compared_as_numbers() {
        for (found, level) in [
            ("2.9.10", Level::Ok),
            ("2.10.0", Level::Ok),
            ("2.12.1-beta.2", Level::Ok),
            ("2.9.9", Level::Warn),
            ("2.2.6", Level::Warn),
            ("a dream", Level::Ok),
        ] {
            assert_eq!(version(found).level, level, "{found}");
        }
    }
}
