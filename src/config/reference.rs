//! What is made from the list of settings: the file in the repository, and the table of the documentation.
//! `REGENERATE=1 cargo test reference` writes both.

use std::fmt::Write;
use std::fs;

use toml::{Table, Value};

use super::settings::all;
use super::{Config, Env};
use crate::runtime::setting::Setting;
use crate::runtime::value_type::ValueType;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/ingest-node.toml");
const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");
/// The document's table stands between these lines.
const MARKS: (&str, &str) = ("<!-- settings: made from the components' config.rs -->\n", "<!-- /settings -->\n");

const FILE_HEADER: &str = "\
# Settings of ingest-node, each with its default: uncomment a line to change it. All of them uncommented are a valid file.
# Environment variables, named in brackets, stand above this file; `ingest-node check-config` prints what is in force.
# Made from the components' config.rs; docs/configuration.md says which values are accepted.
";

/// The variables that set it, with the file form of a secret.
fn variables(setting: &Setting) -> Vec<String> {
    let Some(name) = setting.env else { return Vec::new() };
    let mut names = vec![name.to_owned()];
    names.extend(setting.value_type.is_secret().then(|| format!("{name}_FILE")));
    names
}

/// What a setting means, for operators: the first paragraph of its documentation.
fn description(setting: &Setting) -> String {
    let lines = setting.documentation.iter().map(|line| line.trim()).take_while(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join(" ")
}

/// A setting's default as TOML; `None` where it has none.
fn default(setting: &Setting) -> Option<Value> {
    let defaults = Config::default();
    match setting.key {
        "nats.url" => Some((*defaults.nats.url.expose()).into()),
        "postgres.url" => Some((*defaults.postgres.url.expose()).into()),
        _ => setting.value_in(&Table::try_from(defaults).unwrap()).cloned(),
    }
}

/// What stands for the value of a setting without a default.
enum Example {
    /// A line like those of the others.
    ToUncomment(Value),
    /// Part of the comment.
    InWords(Value),
}

fn example(value_type: ValueType) -> Example {
    match value_type {
        ValueType::HttpUrl => Example::ToUncomment("http://127.0.0.1:8181".into()),
        ValueType::Choice(words) => Example::InWords(words[0].into()),
        ValueType::Networks => Example::InWords("10.0.0.0/8".into()),
        ValueType::Whole { max: 65_535, .. } => Example::InWords(1883.into()),
        ValueType::Whole { .. } => Example::InWords(30.into()),
        ValueType::Path => Example::InWords("/path/to/the-file.pem".into()),
        _ => Example::InWords("a-name".into()),
    }
}

fn file() -> String {
    let mut text = FILE_HEADER.to_owned();
    let mut table = "";
    for setting in all() {
        let (its_table, name) = setting.path();
        if its_table != table {
            table = its_table;
            writeln!(text, "\n[{table}]").unwrap();
        }
        let variables = match variables(setting).as_slice() {
            [] => String::new(),
            names => format!(" [{}]", names.join(", ")),
        };
        let description = description(setting).replace('`', "");
        match default(setting).ok_or_else(|| example(setting.value_type)) {
            Ok(value) => writeln!(text, "# {description}{variables}\n#{name} = {value}").unwrap(),
            Err(Example::ToUncomment(value)) => {
                writeln!(text, "# {description}{variables}\n#{name} = {value}").unwrap()
            }
            // A file that need not exist, or a name that only its owner knows.
            Err(Example::InWords(value)) => {
                writeln!(text, "# {description}{variables} Not set; for example {name} = {value}").unwrap();
            }
        }
    }
    text
}

fn table() -> String {
    let mut text = "| setting | variable | default | accepts | meaning |\n|---|---|---|---|---|\n".to_owned();
    for setting in all() {
        let variables: Vec<_> = variables(setting).iter().map(|name| format!("`{name}`")).collect();
        let default = default(setting).map(|value| format!("`{value}`")).unwrap_or_default();
        let Setting { key, value_type, .. } = setting;
        writeln!(text, "| `{key}` | {} | {default} | {value_type} | {} |", variables.join(" "), description(setting))
            .unwrap();
    }
    text
}

/// How many settings a file sets.
fn settings_in(table: &Table) -> usize {
    table.values().map(|value| value.as_table().map_or(1, settings_in)).sum()
}

fn check(path: &str, expected: &str) {
    if std::env::var_os("REGENERATE").is_some() {
        fs::write(path, expected).unwrap();
    }
    let found = fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    assert!(found == expected, "{path} is not what the settings make of it: REGENERATE=1 cargo test reference");
}

#[test]
fn the_file_in_the_repository_says_what_the_defaults_are() {
    check(FILE, &file());
    // As it stands it changes nothing.
    assert_eq!(settings_in(&file().parse().unwrap()), 0);
}

#[test]
fn the_file_is_valid_with_every_line_uncommented() {
    let is_setting = |line: &str| line.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '));
    let uncommented: String = file()
        .lines()
        .map(|line| line.strip_prefix('#').filter(|line| is_setting(line)).unwrap_or(line))
        .fold(String::new(), |text, line| text + line + "\n");
    let set = settings_in(&uncommented.parse().unwrap());
    let in_words =
        all().filter(|s| default(s).is_none() && matches!(example(s.value_type), Example::InWords(_))).count();
    assert_eq!(set, all().count() - in_words);
    let path = std::env::temp_dir().join(format!("ingest-node-{}-uncommented.toml", std::process::id()));
    fs::write(&path, uncommented).unwrap();
    let loaded = Config::load(Some(&path), &Env::default());
    fs::remove_file(&path).unwrap();
    assert!(loaded.is_ok(), "{}", loaded.unwrap_err());
}

#[test]
fn the_documentation_lists_every_setting() {
    let document = fs::read_to_string(DOCUMENT).unwrap_or_else(|error| panic!("{DOCUMENT}: {error}"));
    let (before, rest) = document.split_once(MARKS.0).expect("the opening mark");
    let (_, after) = rest.split_once(MARKS.1).expect("the closing mark");
    check(DOCUMENT, &[before, MARKS.0, &table(), MARKS.1, after].concat());
}
