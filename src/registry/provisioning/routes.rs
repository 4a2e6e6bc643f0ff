//! The endpoints, to be added to a listener: reads requests, logs changes, answers.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use percent_encoding::percent_decode_str;
use serde::Serialize;
use slog::info;

use super::api::{Activated, Activation, NewDevice};
use super::body::{Members, unknown};
use super::devices::{Devices, Filter, MOST_LISTED, USUALLY_LISTED};
use super::error::ProvisionError;
use super::outage::OutageLog;
use super::tokens::Activations;
use crate::runtime::client_address::client_address;
use crate::runtime::problem::{Problem, problem};

/// Longest id of a path that is looked up, in bytes: beyond, nobody has it.
const LONGEST_ID: usize = 4 * 255;

/// Adds `POST /api/device/activate`, which needs no key: its code is one. Every worker of a listener shares the limit of failures.
pub(crate) fn activation(activations: web::Data<Activations>) -> impl Fn(&mut web::ServiceConfig) + Clone + Send {
    let outage = web::Data::new(OutageLog::default());
    move |config| {
        let resource = web::resource("/api/device/activate")
            .app_data(activations.clone())
            .app_data(outage.clone())
            .post(activate)
            .default_service(web::to(other_method));
        config.service(resource);
    }
}

/// Adds what administrators do with devices. The listener asks for the key.
pub(crate) fn devices(devices: web::Data<Devices>) -> impl Fn(&mut web::ServiceConfig) + Clone + Send {
    let outage = web::Data::new(OutageLog::default());
    move |config| {
        let device = "/api/admin/devices/{tenant_id}/{device_id}";
        config
            .app_data(devices.clone())
            .app_data(outage.clone())
            .service(
                web::resource("/api/admin/devices").get(list).post(register).default_service(web::to(other_method)),
            )
            .service(web::resource(format!("{device}/revoke")).post(revoke).default_service(web::to(other_method)))
            .service(
                web::resource(format!("{device}/rotate-token")).post(rotate).default_service(web::to(other_method)),
            );
    }
}

/// Gives a device its token, for the code of its registration.
#[utoipa::path(
    post,
    path = "/api/device/activate",
    tag = "device",
    request_body = Activation,
    responses(
        (status = 200, description = "The device's token; the code works no longer", body = Activated),
        (status = 400, description = "The code is wrong, used or too old, or the request is malformed", body = Problem),
        (status = 405, description = "Not POST", body = Problem),
        (status = 408, description = "The body did not come in time", body = Problem),
        (status = 413, description = "The body is too large", body = Problem),
        (status = 429, description = "Too many wrong codes of this address: try again after `Retry-After`", body = Problem),
        (status = 503, description = "Try again after `Retry-After`", body = Problem),
    )
)]
pub(super) async fn activate(
    request: HttpRequest,
    body: web::Payload,
    activations: web::Data<Activations>,
    outage: web::Data<OutageLog>,
) -> HttpResponse {
    let address = client_address(&request);
    let is_limited = || match activations.failures.retry_after_secs(address) {
        Some(secs) => Err(ProvisionError::Limited(secs)),
        None => Ok(()),
    };
    if let Err(limited) = is_limited() {
        return limited.response();
    }
    let result = async {
        let activation = read_activation(body).await?;
        let _place = activations.places.acquire().await;
        // Others of this address may have been wrong meanwhile.
        is_limited()?;
        activations.activate(activation).await
    }
    .await;
    outage.note(&result, &activations.log);
    match &result {
        Ok(activated) => {
            info!(activations.log, "device activated"; "address" => %address,
                "tenant_id" => &activated.tenant_id, "device_id" => &activated.device_id);
        }
        Err(error) if error.is_of_the_code() && activations.failures.record(address) => {
            info!(activations.log, "too many wrong activation codes: this address has to wait"; "address" => %address);
        }
        Err(_) => {}
    }
    answer(StatusCode::OK, result)
}

async fn register(
    request: HttpRequest,
    body: web::Payload,
    devices: web::Data<Devices>,
    outage: web::Data<OutageLog>,
) -> HttpResponse {
    let result = async { devices.register(read_device(body).await?).await }.await;
    outage.note(&result, &devices.log);
    if let Ok((registered, is_new)) = &result {
        info!(devices.log, "device registered"; "address" => %client_address(&request), "is_new" => is_new,
            "tenant_id" => &registered.tenant_id, "device_id" => &registered.device_id, "site_id" => &registered.site_id);
    }
    match result {
        Ok((registered, true)) => answer(StatusCode::CREATED, Ok(registered)),
        Ok((registered, false)) => answer(StatusCode::OK, Ok(registered)),
        Err(error) => error.response(),
    }
}

async fn list(request: HttpRequest, devices: web::Data<Devices>, outage: web::Data<OutageLog>) -> HttpResponse {
    let result = async { devices.list(read_filter(request.query_string())?).await }.await;
    outage.note(&result, &devices.log);
    answer(StatusCode::OK, result)
}

