//! Queries: the columns of a table from `information_schema.columns`, and no other SQL.

use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use serde_json::{Value, json};

use super::control::Shared;
use super::server::{authorise, text};

pub(super) async fn query_sql(request: HttpRequest, body: Bytes, shared: web::Data<Shared>) -> HttpResponse {
    if let Err(answer) = authorise(&request, &shared) {
        return answer.into();
    }
    if !shared.knobs().answers_queries {
        return text(404, "Not found");
    }
    let asked: Value = match serde_json::from_slice(&body) {
        Ok(asked) => asked,
        Err(error) => return text(400, &format!("serde json error: {error}")),
    };
    let (Some(database), Some(sql)) = (asked["db"].as_str(), asked["q"].as_str()) else {
        return text(400, "serde json error: missing field `db` at line 1 column 17");
    };
    let store = shared.store();
    if !store.exists(database) {
        return text(404, &json!({"error": format!("query error: database not found: {database}")}).to_string());
    }
    let table = sql.split_once("table_name = '").and_then(|(_, rest)| rest.split_once('\''));
    let Some((table, _)) = table.filter(|_| sql.contains("information_schema.columns")) else {
        return text(400, &json!({"error": "SQL error: the stand-in knows no such query"}).to_string());
    };
    let columns: Vec<_> = store.columns(database, table).iter().map(|name| json!({"column_name": name})).collect();
    HttpResponse::Ok().json(columns)
}
