//! Log-in to NATS: one of the ways that its servers know, from the settings and files as they are at each connection, so
//! that rotated credentials count without a restart. The client library ignores what a URL holds.

use std::path::{Path, PathBuf};
use std::{fs, io};

use async_nats::{Auth, ServerAddr};
use nkeys::{KeyPair, KeyPairType};
use percent_encoding::percent_decode_str;
use thiserror::Error;

use super::config::Config;
use crate::runtime::tls::{FileSetting, TlsFiles, TlsFilesError};

/// Settings of the log-in that can't be used, or not with each other: one sentence that names the setting, and no secret.
#[derive(Debug, Error)]
pub(crate) enum LoginError {
    /// The URL is none.
    #[error("NATS_URL must be one or several URLs like nats://host:4222")]
    Url,
    /// Half of a user: the setting that is set, and the one that is not.
    #[error("{0} is set and {1} is not")]
    Half(&'static str, &'static str),
    /// Two settings that each let the node in.
    #[error("{0} and {1} are two ways to log in to NATS; set one of them")]
    TwoWays(&'static str, &'static str),
    /// The setting holds the seed of a server or an account.
    #[error("{0} must hold the seed of a user, which begins with SU")]
    OtherSeed(&'static str),
    /// The setting holds something else.
    #[error("{0} holds no seed of an NKEY")]
    NoSeed(&'static str),
    /// The credentials file is not there, or not for the node.
    #[error("NATS_CREDS_FILE: {} can't be read: {}", .0.display(), .1)]
    Unreadable(PathBuf, io::Error),
    /// What the credentials file lacks.
    #[error("NATS_CREDS_FILE: {} holds no {}", .0.display(), .1)]
    Incomplete(PathBuf, &'static str),
    /// The key does not sign.
    #[error("the server's nonce can't be signed: {0}")]
    Nonce(nkeys::error::Error),
    /// The files of TLS.
    #[error(transparent)]
    Tls(#[from] TlsFilesError),
}

/// The way to log in.
#[derive(Debug)]
enum Login {
    Anonymous,
    User {
        name: String,
        password: String,
    },
    Token(String),
    /// A key that signs the server's nonce.
    Nkey(KeyPair),
    /// A user's JWT, and the key that it was made for.
    Credentials {
        jwt: String,
        key: KeyPair,
    },
}

/// Everything that is wrong with the settings, and with the files that they name.
pub(crate) fn problems(config: &Config) -> Vec<LoginError> {
    let (ways, broken): (Vec<_>, Vec<_>) = ways(config).into_iter().partition(Result::is_ok);
    let several = one(ways.into_iter().flatten().collect()).err();
    let tls = tls_files(config).problems().into_iter().map(LoginError::from);
    broken.into_iter().filter_map(Result::err).chain(several).chain(tls).collect()
}

/// What the server gets to see, with its nonce signed where the way to log in demands it.
///
/// # Errors
/// Where a setting can't be used.
pub(super) fn authenticate(config: &Config, nonce: &[u8]) -> Result<Auth, LoginError> {
    let sign = |key: &KeyPair| key.sign(nonce).map_err(LoginError::Nonce);
    let mut auth = Auth::new();
    match login(config)? {
        Login::Anonymous => {}
        Login::User { name, password } => (auth.username, auth.password) = (Some(name), Some(password)),
        Login::Token(token) => auth.token = Some(token),
        Login::Nkey(key) => (auth.signature, auth.nkey) = (Some(sign(&key)?), Some(key.public_key())),
        Login::Credentials { jwt, key } => (auth.signature, auth.jwt) = (Some(sign(&key)?), Some(jwt)),
    }
    Ok(auth)
}

/// How the node introduces itself, for people: the way and the setting, no secret.
pub(crate) fn describe(config: &Config) -> &'static str {
    match login(config) {
        Ok(Login::Anonymous) => "without credentials",
        Ok(Login::User { .. }) => "with user and password",
        Ok(Login::Token(_)) => "with a token",
        Ok(Login::Nkey(_)) => "with the key of NATS_NKEY_SEED",
        Ok(Login::Credentials { .. }) => "with NATS_CREDS_FILE",
        Err(_) => "with credentials that can't be used",
    }
}

/// The files of TLS; empty where only the server's URL may ask for it.
pub(super) fn tls_files(config: &Config) -> TlsFiles {
    TlsFiles {
        roots: FileSetting::new("NATS_CA_FILE", config.ca_file.as_deref()),
        certificate: FileSetting::new("NATS_CERT_FILE", config.cert_file.as_deref()),
        key: FileSetting::new("NATS_KEY_FILE", config.key_file.as_deref()),
    }
}

/// The servers of the URL.
///
/// # Errors
/// Where it is none.
pub(super) fn servers(config: &Config) -> Result<Vec<ServerAddr>, LoginError> {
    let urls = config.url.expose();
    urls.split(',').map(|url| url.trim().parse().map_err(|_| LoginError::Url)).collect()
}

fn login(config: &Config) -> Result<Login, LoginError> {
    one(ways(config).into_iter().collect::<Result<_, _>>()?)
}

/// The one way, of those that are set.
fn one(mut ways: Vec<(&'static str, Login)>) -> Result<Login, LoginError> {
    if let [(one, _), (other, _), ..] = &ways[..] {
        return Err(LoginError::TwoWays(one, other));
    }
    Ok(ways.pop().map_or(Login::Anonymous, |(_, login)| login))
}

/// Every way that is set, each with its setting.
fn ways(config: &Config) -> Vec<Result<(&'static str, Login), LoginError>> {
    let mut ways = Vec::new();
    match servers(config) {
        Ok(servers) => ways.extend(in_url(&servers).map(|login| Ok(("NATS_URL", login)))),
        Err(error) => ways.push(Err(error)),
    }
    match (&config.user, config.password.is_empty()) {
        (Some(name), false) => {
            let (name, password) = (name.clone(), config.password.expose().to_string());
            ways.push(Ok(("NATS_USER", Login::User { name, password })));
        }
        (Some(_), true) => ways.push(Err(LoginError::Half("NATS_USER", "NATS_PASSWORD"))),
        (None, false) => ways.push(Err(LoginError::Half("NATS_PASSWORD", "NATS_USER"))),
        (None, true) => {}
    }
    if !config.token.is_empty() {
        ways.push(Ok(("NATS_TOKEN", Login::Token(config.token.expose().to_string()))));
    }
    if !config.nkey_seed.is_empty() {
        let name = "NATS_NKEY_SEED";
        ways.push(key(name, &config.nkey_seed.expose()).map(|key| (name, Login::Nkey(key))));
    }
    if let Some(file) = &config.creds_file {
        ways.push(credentials(file).map(|login| ("NATS_CREDS_FILE", login)));
    }
    ways
}

/// The credentials of the first server that has any. A user without a password is a token.
fn in_url(servers: &[ServerAddr]) -> Option<Login> {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let (user, password) = servers.iter().find_map(|server| Some((server.username()?, server.password())))?;
    Some(match password {
        Some(password) => Login::User { name: decoded(user), password: decoded(password) },
        None => Login::Token(decoded(user)),
    })
}

fn key(setting: &'static str, seed: &str) -> Result<KeyPair, LoginError> {
    match KeyPair::from_seed(seed.trim()) {
        Ok(key) if key.key_pair_type() == KeyPairType::User => Ok(key),
        Ok(_) => Err(LoginError::OtherSeed(setting)),
        Err(_) => Err(LoginError::NoSeed(setting)),
    }
}

/// A credentials file, as `nsc` writes it: a JWT and a seed, each between two lines of dashes.
fn credentials(file: &Path) -> Result<Login, LoginError> {
    let text = fs::read_to_string(file).map_err(|error| LoginError::Unreadable(file.to_owned(), error))?;
    let without = |what| LoginError::Incomplete(file.to_owned(), what);
    let block = |title: &str| {
        let mut lines =
            text.lines().map(str::trim).skip_while(|line| !(line.starts_with("---") && line.contains(title)));
        lines.nth(1).filter(|line| !line.is_empty() && !line.starts_with('-'))
    };
    let jwt = block("USER JWT").ok_or_else(|| without("user's JWT"))?.to_owned();
    let seed = block("NKEY SEED").ok_or_else(|| without("seed of an NKEY"))?;
    Ok(Login::Credentials { jwt, key: key("NATS_CREDS_FILE", seed)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::secret::Secret;

    fn with_url(url: &str) -> Config {
        Config { url: Secret::new(url), ..Config::default() }
    }

    fn user(config: &Config) -> (Option<String>, Option<String>, Option<String>) {
        let auth = authenticate(config, b"nonce").unwrap();
        (auth.username, auth.password, auth.token)
    }

    #[test]
    fn credentials_of_a_url_may_hold_any_character() {
        let (name, password, _) = user(&with_url("nats://me%40x:p%40ss%2Fw%3ard@a:4222,nats://b"));
        assert_eq!((name.as_deref(), password.as_deref()), (Some("me@x"), Some("p@ss/w:rd")));
        let (_, _, token) = user(&with_url("nats://b,nats://t0k%25en@a:4222"));
        assert_eq!(token.as_deref(), Some("t0k%en"));
    }

    #[test]
    fn a_key_signs_the_nonce_and_shows_its_public_half_alone() {
        let pair = KeyPair::new_user();
        let config = Config { nkey_seed: Secret::new(pair.seed().unwrap()), ..with_url("nats://a") };
        let auth = authenticate(&config, b"nonce").unwrap();
        assert_eq!(auth.nkey, Some(pair.public_key()));
        assert!(pair.verify(b"nonce", &auth.signature.unwrap()).is_ok());
    }

    #[test]
    fn a_credentials_file_holds_a_jwt_and_the_key_that_signs() {
        let pair = KeyPair::new_user();
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("user.creds");
        let config = Config { creds_file: Some(file.clone()), ..with_url("nats://a") };
        assert!(problems(&config).remove(0).to_string().contains("can't be read: No such file"));
        let jwt = "-----BEGIN NATS USER JWT-----\neyJ0.x.y\n------END NATS USER JWT------\n";
        std::fs::write(&file, jwt).unwrap();
        assert!(problems(&config).remove(0).to_string().contains("holds no seed"));
        let seed = pair.seed().unwrap();
        std::fs::write(
            &file,
            format!("{jwt}\n-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"),
        )
        .unwrap();
        let auth = authenticate(&config, b"nonce").unwrap();
        assert_eq!(auth.jwt.as_deref(), Some("eyJ0.x.y"));
        assert!(pair.verify(b"nonce", &auth.signature.unwrap()).is_ok());
    }

    #[test]
    fn what_cannot_work_is_one_sentence_that_names_the_settings_and_no_secret() {
        let hush = || Secret::new("hush");
        let account = KeyPair::new_account().seed().unwrap();
        for (config, sentence) in [
            (Config { user: Some("u".into()), ..with_url("nats://a") }, "NATS_USER is set and NATS_PASSWORD is not"),
            (Config { password: hush(), ..with_url("nats://a") }, "NATS_PASSWORD is set and NATS_USER is not"),
            (Config { token: hush(), ..with_url("nats://u:p@a") }, "NATS_URL and NATS_TOKEN are two ways"),
            (Config { nkey_seed: hush(), ..with_url("nats://a") }, "NATS_NKEY_SEED holds no seed"),
            (Config { nkey_seed: Secret::new(account), ..with_url("nats://a") }, "must hold the seed of a user"),
            (
                Config { cert_file: Some("c".into()), ..with_url("nats://a") },
                "NATS_CERT_FILE is set and NATS_KEY_FILE is not",
            ),
            (Config { ca_file: Some("/no".into()), ..with_url("nats://a") }, "NATS_CA_FILE: /no can't be read"),
        ] {
            let error = problems(&config).remove(0).to_string();
            assert!(error.contains(sentence) && !error.contains("hush"), "{error}");
        }
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let config = Config {
            user: Some("u".into()),
            token: Secret::new("hush"),
            nkey_seed: Secret::new("hush"),
            ca_file: Some("/no".into()),
            cert_file: Some("/no".into()),
            ..with_url("nats://u:p@a")
        };
        let found: Vec<String> = problems(&config).iter().map(ToString::to_string).collect();
        let expected = [
            "NATS_USER is set and NATS_PASSWORD is not",
            "NATS_NKEY_SEED holds no seed",
            "NATS_URL and NATS_TOKEN are two ways",
            "NATS_CA_FILE: /no can't be read",
            "NATS_CERT_FILE is set and NATS_KEY_FILE is not",
            "NATS_CERT_FILE: /no can't be read",
        ];
        assert_eq!(found.len(), expected.len(), "{found:?}");
        assert!(found.iter().zip(expected).all(|(found, expected)| found.starts_with(expected)), "{found:?}");
    }
}
