//! The v2 API of InfluxDB 3: all or nothing, 400 for whatever is wrong, and no line is named.

use actix_web::HttpResponse;
use serde_json::json;

use super::lines::Precision;
use super::server::{Parameters, done, parameters as split, text};
use super::store::{WriteError, Written};

pub(super) const PATH: &str = "/api/v2/write";

/// Reads the parameters: the bucket is the database, the organisation is ignored.
pub(super) fn parameters(query: &str) -> Result<Parameters, String> {
    let of = |name: &str| split(query).find(|(key, _)| key == name).map(|(_, value)| value);
    let invalid = |message: &str| json!({"code": "invalid", "message": message}).to_string();
    let database = of("bucket").ok_or_else(|| invalid("no org/bucket destination provided"))?;
    if database.is_empty() {
        return Err(invalid("missing bucket value"));
    }
    let precision = of("precision").unwrap_or_else(|| "ns".to_owned());
    let precision = Precision::parse(&precision).ok_or_else(|| invalid("unknown precision"))?;
    Ok(Parameters { database, precision, partial: false })
}

pub(super) fn report(written: &Written) -> HttpResponse {
    match written.errors.first() {
        Some(error) => answer(&format!("line protocol parse failed: {}", error.message)),
        None => done(),
    }
}

pub(super) fn refusal(refused: &WriteError) -> HttpResponse {
    match refused {
        WriteError::Name(message) => answer(message),
        WriteError::Limit(message) => answer(&format!("catalog update error: {message}")),
        WriteError::Empty => answer("incoming write was empty"),
    }
}

fn answer(message: &str) -> HttpResponse {
    let body = json!({"code": "invalid", "message": format!("write buffer error: {message}")});
    text(400, &body.to_string())
}
