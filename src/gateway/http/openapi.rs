//! `/openapi.json`: made of the handlers and of the types that they answer with.

use actix_web::{HttpResponse, web};
use utoipa::OpenApi;

use super::answer::{BatchAnswer, Rejected};
use super::service::Service;
use super::shapes::BatchRefused;
use super::{batch, device, ingest};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "ingest-node gateway",
        description = "Takes messages of devices. A 2xx means that the stream has the message.",
    ),
    paths(
        ingest::single,
        batch::batch,
        device::shadow::desired,
        device::shadow::report,
        device::commands::pending,
        device::commands::acknowledge,
    ),
    components(schemas(Rejected, BatchAnswer, BatchRefused))
)]
struct Document;

/// The document's text, with that of further routes: the same for every request.
pub(super) fn text(further: utoipa::openapi::OpenApi) -> String {
    Document::openapi().merge_from(further).to_json().unwrap_or_default()
}

/// Answers the document.
pub(super) async fn show(service: web::Data<Service>) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(service.document.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_says_what_it_answers() {
        let document = serde_json::to_value(Document::openapi()).unwrap();
        let paths = document["paths"].as_object().unwrap();
        assert_eq!(paths.len(), 6);
        for (path, operations) in paths {
            for (method, operation) in operations.as_object().unwrap() {
                let responses = operation["responses"].as_object().unwrap();
                assert!(responses.contains_key("503") && responses.contains_key("429"), "{method} {path}");
                assert!(!responses.contains_key("422"), "{method} {path}");
            }
        }
        let accepted = &document["components"]["schemas"]["Accepted"]["required"];
        assert_eq!(*accepted, serde_json::json!(["status", "device_id", "seq"]));
    }
}
