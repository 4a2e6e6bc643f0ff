//! The `[gateway_http]` table.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::runtime::client_address::Networks;
use crate::runtime::setting::settings;

settings! {
    /// The `[gateway_http]` table.
    pub(crate) struct Config in "gateway_http" {
        /// Where devices send over HTTP; port 0 takes a free one.
        bind: SocketAddr = SocketAddr::from(([0, 0, 0, 0], 8090)), Address, "INGEST_HTTP_BIND";
        /// The server's certificate (PEM, with those between it and the authority); then only TLS is spoken.
        tls_cert: Option<PathBuf> = None, Path, "INGEST_TLS_CERT";
        /// The key of that certificate (PEM).
        tls_key: Option<PathBuf> = None, Path, "INGEST_TLS_KEY";
        /// Certificates (PEM) of the authority that vouches for devices. Certificates of clients are verified where they are
        /// presented; their common name, `tenant/device`, may take the token's place (`CERT_AUTH_ENABLED`).
        tls_client_ca: Option<PathBuf> = None, Path, "INGEST_TLS_CLIENT_CA";
        /// Clients without a certificate get no connection.
        tls_client_required: bool = false, Flag, "INGEST_TLS_CLIENT_REQUIRED";
        /// Threads that serve; 0 = one per processor.
        workers: usize = 0, whole(0, 256);
        /// Most open connections; another one takes the place of the one that has been idle longest.
        connections: usize = 8_192, whole(1, 1_000_000);
        /// An idle connection is kept so long.
        keep_alive_secs: u64 = 60, whole(1, 3_600);
        /// A request's head must come within this time.
        head_timeout_secs: u64 = 5, whole(1, 60);
        /// Its body must come within this time after the head.
        body_timeout_secs: u64 = 10, whole(1, 300);
        /// Most bytes of a body, before and after it is unpacked. `MAX_PAYLOAD_BYTES` bounds each message.
        body_max_bytes: usize = 1_048_576, whole(1_024, 67_108_864);
        /// Most bytes of all bodies that are being read.
        bodies_max_bytes: usize = 33_554_432, whole(1_048_576, 4_294_967_295);
        /// Proxies in front of the gateway: IP addresses and networks, separated by commas. Of a request that comes from one of
        /// them, the client's address is the right-most of `X-Forwarded-For` that is not one of them; nobody else's header is read.
        trusted_proxies: Option<Networks> = None, Networks, "INGEST_TRUSTED_PROXIES";
        /// Requests per second of one address (of IPv6 the first 64 bits), refused ones included; 0 = any number. Behind a load
        /// balancer all devices have one address, unless `INGEST_TRUSTED_PROXIES` names it.
        address_rps: u64 = 0, whole(0, 10_000_000);
        /// Requests that an address may send at once.
        address_burst: u64 = 200, whole(1, 10_000_000);
        /// Requests per second of all addresses together; 0 = any number.
        total_rps: u64 = 0, whole(0, 10_000_000);
        /// Requests that all together may send at once.
        total_burst: u64 = 2_000, whole(1, 10_000_000);
        /// Most messages that wait for the registry to answer about their device.
        lookups_waiting: usize = 1_024, whole(1, 1_000_000);
        /// How long one waits.
        lookup_timeout_secs: u64 = 3, whole(1, 60);
        /// Most requests of devices that read from PostgreSQL at once (shadow, commands).
        readers: usize = 4, whole(1, 1_000);
    }
}

impl Config {
    pub(super) fn body_timeout(&self) -> Duration {
        Duration::from_secs(self.body_timeout_secs)
    }

    /// Longest time of a connection without a request that is being answered: within it the next head has come, or none.
    pub(super) fn longest_idle(&self) -> Duration {
        Duration::from_secs(self.keep_alive_secs + self.head_timeout_secs)
    }

    /// How long a message waits for the registry.
    pub(crate) fn lookup_timeout(&self) -> Duration {
        Duration::from_secs(self.lookup_timeout_secs)
    }
}
