//! URLs with credentials: composed from parts, and shown without them.

use std::net::Ipv6Addr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// A URL as it may be shown: whatever could be a credential is `***`.
///
/// Rather too much is hidden than too little: everything before the last `@`, and all parameters. What has no scheme is
/// hidden as a whole.
pub(crate) fn masked(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return if url.is_empty() { String::new() } else { "***".to_owned() };
    };
    let (credentials, rest) = match rest.rsplit_once('@') {
        Some((_, rest)) => ("***@", rest),
        None => ("", rest),
    };
    match rest.split_once(['?', '#']) {
        Some((place, _)) => format!("{scheme}://{credentials}{place}?***"),
        None => format!("{scheme}://{credentials}{rest}"),
    }
}

/// The parts of a PostgreSQL URL that have a variable of their own, as text that is not encoded.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct PgParts {
    /// `PG_HOST`: a name, an address, or the directory of a socket.
    pub host: Option<String>,
    /// `PG_PORT`.
    pub port: Option<u16>,
    /// `PG_DB`.
    pub db: Option<String>,
    /// `PG_USER`.
    pub user: Option<String>,
    /// `PG_PASS`.
    pub password: Option<String>,
}

impl PgParts {
    /// The URL with these parts replaced; what is not named here stays, parameters included.
    ///
    /// `url` is one that PostgreSQL's client accepts: `postgres://[user[:password]@][host[:port]][/db][?parameters]`.
    pub(crate) fn replace_in(&self, url: &str) -> String {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let (rest, parameters) = split_at(rest, '?');
        let (credentials, place) = rest.split_once('@').map_or(("", rest), |(credentials, place)| (credentials, place));
        let (servers, db) = split_at(place, '/');
        let (user, password) = split_at(credentials, ':');
        let (host, port) = match servers.rfind(':') {
            // The colons of `[::1]` are not the port's.
            Some(colon) if !servers[colon..].contains(']') => servers.split_at(colon),
            _ => (servers, ""),
        };

        let mut composed = String::from("postgres://");
        match &self.user {
            Some(user) => encode(user, &mut composed),
            None => composed.push_str(user),
        }
        match &self.password {
            Some(password) => {
                composed.push(':');
                encode(password, &mut composed);
            }
            None => composed.push_str(password),
        }
        composed.push('@');
        match &self.host {
            Some(host) if host.parse::<Ipv6Addr>().is_ok() => composed.extend(["[", host, "]"]),
            Some(host) => encode(host, &mut composed),
            None => composed.push_str(host),
        }
        match self.port {
            Some(port) => composed.extend([":", &port.to_string()]),
            None => composed.push_str(port),
        }
        match &self.db {
            Some(db) => {
                composed.push('/');
                encode(db, &mut composed);
            }
            None => composed.push_str(db),
        }
        composed.push_str(parameters);
        composed
    }
}

/// What stands before the first `mark`, and the rest with it.
fn split_at(text: &str, mark: char) -> (&str, &str) {
    text.split_at(text.find(mark).unwrap_or(text.len()))
}

/// Everything but RFC 3986's unreserved characters.
const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

fn encode(text: &str, into: &mut String) {
    into.extend(utf8_percent_encode(text, &RESERVED));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio_postgres::config::Host;

    use super::*;

    #[test]
    fn credentials_are_hidden_wherever_they_stand() {
        let cases = [
            ("nats://127.0.0.1:4222", "nats://127.0.0.1:4222"),
            ("nats://user:secret@a:4222", "nats://***@a:4222"),
            ("nats://secret@a,nats://u:secret@b", "nats://***@b"),
            ("postgres://u:sec@ret@h:5432/db", "postgres://***@h:5432/db"),
            ("postgres://u:sec?ret@h/db", "postgres://***@h/db"),
            ("postgres://h/db?password=secret", "postgres://h/db?***"),
            ("host=h password=secret", "***"),
            ("user:secret@h", "***"),
            ("", ""),
        ];
        for (url, shown) in cases {
            assert_eq!(masked(url), shown, "{url}");
        }
    }

    #[test]
    fn a_part_replaces_its_own_and_leaves_the_others() {
        let base = "postgres://iot:old@db:5432/iotcloud?connect_timeout=5";
        let replaced = |parts: PgParts| parts.replace_in(base);
        assert_eq!(replaced(PgParts::default()), base);
        let password = PgParts { password: Some("n/w".into()), ..PgParts::default() };
        assert_eq!(replaced(password), "postgres://iot:n%2Fw@db:5432/iotcloud?connect_timeout=5");
        let place = PgParts { host: Some("::1".into()), port: Some(6432), db: Some("x".into()), ..PgParts::default() };
        assert_eq!(replaced(place), "postgres://iot:old@[::1]:6432/x?connect_timeout=5");
        let host = PgParts { host: Some("other".into()), ..PgParts::default() };
        assert_eq!(host.replace_in("postgres://[::1]:1/d"), "postgres://@other:1/d");
        assert_eq!(host.replace_in("postgres://[::1]"), "postgres://@other");
    }

    proptest! {
        #[test]
        fn the_client_reads_back_every_part_as_it_was_given(
            user in "[^\0]{1,20}", password in "[^\0]{1,20}", db in "[^\0]{1,20}", port in 1u16..,
            host in "([a-z0-9.-]{1,20}|/[ -~]{1,20})",
        ) {
            let parts = PgParts {
                host: Some(host.clone()), port: Some(port), db: Some(db.clone()), user: Some(user.clone()),
                password: Some(password.clone()),
            };
            let url = parts.replace_in("postgres://iot@127.0.0.1:5432/iotcloud");
            let config: tokio_postgres::Config = url.parse().unwrap();
            prop_assert_eq!(config.get_user(), Some(user.as_str()));
            prop_assert_eq!(config.get_password(), Some(password.as_bytes()));
            prop_assert_eq!(config.get_dbname(), Some(db.as_str()));
            prop_assert_eq!(config.get_ports(), &[port]);
            let expected = if host.starts_with('/') { Host::Unix(host.into()) } else { Host::Tcp(host) };
            prop_assert_eq!(config.get_hosts(), &[expected]);
            prop_assert!(masked(&url).starts_with("postgres://***@"));
        }
    }
}
