//! Environment variables that look like ours and are none: a misspelt one would otherwise have no effect without a word.

use super::nearest::{nearest, tolerance};
use super::settings::{RETIRED, all, moved};
use crate::runtime::setting::Setting;
use ingest_core::validate::settings::Settings;

/// The variables of `postgres.url`'s parts.
const PG_PARTS: [&str; 6] = ["PG_HOST", "PG_PORT", "PG_DB", "PG_USER", "PG_PASS", "PG_PASS_FILE"];

/// Beginnings of our variables' names, and of those that people take for ours.
const FAMILIES: &[&str] = &[
    "NATS_",
    "PG_",
    "POSTGRES",
    "DATABASE_",
    "INFLUX",
    "INGEST_",
    "AUTH_CACHE",
    "METRIC_MAP",
    "AUTO_MIGR",
    "AUTO_PROV",
    "REQUIRE_TOK",
    "CERT_AUTH",
    "COUNTERS_",
    "SETTINGS_POLL",
    "BUCKET_TTL",
    "BATCH_SIZE",
    "FLUSH_INT",
    "HTTP_BIND",
    "ADMIN_BIND",
    "ADMIN_KEY",
    "ACTIVATION_TTL",
    "DEVICE_SILENCE",
    "LOG_",
    "DRAIN_",
    "KAFKA_",
    "MQTT_",
    "RAW_EVENTS",
    "QUARANTINE_",
];

/// What other clients of the same servers call it.
const SYNONYMS: [(&str, &str); 13] = [
    ("PGHOST", "PG_HOST"),
    ("PGPORT", "PG_PORT"),
    ("PGDATABASE", "PG_DB"),
    ("PGUSER", "PG_USER"),
    ("PGPASSWORD", "PG_PASS"),
    ("PG_DATABASE", "PG_DB"),
    ("PG_PASSWORD", "PG_PASS"),
    ("POSTGRES_HOST", "PG_HOST"),
    ("POSTGRES_DB", "PG_DB"),
    ("POSTGRES_USER", "PG_USER"),
    ("POSTGRES_PASSWORD", "PG_PASS"),
    ("MQTT_CA_CERT", "MQTT_CA_FILE"),
    ("MQTT_USER", "MQTT_USERNAME"),
];

/// Edit distance up to which a name without the beginning of a family is taken for one of ours.
const STRANGER_DISTANCE: usize = 2;

/// A sentence for each of these variables whose name looks like a setting's and is none.
pub(super) fn misspelt(variables: &[(&str, &str)]) -> Vec<String> {
    let known = known();
    let is_known = |name: &str| known.iter().any(|known| known == name);
    let strangers = variables.iter().filter(|(name, value)| !is_known(name) && !is_service_link(name, value));
    strangers.filter_map(|(name, _)| notice(name, &known)).collect()
}

/// Every variable that is read.
fn known() -> Vec<String> {
    let mut known: Vec<String> = PG_PARTS.map(str::to_owned).to_vec();
    known.extend(RETIRED.iter().map(|(name, ..)| (*name).to_owned()));
    for (setting, name) in all().filter_map(|setting| Some((setting, setting.env?))) {
        known.push(name.to_owned());
        known.extend(setting.value_type.is_secret().then(|| format!("{name}_FILE")));
    }
    #[cfg(feature = "testing")]
    known.push(crate::runtime::failpoint::VARIABLE.to_owned());
    known
}

/// Kubernetes sets such variables for every Service of the namespace, whatever it is called.
fn is_service_link(name: &str, value: &str) -> bool {
    let is_port = |rest: &str| {
        let (number, protocol) = rest.split_once('_').unwrap_or((rest, ""));
        let protocol = ["TCP", "UDP", "SCTP"].iter().any(|known| protocol.starts_with(known));
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) && protocol
    };
    name.ends_with("_SERVICE_HOST")
        // Whoever sets one by hand names a number.
        || name.ends_with("_PORT") && ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme))
        || name.contains("_SERVICE_PORT")
        || name.match_indices("_PORT_").any(|(at, mark)| is_port(&name[at + mark.len()..]))
}

fn notice(name: &str, known: &[String]) -> Option<String> {
    if let Some((_, meant)) = SYNONYMS.iter().find(|(synonym, _)| *synonym == name) {
        return Some(format!("{name} is not a setting; did you mean {meant}?"));
    }
    // `MODE` is everybody's.
    if Settings::seed().iter().any(|(key, _)| *key == name && *key != "MODE") {
        return Some(format!("{name} is not read from the environment; it is a row of the table app_settings"));
    }
    if !FAMILIES.iter().any(|family| name.starts_with(family)) {
        let most = STRANGER_DISTANCE.min(tolerance(name));
        let near = nearest(name, known.iter().map(String::as_str), most)?;
        return Some(format!("{name} is not a setting; did you mean {near}?"));
    }
    if let Some(plain) = name.strip_suffix("_FILE").filter(|plain| known.iter().any(|known| known == plain)) {
        return Some(format!("{name} is not a setting; did you mean {plain}?"));
    }
    if let Some(setting) = named_as_in_file(name) {
        return Some(match setting.env {
            Some(env) => format!("{name} is not a setting; did you mean {env}?"),
            None => format!("{name} is not a setting; did you mean {}, which only the file can set?", setting.key),
        });
    }
    Some(match nearest(name, known.iter().map(String::as_str), tolerance(name)) {
        Some(near) => format!("{name} is not a setting; did you mean {near}?"),
        None => format!("{name} is not a setting and has no effect"),
    })
}

