//! InfluxDB: whether it answers, takes points as they are configured, and can hold every tenant.

use super::capacity::{self, ABOUT};
use super::deadline::Deadline;
use super::finding::Finding;
use super::shared::Later;
use crate::sink::influx::{Backend, Config, Probe};

/// What a finding about writing is about.
const WRITE: &str = "influxdb write";

/// Whose database a write is tried to while no tenant is known.
const NO_TENANT: &str = "doctor";

/// The findings about InfluxDB.
pub(super) async fn check(config: &Config, deadline: Deadline, tenants: &Later<Vec<String>>) -> Vec<Finding> {
    if !config.write_enabled {
        return vec![Finding::ok(ABOUT, "INFLUXDB_WRITE_ENABLED is off: no points are written")];
    }
    let backend = match Backend::new(config) {
        Ok(backend) => backend,
        Err(why) => return vec![Finding::err(ABOUT, why, "mend the setting")],
    };
    let looked = deadline.of(ABOUT, look(config, &backend, tenants)).await;
    looked.unwrap_or_else(|finding| vec![finding])
}

async fn look(config: &Config, backend: &Backend, tenants: &Later<Vec<String>>) -> Vec<Finding> {
    // A bucket may differ from tenant to tenant, so it is one of theirs that is tried.
    let tenants = tenants.get().await;
    let first = tenants.as_ref().and_then(|tenants| tenants.first()).map_or(NO_TENANT, String::as_str);
    let (probe, capacity) = tokio::join!(backend.probe(first), async {
        match &tenants {
            Some(tenants) => Some(backend.check(tenants).await),
            None => None,
        }
    });
    let mut findings = Vec::new();
    match probe {
        Err(why) => return vec![away(config, &why)],
        Ok(probe) => findings.extend(probe.map(|probe| judge(&probe, backend.address(), &backend.database(first)))),
    }
    // One thing that is wrong is not said twice: who may not write, may not look either.
    let writes = findings.iter().all(|finding| finding.advice.is_none());
    match capacity {
        Some(Ok(report)) => findings.insert(0, capacity::finding(report)),
        Some(Err(why)) if writes => {
            let found = format!("databases can't be looked at: {why}");
            findings.push(Finding::warn(ABOUT, found, "give the token the right to list databases: without it a full server is noticed only when it refuses a tenant"));
        }
        Some(Err(_)) | None => {}
    }
    findings
}

fn judge(probe: &Probe, address: String, database: &str) -> Finding {
    match probe {
        Probe::Accepted => Finding::ok(WRITE, format!("{address} takes points")),
        Probe::TokenRefused(said) => Finding::err(
            WRITE,
            format!("the token is refused, {said}"),
            "check INFLUXDB_TOKEN: the token alone, with the right to write",
        ),
        Probe::NotFound(said) => Finding::err(
            WRITE,
            format!("{database} is not there, {said}"),
            "check INFLUXDB_ORG and INFLUXDB_BUCKET; `ingest-node provision-tenants` shows what each tenant needs",
        ),
        Probe::OtherApi(said) => Finding::err(
            WRITE,
            format!("{address} does not know the API that points are written by, {said}"),
            "check INFLUXDB_API (v3: InfluxDB 3; v2: InfluxDB 2, VictoriaMetrics) and INFLUXDB_URL",
        ),
        Probe::NewerApi(product) => Finding::warn(
            WRITE,
            format!("{address} is {product}, asked by its v2 API, which does not name the lines that it refuses"),
            "set INFLUXDB_API=v3",
        ),
        Probe::Failed(said) => Finding::err(
            WRITE,
            format!("a write is answered with {said}"),
            "check INFLUXDB_URL, and the server's own log",
        ),
    }
}

fn away(config: &Config, why: &str) -> Finding {
    let is_https = config.url.as_deref().is_some_and(|url| url.trim().starts_with("https"));
    let advice = if is_https {
        "check INFLUXDB_URL, that the port speaks TLS (else http://), and INFLUXDB_CA_FILE for an authority of your own"
    } else {
        "check INFLUXDB_URL, and that the server runs; one that demands TLS needs https://"
    };
    Finding::away(ABOUT, format!("no answer: {why}"), advice)
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
            let finding = judge(&probe, "http://h".to_owned(), "d");
            assert!(finding.advice.is_some_and(|advice| advice.contains(setting)), "{probe:?}");
        }
    }
}
