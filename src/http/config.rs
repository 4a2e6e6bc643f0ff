//! The `[http]` table.

use std::net::SocketAddr;

use crate::runtime::setting::settings;

settings! {
    /// The `[http]` table.
    pub(crate) struct Config in "http" {
        /// Where `/health`, `/ready`, `/metrics`, `/stats` and `/lag` are served; port 0 takes a free one.
        bind: SocketAddr = SocketAddr::from(([0, 0, 0, 0], 8080)), Address, "HTTP_BIND";
    }
}
