//! InfluxDB: whether it answers, takes points as they are configured, and can hold every tenant.

use std::time::Duration;

use tokio::time::timeout;

use super::capacity::{self, ABOUT};
use super::deadline::Deadline;
use super::result::CheckResult;
use super::shared::Later;
use crate::sink::influx::error::RequestError;
use crate::sink::influx::{Backend, Config, Probe};

/// What a result about writing is about.
const WRITE: &str = "influxdb write";

/// Longest wait for PostgreSQL, which knows the tenants: a write is tried without them, too.
const WAIT: Duration = Duration::from_secs(4);

/// Whose database a write is tried to while no tenant is known.
const NO_TENANT: &str = "doctor";

/// The results about InfluxDB.
pub(super) async fn check(config: &Config, deadline: Deadline, tenants: &Later<Vec<String>>) -> Vec<CheckResult> {
    if !config.write_enabled {
        return vec![CheckResult::ok(ABOUT, "INFLUXDB_WRITE_ENABLED is off: no points are written")];
    }
    let backend = match Backend::new(config) {
        Ok(backend) => backend,
        Err(why) => return vec![CheckResult::err(ABOUT, why.to_string(), "correct the setting")],
    };
    let looked = deadline.of(ABOUT, look(config, &backend, tenants)).await;
    looked.unwrap_or_else(|result| vec![result])
}

async fn look(config: &Config, backend: &Backend, tenants: &Later<Vec<String>>) -> Vec<CheckResult> {
    // A bucket may differ from tenant to tenant, so it is one of theirs that is tried.
    let tenants = timeout(WAIT, tenants.get()).await.ok().flatten();
    let first = tenants.as_ref().and_then(|tenants| tenants.first()).map_or(NO_TENANT, String::as_str);
    let (probe, capacity) = tokio::join!(backend.probe(first), async {
        match &tenants {
            Some(tenants) => Some(backend.check(tenants).await),
            None => None,
        }
    });
    let mut results = Vec::new();
    match probe {
        Err(why) => return vec![away(config, &why)],
        Ok(probe) => results.extend(probe.map(|probe| assess(&probe, backend.address(), &backend.database(first)))),
    }
    // One thing that is wrong is not said twice: who may not write, may not look either.
    let writes = results.iter().all(|result| result.advice.is_none());
    match capacity {
        Some(Ok(report)) => results.insert(0, capacity::result(report)),
        Some(Err(why)) if writes => {
            let found = format!("databases can't be looked at: {why}");
            results.push(CheckResult::warn(ABOUT, found, "give the token the right to list databases: without it a full server is noticed only when it refuses a tenant"));
        }
        Some(Err(_)) | None => {}
    }
    results
}

fn assess(probe: &Probe, address: String, database: &str) -> CheckResult {
    match probe {
        Probe::Accepted => CheckResult::ok(WRITE, format!("{address} takes points")),
        Probe::TokenRefused(said) => CheckResult::err(
            WRITE,
            format!("the token is refused, {said}"),
            "check INFLUXDB_TOKEN: the token alone, with the right to write",
        ),
        Probe::NotFound(said) => CheckResult::err(
            WRITE,
            format!("{database} is not there, {said}"),
            "check INFLUXDB_ORG and INFLUXDB_BUCKET; `ingest-node provision-tenants` shows what each tenant needs",
        ),
        Probe::OtherApi(said) => CheckResult::err(
            WRITE,
            format!("{address} does not know the API that points are written by, {said}"),
            "check INFLUXDB_API (v3: InfluxDB 3; v2: InfluxDB 2, VictoriaMetrics) and INFLUXDB_URL",
        ),
        Probe::NewerApi(product) => CheckResult::warn(
            WRITE,
            format!("{address} is {product}, asked by its v2 API, which does not name the lines that it refuses"),
            "set INFLUXDB_API=v3",
        ),
        Probe::Failed(said) => CheckResult::err(
            WRITE,
            format!("a write is answered with {said}"),
            "check INFLUXDB_URL, and the server's own log",
        ),
    }
}

fn away(config: &Config, why: &RequestError) -> CheckResult {
    let is_https = config.target.url.as_deref().is_some_and(|url| url.trim().starts_with("https"));
    let advice = if is_https {
        "check INFLUXDB_URL, that the port speaks TLS (else http://), and INFLUXDB_CA_FILE for an authority of your own"
    } else {
        "check INFLUXDB_URL, and that the server runs; one that demands TLS needs https://"
    };
    CheckResult::away(ABOUT, format!("no answer: {why}"), advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_has_its_setting_in_the_advice() {
        for (probe, setting) in [
            (Probe::TokenRefused("status 401".to_owned()), "INFLUXDB_TOKEN"),
            (Probe::NotFound("status 404".to_owned()), "INFLUXDB_BUCKET"),
            (Probe::OtherApi("status 404".to_owned()), "INFLUXDB_API"),
            (Probe::NewerApi("InfluxDB 3 Core".to_owned()), "INFLUXDB_API=v3"),
            (Probe::Failed("status 500".to_owned()), "INFLUXDB_URL"),
        ] {
            let result = assess(&probe, "http://h".to_owned(), "d");
            assert!(result.advice.is_some_and(|advice| advice.contains(setting)), "{probe:?}");
        }
    }
}
