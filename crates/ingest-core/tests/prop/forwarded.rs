//! Addresses that headers claim: whatever they hold.

use std::net::IpAddr;

use ingest_core::http::{Network, client_address, networks};
use proptest::prelude::*;

const TRUSTED: &str = "10.0.0.0/8,2001:db8::/32";

fn lines() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let entry = prop_oneof![
        3 => any::<IpAddr>().prop_map(|address| address.to_string().into_bytes()),
        2 => any::<[u8; 3]>().prop_map(|[a, b, c]| format!("10.{a}.{b}.{c}").into_bytes()),
        1 => proptest::collection::vec(any::<u8>(), 0..80),
    ];
    let line = proptest::collection::vec(entry, 0..40).prop_map(|entries| entries.join(&b", "[..]));
    proptest::collection::vec(line, 0..4)
}

fn client(peer: IpAddr, lines: &[Vec<u8>], trusted: &[Network]) -> IpAddr {
    client_address(peer, lines.iter().map(Vec::as_slice), trusted)
}

proptest! {
    #[test]
    fn a_header_of_somebody_who_is_not_trusted_says_nothing(peer: IpAddr, lines in lines()) {
        let trusted = networks(TRUSTED).expect("networks");
        prop_assert_eq!(client(peer, &lines, &[]), peer);
        if !trusted.iter().any(|network| network.contains(peer)) {
            prop_assert_eq!(client(peer, &lines, &trusted), peer);
        }
    }

    #[test]
    fn what_a_client_sends_ahead_of_its_own_address_changes_nothing(lines in lines(), own: IpAddr) {
        let trusted = networks(TRUSTED).expect("networks");
        prop_assume!(!trusted.iter().any(|network| network.contains(own)));
        let peer = IpAddr::from([10, 0, 0, 1]);
        let honest = [own.to_string().into_bytes()].to_vec();
        let forged: Vec<Vec<u8>> = lines.iter().cloned().chain(honest.clone()).collect();
        prop_assert_eq!(client(peer, &forged, &trusted), own.to_canonical());
        prop_assert_eq!(client(peer, &honest, &trusted), own.to_canonical());
    }

    #[test]
    fn the_client_is_the_peer_or_an_address_of_the_header(lines in lines()) {
        let trusted = networks(TRUSTED).expect("networks");
        let peer = IpAddr::from([10, 0, 0, 1]);
        let found = client(peer, &lines, &trusted);
        let is_there = lines.iter().flat_map(|line| line.split(|byte| *byte == b',')).any(|entry| {
            let text = String::from_utf8_lossy(entry);
            let text = text.trim_matches(['[', ']', ' ']);
            text.parse::<IpAddr>().is_ok_and(|address| address.to_canonical() == found) || text.contains(&found.to_string())
        });
        prop_assert!(found == peer || is_there, "{found}");
    }

    #[test]
    fn a_network_holds_its_own_addresses_and_no_text_makes_it_panic(address: IpAddr, bits in 0_u32..140, text in "\\PC{0,24}") {
        if let Ok(network) = format!("{address}/{bits}").parse::<Network>() {
            prop_assert!(network.contains(address));
        }
        let _ = networks(&text);
    }
}
