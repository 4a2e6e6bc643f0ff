//! Connections without TLS that leave the machine.

use std::net::IpAddr;

use crate::app::preflight::result::CheckResult;
use crate::config::Config;
use crate::runtime::postgres_url::{PostgresUrl, SslMode};

/// A result for each dependency on another machine that is reached in plain text.
pub(super) fn check(config: &Config) -> Vec<CheckResult> {
    [nats(config), postgres(config), influx(config), mqtt(config)].into_iter().flatten().collect()
}

fn nats(config: &Config) -> Option<CheckResult> {
    let nats = &config.nats;
    let demands_tls = nats.ca_file.is_some() || nats.cert_file.is_some();
    let urls = nats.url.expose();
    let plain = urls
        .split(',')
        .filter_map(|url| url.trim().parse::<async_nats::ServerAddr>().ok())
        .find(|server| !demands_tls && !server.tls_required() && !is_loopback(server.host()))?;
    Some(result("nats tls", plain.host(), "use tls:// in NATS_URL, or set NATS_CA_FILE"))
}

fn postgres(config: &Config) -> Option<CheckResult> {
    use tokio_postgres::config::Host;
    let url = PostgresUrl::parse(&config.postgres.url.expose())?;
    let mode = config.postgres.sslmode.or(url.sslmode).unwrap_or(SslMode::Disable);
    let plain = url.driver.get_hosts().iter().find_map(|host| match host {
        Host::Tcp(name) if mode == SslMode::Disable && !is_loopback(name) => Some(name.clone()),
        _ => None,
    })?;
    Some(result(
        "postgresql tls",
        &plain,
        "set PG_SSLMODE=verify-full, and PG_SSLROOTCERT for an authority of your own",
    ))
}

fn influx(config: &Config) -> Option<CheckResult> {
    let url: awc::http::Uri = config.influx.target.url.as_deref()?.trim().parse().ok()?;
    let is_plain = config.influx.write_enabled && url.scheme_str() == Some("http");
    let host = url.host().filter(|host| is_plain && !is_loopback(host))?;
    Some(result(
        "influxdb tls",
        host,
        "use https:// in INFLUXDB_URL, and INFLUXDB_CA_FILE for an authority of your own",
    ))
}

fn mqtt(config: &Config) -> Option<CheckResult> {
    let host = config.mqtt.host.as_deref().filter(|host| config.mqtt.ca_file.is_none() && !is_loopback(host))?;
    Some(result("mqtt tls", host, "set MQTT_CA_FILE, to the public authorities' file or one of your own"))
}

fn result(about: &str, host: &str, advice: &str) -> CheckResult {
    let found =
        format!("{host} is another machine, and the connection to it is not encrypted: secrets and data can be read");
    CheckResult::warn(about, found, advice)
}

/// Whether a host is this machine, as far as its name shows.
fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::secret::Secret;

    #[test]
    fn this_machine_has_few_names() {
        assert!(["localhost", "127.0.0.1", "127.1.2.3", "::1", "[::1]"].into_iter().all(is_loopback));
        assert!(!["db", "10.0.0.1", "localhost.example.com", "0.0.0.0"].into_iter().any(is_loopback));
    }

    #[test]
    fn a_dependency_elsewhere_is_named_unless_it_is_encrypted() {
        let with = |nats: &str, postgres: &str, influx: &str| {
            let mut config = Config::default();
            (config.nats.url, config.postgres.url) = (Secret::new(nats), Secret::new(postgres));
            config.influx.target.url = Some(influx.to_owned());
            check(&config).into_iter().map(|result| result.about).collect::<Vec<_>>()
        };
        let all = with("nats://localhost,nats://n", "postgres://u:p@db/d", "http://influx:8181");
        assert_eq!(all, ["nats tls", "postgresql tls", "influxdb tls"]);
        assert!(with("tls://n", "postgres://db/d?sslmode=require", "https://influx").is_empty());
        assert!(with("nats://127.0.0.1", "postgres://localhost/d", "http://[::1]:1").is_empty());
    }
}