/// The setting whose table and key this name is made of: `INFLUX_URL` is `influx.url`, now `influx.target.url`.
fn named_as_in_file(name: &str) -> Option<&'static Setting> {
    let name = name.to_lowercase();
    // The tables' names as variables have them.
    let written = [("influxdb_", "influx_"), ("postgresql_", "postgres_"), ("pg_", "postgres_")];
    let name = written
        .iter()
        .find_map(|(word, table)| name.strip_prefix(word).map(|rest| format!("{table}{rest}")))
        .unwrap_or(name);
    let former = || moved(&format!("influx.{}", name.strip_prefix("influx_")?));
    all().find(|setting| setting.key.replace('.', "_") == name).or_else(former)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(names: &[&str]) -> Vec<String> {
        misspelt(&names.iter().map(|name| (*name, "tcp://10.0.0.1:4222")).collect::<Vec<_>>())
    }

    #[test]
    fn a_variable_that_looks_like_ours_is_named_with_what_was_meant() {
        for (name, meant) in [
            ("INFLUX_URL", "INFLUXDB_URL"),
            ("INFLUXDB_URI", "INFLUXDB_URL"),
            ("INFLUX_TOKEN", "INFLUXDB_TOKEN"),
            ("INFLUX_TOKEN_FILE", "INFLUXDB_TOKEN_FILE"),
            ("POSTGRES_URL", "DATABASE_URL"),
            ("POSTGRESQL_URL", "DATABASE_URL"),
            ("POSTGRES_PASSWORD", "PG_PASS"),
            ("PGHOST", "PG_HOST"),
            ("NATS_WINDOW", "nats.window, which only the file can set"),
            ("NATS_URLS", "NATS_URL"),
            ("BATCHSIZE", "BATCH_SIZE"),
            ("REQUIRE_TOKENS", "REQUIRE_TOKEN"),
            ("DRAIN_TIMEOUT_SECS", "DRAIN_TIMEOUT_SECONDS"),
            ("HTTP_BIND_FILE", "HTTP_BIND"),
            ("LOGLEVEL", "LOG_LEVEL"),
            ("ADMIN_KEYS", "ADMIN_KEY"),
            ("RAW_EVENTS_RETENTION", "RAW_EVENTS_RETENTION_DAYS"),
            ("QUARANTINE_RETENTION_DAY", "QUARANTINE_RETENTION_DAYS"),
            ("ACTIVATION_TTL_SECONDS", "ACTIVATION_TTL_MINUTES"),
        ] {
            assert_eq!(of(&[name]), [format!("{name} is not a setting; did you mean {meant}?")]);
        }
        assert_eq!(of(&["NATS_FAVOURITE_COLOUR"]), ["NATS_FAVOURITE_COLOUR is not a setting and has no effect"]);
        assert_eq!(
            of(&["RATE_LIMIT_RPS"]),
            ["RATE_LIMIT_RPS is not read from the environment; it is a row of the table app_settings"]
        );
    }

    #[test]
    fn what_is_ours_and_what_is_nobodys_mistake_is_passed_over() {
        let known = known();
        let ours: Vec<&str> = known.iter().map(String::as_str).collect();
        assert_eq!(of(&ours), Vec::<String>::new());
        let others = [
            "NATS_SERVICE_HOST",
            "NATS_SERVICE_PORT",
            "NATS_SERVICE_PORT_CLIENT",
            "NATS_PORT",
            "NATS_PORT_4222_TCP",
            "NATS_PORT_4222_TCP_ADDR",
            "NATS_PORT_4222_TCP_PROTO",
            "INGEST_NODE_SERVICE_HOST",
            "INFLUXDB_PORT_8181_TCP_PORT",
            "POSTGRES_PORT",
            "PATH",
            "HOME",
            "HOSTNAME",
            "LANG",
            "MODE",
            "RUST_BACKTRACE",
            "HTTP_PROXY",
            "TZ",
            "PGDATA",
            "SSL_CERT_FILE",
        ];
        assert_eq!(of(&others), Vec::<String>::new());
        assert_eq!(of(&["NATS_PORT_COUNT"]).len(), 1);
        let by_hand = [("INFLUXDB_PORT", "8181"), ("INGEST_HTTP_PORT", "8090"), ("POSTGRES_PORT", "5432")];
        assert_eq!(misspelt(&by_hand).len(), by_hand.len());
    }
}
