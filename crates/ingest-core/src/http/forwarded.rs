//! Whose request it is where a proxy is in between: the proxy says so, and is believed only where the operator trusts it.

use std::net::IpAddr;
use std::str::FromStr;

/// Most addresses of the header that are looked at: more proxies in a row than anybody has.
const MOST_ADDRESSES: usize = 32;
/// Longest address, with brackets and a port.
const LONGEST_ADDRESS: usize = 56;

/// Addresses that begin alike: one of them, or a network in CIDR notation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    first: IpAddr,
    /// Bits that are the same.
    prefix: u32,
}

impl Network {
    /// Whether an address is one of them. An IPv4 address is the same within IPv6 (`::ffff:10.0.0.1`).
    pub fn contains(&self, address: IpAddr) -> bool {
        let (address, first) = (address.to_canonical(), self.first);
        let differ = match (address, first) {
            (IpAddr::V4(a), IpAddr::V4(b)) => u128::from(u32::from(a) ^ u32::from(b)) << 96,
            (IpAddr::V6(a), IpAddr::V6(b)) => u128::from(a) ^ u128::from(b),
            _ => return false,
        };
        differ.leading_zeros() >= self.prefix
    }
}

/// A text that is neither an address nor a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotANetwork;

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let written: IpAddr = address.parse().map_err(|_| NotANetwork)?;
        let bits = if written.is_ipv4() { 32 } else { 128 };
        let prefix: u32 = match prefix {
            None => bits,
            // No sign, no space.
            Some(prefix) if prefix.bytes().all(|byte| byte.is_ascii_digit()) => {
                prefix.parse().ok().filter(|prefix| *prefix <= bits).ok_or(NotANetwork)?
            }
            Some(_) => return Err(NotANetwork),
        };
        let first = written.to_canonical();
        // `::ffff:10.0.0.0/104` is `10.0.0.0/8`.
        let shorter = if first.is_ipv4() { bits - 32 } else { 0 };
        Ok(Self { first, prefix: prefix.checked_sub(shorter).ok_or(NotANetwork)? })
    }
}

/// Reads a list of addresses and networks with commas between; the first that is none where there is one.
///
/// # Errors
/// The part that is neither.
pub fn networks(text: &str) -> Result<Vec<Network>, &str> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.map(|part| part.parse().map_err(|NotANetwork| part)).collect()
}

/// The client's address: the right-most of `X-Forwarded-For` that is not trusted, where the connection's other end is. `lines` are the
/// values of the header, in the order in which they came.
///
/// Each proxy adds at the right end whom it has the request from, so what is left of the first address that nobody vouches for may be
/// made up. Where all are trusted it is the left-most. What can't be read, or is too long to be honest, says nothing: then it is the
/// connection's other end.
pub fn client_address<'a>(
    peer: IpAddr,
    lines: impl DoubleEndedIterator<Item = &'a [u8]>,
    trusted: &[Network],
) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    if !is_trusted(peer) {
        return peer;
    }
    let mut client = peer;
    for (looked_at, entry) in lines.rev().flat_map(|line| line.rsplit(|byte| *byte == b',')).enumerate() {
        let Some(address) = address(entry).filter(|_| looked_at < MOST_ADDRESSES) else { return peer };
        client = address;
        if !is_trusted(address) {
            break;
        }
    }
    client
}

/// An address as proxies write it: alone, in brackets, with a port.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry.trim_ascii()).ok().filter(|text| text.len() <= LONGEST_ADDRESS)?;
    let address = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, "")) => address.parse::<std::net::Ipv6Addr>().ok()?.into(),
        _ => text.parse().ok().or_else(|| text.parse::<std::net::SocketAddr>().ok().map(|socket| socket.ip()))?,
    };
    Some(IpAddr::to_canonical(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_is_an_address_or_what_begins_alike() {
        for (network, within, without) in [
            ("10.1.2.3", &["10.1.2.3", "::ffff:10.1.2.3"][..], &["10.1.2.4", "::1"][..]),
            ("10.0.0.0/8", &["10.255.0.1"], &["11.0.0.1", "a00::1"]),
            ("10.1.2.3/8", &["10.9.9.9"], &["9.1.2.3"]),
            ("0.0.0.0/0", &["1.2.3.4"], &["::2"]),
            ("2001:db8::/33", &["2001:db8:7fff::1"], &["2001:db8:8000::1", "10.0.0.1"]),
            ("::ffff:10.0.0.0/104", &["10.7.7.7"], &["11.0.0.0"]),
            ("::1", &["::1"], &["::2"]),
        ] {
            let parsed: Network = network.parse().unwrap();
            assert!(within.iter().all(|address| parsed.contains(ip(address))), "{network}");
            assert!(!without.iter().any(|address| parsed.contains(ip(address))), "{network}");
        }
        for none in [
            "",
            "10.0.0.0/33",
            "10.0.0.0/-1",
            "10.0.0.0/+8",
            "10.0.0.0/",
            "10.0.0/8",
            "::/129",
            "host",
            "::ffff:1.2.3.4/95",
        ] {
            assert_eq!(none.parse::<Network>(), Err(NotANetwork), "{none}");
        }
        assert_eq!(networks(" 10.0.0.1 , ::1/64,").map(|networks| networks.len()), Ok(2));
        assert_eq!(networks("10.0.0.1,here"), Err("here"));
    }

    #[test]
    fn the_client_is_the_right_most_address_that_nobody_vouches_for() {
        let trusted = networks("10.0.0.0/8, 2001:db8::/32").unwrap();
        let of = |peer: &str, lines: &[&str]| {
            client_address(ip(peer), lines.iter().map(|line| line.as_bytes()), &trusted).to_string()
        };
        for (peer, lines, client) in [
            ("10.0.0.1", &["203.0.113.7"][..], "203.0.113.7"),
            ("10.0.0.1", &["1.1.1.1, 203.0.113.7"], "203.0.113.7"),
            ("10.0.0.1", &["1.1.1.1, 203.0.113.7 ,10.0.0.9"], "203.0.113.7"),
            ("10.0.0.1", &["1.1.1.1", "203.0.113.7", "10.0.0.9,10.0.0.8"], "203.0.113.7"),
            ("::ffff:10.0.0.1", &["203.0.113.7:51000"], "203.0.113.7"),
            ("2001:db8::1", &["[2001:470::5]:443"], "2001:470::5"),
            ("2001:db8::1", &["[2001:470::5]"], "2001:470::5"),
            ("10.0.0.1", &["10.0.0.2, 10.0.0.3"], "10.0.0.2"),
            // Nobody has said anything, or somebody has who is not believed.
            ("10.0.0.1", &[], "10.0.0.1"),
            ("192.0.2.1", &["203.0.113.7"], "192.0.2.1"),
            // What can't be read.
            ("10.0.0.1", &[""], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.7, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.7,"], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.7, [10.0.0.2]"], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.7 10.0.0.2"], "10.0.0.1"),
        ] {
            assert_eq!(of(peer, lines), client, "{peer} {lines:?}");
        }
        let long = vec!["10.0.0.2"; MOST_ADDRESSES].join(",");
        assert_eq!(of("10.0.0.1", &[&long]), "10.0.0.2");
        assert_eq!(of("10.0.0.1", &["203.0.113.7", &long]), "10.0.0.1", "too many to be honest");
    }
}