async fn revoke(
    request: HttpRequest,
    path: web::Path<(String, String)>,
    devices: web::Data<Devices>,
    outage: web::Data<OutageLog>,
) -> HttpResponse {
    let (tenant_id, device_id) = path.into_inner();
    let result = match check_path(request.path(), &tenant_id, &device_id) {
        Ok(()) => devices.revoke(&tenant_id, &device_id).await,
        Err(error) => Err(error),
    };
    outage.note(&result, &devices.log);
    if let Ok((_, true)) = &result {
        info!(devices.log, "device revoked"; "address" => %client_address(&request),
            "tenant_id" => tenant_id, "device_id" => device_id);
    }
    answer(StatusCode::OK, result.map(|(revoked, _)| revoked))
}

async fn rotate(
    request: HttpRequest,
    path: web::Path<(String, String)>,
    devices: web::Data<Devices>,
    outage: web::Data<OutageLog>,
) -> HttpResponse {
    let (tenant_id, device_id) = path.into_inner();
    let result = match check_path(request.path(), &tenant_id, &device_id) {
        Ok(()) => devices.rotate_token(tenant_id, device_id).await,
        Err(error) => Err(error),
    };
    outage.note(&result, &devices.log);
    if let Ok(rotated) = &result {
        info!(devices.log, "device token rotated"; "address" => %client_address(&request),
            "tenant_id" => &rotated.tenant_id, "device_id" => &rotated.device_id);
    }
    answer(StatusCode::OK, result)
}

async fn other_method() -> HttpResponse {
    problem(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this path is served with another method")
}

async fn read_device(body: web::Payload) -> Result<NewDevice, ProvisionError> {
    let mut members = Members::read(body).await?;
    let device = NewDevice {
        tenant_id: members.text("tenant_id")?,
        device_id: members.text("device_id")?,
        site_id: members.text("site_id")?,
        fw_version: members.optional_text("fw_version")?,
        metadata: members.optional_object("metadata")?,
    };
    members.end()?;
    Ok(device)
}

async fn read_activation(body: web::Payload) -> Result<Activation, ProvisionError> {
    let mut members = Members::read(body).await?;
    let activation = Activation {
        tenant_id: members.text("tenant_id")?,
        device_id: members.text("device_id")?,
        activation_code: members.text("activation_code")?,
    };
    members.end()?;
    Ok(activation)
}

fn read_filter(query: &str) -> Result<Filter, ProvisionError> {
    let malformed = |sentence: &str| ProvisionError::Malformed(sentence.to_owned());
    let parameters = web::Query::<Vec<(String, String)>>::from_query(query)
        .map_err(|_| malformed("the parameters can't be read"))?
        .into_inner();
    let mut filter = Filter { equal: Vec::new(), limit: USUALLY_LISTED };
    for (name, value) in parameters {
        let column = match name.as_str() {
            "tenant_id" => "tenant_id",
            "site_id" => "site_id",
            "status" => "status",
            "limit" => {
                let limit = value.parse().ok().filter(|limit| (1..=MOST_LISTED).contains(limit));
                filter.limit = limit.ok_or_else(|| malformed("limit: must be a whole number from 1 to 1000"))?;
                continue;
            }
            _ => return Err(unknown(&name)),
        };
        if value.contains('\0') || filter.equal.iter().any(|(known, _)| *known == column) {
            return Err(malformed(&format!("{column}: must be one value without U+0000")));
        }
        filter.equal.push((column, value));
    }
    Ok(filter)
}

/// A device that somebody else has registered may have any name; only what PostgreSQL can't look up is refused, and what the
/// decoding of the path has changed.
fn check_path(path: &str, tenant_id: &str, device_id: &str) -> Result<(), ProvisionError> {
    if percent_decode_str(path).decode_utf8().is_err() {
        return Err(ProvisionError::Malformed("the path is not UTF-8 text".to_owned()));
    }
    let is_name = |id: &str| id.len() <= LONGEST_ID && !id.contains('\0');
    for (field, id) in [("tenant_id", tenant_id), ("device_id", device_id)] {
        if !is_name(id) {
            return Err(ProvisionError::Malformed(format!("{field}: can't be a name")));
        }
    }
    Ok(())
}

fn answer<T: Serialize>(status: StatusCode, result: Result<T, ProvisionError>) -> HttpResponse {
    match result {
        Ok(body) => HttpResponse::build(status).insert_header(("Cache-Control", "no-store")).json(body),
        Err(error) => error.response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_bounds_and_known_filters() {
        let filter = read_filter("tenant_id=a%20b&limit=1000&status=ACTIVE").unwrap();
        assert_eq!((filter.limit, filter.equal.len(), filter.equal[0].1.as_str()), (1_000, 2, "a b"));
        assert_eq!(read_filter("").unwrap().limit, USUALLY_LISTED);
        for (query, field) in [
            ("limit=0", "limit"),
            ("limit=1001", "limit"),
            ("limit=x", "limit"),
            ("site_id=%00", "site_id"),
            ("status=a&status=b", "status"),
            ("tenant=a", "tenant"),
        ] {
            let refused = read_filter(query).unwrap_err().to_string();
            assert!(refused.starts_with(&format!("{field}: ")), "{query}: {refused}");
        }
    }
}
