//! Whose request it is: the other end of the connection, or behind a proxy that the operator trusts, whom the proxy names.
//!
//! Only a listener that puts [`ClientAddress`] into its requests believes a header; everywhere else it is the connection's other end.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use actix_web::{HttpMessage, HttpRequest};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use ingest_core::http::{Network, networks};

/// What a listener has found out about the client of a request; among the request's extensions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientAddress(pub IpAddr);

/// The client's address of a request.
pub(crate) fn client_address(request: &HttpRequest) -> IpAddr {
    let found = request.extensions().get::<ClientAddress>().map(|address| address.0);
    found.or_else(|| request.peer_addr().map(|peer| peer.ip())).unwrap_or(Ipv4Addr::UNSPECIFIED.into())
}

/// Addresses and networks, as a setting names them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Networks {
    text: String,
    list: Arc<[Network]>,
}

/// A text that names something else.
#[derive(Debug, Error)]
#[error("{0} is neither an IP address nor a network like 10.0.0.0/8")]
pub(crate) struct NotNetworks(String);

impl Networks {
    /// Each of them.
    pub(crate) fn list(&self) -> &[Network] {
        &self.list
    }
}

impl TryFrom<String> for Networks {
    type Error = NotNetworks;

    fn try_from(text: String) -> Result<Self, NotNetworks> {
        let list = networks(&text).map_err(|part| NotNetworks(part.to_owned()))?.into();
        Ok(Self { text, list })
    }
}

impl From<Networks> for String {
    fn from(networks: Networks) -> Self {
        networks.text
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_header_by_itself_makes_no_address() {
        let peer = "192.0.2.1:50000".parse().unwrap();
        let request =
            TestRequest::default().peer_addr(peer).insert_header(("X-Forwarded-For", "203.0.113.7")).to_http_request();
        assert_eq!(client_address(&request), peer.ip());
        let named = IpAddr::from([203, 0, 113, 9]);
        request.extensions_mut().insert(ClientAddress(named));
        assert_eq!(client_address(&request), named);
        assert_eq!(client_address(&TestRequest::default().to_http_request()), IpAddr::from([0, 0, 0, 0]));
    }

    #[test]
    fn a_list_is_shown_as_it_was_written() {
        let list: Networks = "10.0.0.0/8, ::1".to_owned().try_into().unwrap();
        assert_eq!((list.list().len(), String::from(list)), (2, "10.0.0.0/8, ::1".to_owned()));
        let error = Networks::try_from("10.0.0.1,proxy".to_owned()).unwrap_err();
        assert_eq!(error.to_string(), "proxy is neither an IP address nor a network like 10.0.0.0/8");
    }
}
