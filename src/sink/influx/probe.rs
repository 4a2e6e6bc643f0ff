//! A write that stores nothing: whether the server takes points with this API, this token, this organisation and bucket.

use serde::Deserialize;

use super::Api;
use super::backend::{Backend, Store};
use super::classify::is_header_malformed;
use super::error::RequestError;

/// What the server made of the write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Probe {
    /// It would have taken a point.
    Accepted,
    /// It takes none with this token.
    TokenRefused(String),
    /// There is no such bucket or organisation.
    NotFound(String),
    /// It has another API than the one that is configured.
    OtherApi(String),
    /// It works, but speaks a newer API, which says more.
    NewerApi(String),
    /// Anything else.
    Failed(String),
}

/// What is at `GET /ping` of InfluxDB 3.
#[derive(Deserialize)]
struct Ping {
    product_name: String,
}

impl Backend {
    /// Tries a write to a tenant's database; `None` where points go to files.
    ///
    /// # Errors
    /// Where the server does not answer.
    pub(crate) async fn probe(&self, tenant_id: &str) -> Result<Option<Probe>, RequestError> {
        let Store::Server(server) = &self.store else { return Ok(None) };
        let (status, answer) = server.write_nothing(&self.database(tenant_id)).await?;
        let probe = read(server.api(), status, &answer);
        if server.api() != Api::V2 || probe != Probe::Accepted {
            return Ok(Some(probe));
        }
        // InfluxDB 3 speaks the v2 API, too.
        let (_, ping) = server.get("/ping").await?;
        let product = serde_json::from_str::<Ping>(&ping).ok().map(|ping| ping.product_name);
        Ok(Some(match product.filter(|product| product.contains("InfluxDB 3")) {
            Some(product) => Probe::NewerApi(product),
            None => probe,
        }))
    }
}

/// Reads the answer to a line that can't be read.
fn read(api: Api, status: u16, answer: &str) -> Probe {
    let said = || format!("status {status}: {}", answer.trim().chars().take(300).collect::<String>());
    let is_page = answer.trim_start().starts_with('<');
    match status {
        401 | 403 => Probe::TokenRefused(said()),
        400 if is_header_malformed(answer.as_bytes()) => Probe::TokenRefused(said()),
        // The line could not be read: all else was as it should be. VictoriaMetrics leaves such lines out.
        400 | 422 if !is_page => Probe::Accepted,
        204 if api == Api::V2 => Probe::Accepted,
        404 if answer.contains("bucket") || answer.contains("organization") => Probe::NotFound(said()),
        404 | 405 => Probe::OtherApi(said()),
        _ => Probe::Failed(said()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_is_told_apart() {
        let unauthorized = r#"{"code":"unauthorized","message":"unauthorized access"}"#;
        let no_bucket = r#"{"code":"not found","message":"bucket \"b\" not found"}"#;
        let no_org = r#"{"code":"not found","message":"organization name \"o\" not found"}"#;
        let unreadable = r#"{"error":"line protocol parsing error","data":{}}"#;
        assert_eq!(read(Api::V3, 400, unreadable), Probe::Accepted);
        assert_eq!(read(Api::V2, 400, r#"{"code":"invalid"}"#), Probe::Accepted);
        assert_eq!(read(Api::V2, 204, ""), Probe::Accepted);
        assert!(matches!(read(Api::V3, 204, ""), Probe::Failed(_)), "nothing can be written by that line");
        assert!(matches!(read(Api::V2, 401, unauthorized), Probe::TokenRefused(_)));
        assert!(matches!(read(Api::V2, 404, no_bucket), Probe::NotFound(_)));
        assert!(matches!(read(Api::V2, 404, no_org), Probe::NotFound(_)));
        assert!(matches!(read(Api::V3, 404, "Not found"), Probe::OtherApi(_)));
        assert!(matches!(read(Api::V3, 400, "<html>Bad Request</html>"), Probe::Failed(_)));
        assert!(matches!(read(Api::V3, 500, "no"), Probe::Failed(text) if text == "status 500: no"));
    }
}
