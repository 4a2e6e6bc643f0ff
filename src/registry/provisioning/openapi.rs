//! What of the API needs no key, as an OpenAPI document: a listener that serves it to devices merges it into its own.

use utoipa::OpenApi;

use super::routes;

#[derive(OpenApi)]
#[openapi(paths(routes::activate))]
struct Document;

/// The document of `POST /api/device/activate`.
pub(crate) fn openapi() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_activation_says_what_it_takes_and_answers() {
        let document = serde_json::to_value(openapi()).unwrap();
        let operation = &document["paths"]["/api/device/activate"]["post"];
        let answers: Vec<_> = operation["responses"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(answers, ["200", "400", "405", "408", "413", "429", "503"]);
        let schemas = &document["components"]["schemas"];
        assert_eq!(schemas["Activation"]["additionalProperties"], false);
        assert_eq!(schemas["Activated"]["required"].as_array().map(Vec::len), Some(3));
        assert!(schemas["Problem"]["properties"]["error"].is_object(), "{document}");
    }
}
