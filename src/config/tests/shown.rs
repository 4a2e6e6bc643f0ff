//! What `check-config` prints.

use proptest::prelude::*;
use toml::Table;

use super::harness::{TempFile, from_env, from_file};
use crate::config::settings::all;
use crate::config::{Config, ConfigErrors, Env, Loaded, Selection};
use crate::runtime::value_type::ValueType;

#[test]
fn the_json_form_holds_settings_notices_and_errors() {
    let file = TempFile::new("json.toml", "[postgres]\nwriters = 2\n");
    let env =
        Env::from([("BATCH_SIZE", "many"), ("NATS_URL", "nats://u:p@h"), ("POSTGRES_URL", "postgres://u:pw@h/d")]);
    let object = Config::gather(Some(&file.0), &env).to_json(Selection::Changed).unwrap();
    assert_eq!(
        object["settings"],
        serde_json::json!([
            {"key": "nats.url", "env": "NATS_URL", "value": "nats://***@h", "source": "env NATS_URL"},
            {"key": "postgres.writers", "env": null, "value": 2, "source": format!("file {}", file.path())},
        ])
    );
    assert_eq!(object["errors"], serde_json::json!(["BATCH_SIZE must be a whole number from 1 to 100000"]));
    assert!(
        object["notices"].as_array().unwrap().iter().any(|notice| notice.as_str().unwrap().contains("POSTGRES_URL"))
    );
    let every = Config::gather(None, &Env::default()).to_json(Selection::All).unwrap();
    assert_eq!(every["settings"].as_array().unwrap().len(), all().count());
    assert_eq!(every["errors"], serde_json::json!([]));
}

#[test]
fn only_what_is_not_default_is_shown_on_request() {
    let loaded = from_env([("PG_POOL_MAX", "1")]).unwrap();
    // The pool's minimum follows from its maximum.
    let changed = loaded.show(Selection::Changed).unwrap();
    assert_eq!(changed, "[postgres]\npool_min = 1  # default\npool_max = 1  # env PG_POOL_MAX\n");
    assert_eq!(Config::gather(None, &Env::default()).accept().unwrap().show(Selection::Changed).unwrap(), "");
}

#[test]
fn the_hash_tells_values_apart_and_not_their_sources_or_secrets() {
    let hash = |loaded: Result<Loaded, ConfigErrors>| loaded.unwrap().hash().unwrap();
    let base = hash(from_env([("BATCH_SIZE", "7")]));
    assert_eq!(base.len(), 12);
    assert_eq!(hash(from_file("hash.toml", "[postgres]\nbatch_size = 7")), base);
    assert_ne!(hash(from_env([("BATCH_SIZE", "8")])), base);
    let with = |token: &str| hash(from_env([("BATCH_SIZE", "7"), ("INFLUXDB_TOKEN", token)]));
    assert_eq!(with("one"), with("two"));
    assert_ne!(with("one"), base);
}

#[test]
fn the_shown_configuration_is_toml_and_says_where_each_value_came_from() {
    let loaded = from_env([("BATCH_SIZE", "500"), ("NATS_URL", "nats://u:p@h:4222"), ("INFLUXDB_TOKEN", "t")]).unwrap();
    let text = loaded.show(Selection::All).unwrap();
    for line in [
        r#"url = "nats://***@h:4222"  # env NATS_URL"#,
        "batch_size = 500  # env BATCH_SIZE",
        r#"url = "postgres://***@127.0.0.1:5432/iotcloud"  # default"#,
        r#"token = "***"  # env INFLUXDB_TOKEN"#,
        "# url is not set",
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line} is missing in\n{text}");
    }
    let parsed: Table = text.parse().unwrap();
    assert_eq!(parsed["supervisor"]["drain_timeout_secs"].as_integer(), Some(25));
}

proptest! {
    #[test]
    fn what_is_shown_never_holds_a_secret(secret in "[a-zA-Z0-9:/@?#=&., ]{0,12}s3cr3t[a-zA-Z0-9:/@?#=&., ]{0,12}") {
        let encoded = |secret: &str| secret.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
        let plain = |secret: &str| secret.replace(['/', '@', '?', '#', ' ', ':'], "_");
        let urls = [
            format!("postgres://u:{}@h/db", encoded(&secret)),
            format!("postgres://u:{}@h/db", plain(&secret)),
            format!("postgres://u:{}@h/db?application_name={}", plain(&secret), encoded(&secret)),
        ];
        for url in urls {
            let nats = format!("nats://u:{}@a:4222,nats://u:{}@b:4222", encoded(&secret), encoded(&secret));
            let variables = [
                ("DATABASE_URL", url.as_str()), ("NATS_URL", &nats), ("INFLUXDB_TOKEN", &secret),
            ];
            let loaded = from_env(variables);
            prop_assert!(loaded.is_ok(), "{:?}", loaded.err());
            let loaded = loaded.unwrap();
            for text in [loaded.show(Selection::All).unwrap(), format!("{:?}", loaded.config)] {
                prop_assert!(!text.contains("s3cr3t"), "{}", text);
                prop_assert!(!text.contains(&encoded(&secret)), "{}", text);
            }
        }
        let parts = from_env([("PG_PASS", secret.as_str())]).unwrap();
        prop_assert!(!parts.show(Selection::All).unwrap().contains("s3cr3t"));
    }
}

proptest! {
    // Each case goes through all settings.
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn an_error_never_holds_the_value(value in "[a-z:/@]{0,5}s3cr3t[a-z:/@]{0,5}") {
        for setting in all() {
            let Some(name) = setting.env else { continue };
            // Where a file lies is no secret, and has to be said.
            if matches!(setting.value_type, ValueType::Path) {
                continue;
            }
            if let Err(error) = from_env([(name, &value)]) {
                prop_assert!(!error.to_string().contains("s3cr3t"), "{}", error);
            }
        }
    }
}
