//! Devices by way of the provisioning API, as a newcomer makes them: registered, activated, revoked.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use awc::Client;
use awc::http::{Method, StatusCode};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::commands::simulate::SimulateError;
use crate::commands::simulate::generate::{SimDevice, Tokens};
use crate::registry::provisioning::api::{Activated, Activation, NewDevice, Registered, Revoked};

/// Devices that are registered at once.
const AT_ONCE: usize = 16;
/// Bound on one answer.
const ANSWER_BOUND: Duration = Duration::from_secs(30);

/// The node's admin listener.
pub(crate) struct Admin {
    client: Client,
    /// `http://HOST:PORT`.
    url: String,
    key: String,
}

impl Admin {
    /// The listener at this URL.
    pub(crate) fn new(url: &str, key: &str) -> Self {
        let client = Client::builder().timeout(ANSWER_BOUND).disable_redirects().finish();
        Self { client, url: url.trim_end_matches('/').to_owned(), key: key.to_owned() }
    }

    /// Registers the devices, activates those that have a token, and revokes those that are revoked.
    ///
    /// # Errors
    /// The API can't be reached or refuses.
    pub(crate) async fn register(&self, devices: impl Iterator<Item = SimDevice>) -> Result<Tokens, SimulateError> {
        let tokens = stream::iter(devices)
            .map(|device| self.register_one(device))
            .buffer_unordered(AT_ONCE)
            .try_filter_map(async |issued| Ok(issued))
            .try_collect::<HashMap<String, String>>()
            .await?;
        Ok(Tokens::Issued(Arc::new(tokens)))
    }

    /// The device's id and its token, where it has one.
    async fn register_one(&self, device: SimDevice) -> Result<Option<(String, String)>, SimulateError> {
        let SimDevice { tenant_id, device_id, site_id, status, has_token, .. } = device;
        let (tenant, id) = (tenant_id.clone(), device_id.clone());
        let new = NewDevice { tenant_id: tenant, device_id: id, site_id, fw_version: None, metadata: None };
        let Registered { activation_code, .. } = self.post("/api/admin/devices", &new).await?;
        let mut issued = None;
        if has_token {
            let activation = Activation { tenant_id: tenant_id.clone(), device_id: device_id.clone(), activation_code };
            let Activated { provision_token, .. } = self.post("/api/device/activate", &activation).await?;
            issued = Some((device_id.clone(), provision_token));
        }
        if status == "REVOKED" {
            let path = format!("/api/admin/devices/{tenant_id}/{device_id}/revoke");
            let Revoked { .. } = self.post(&path, &()).await?;
        }
        Ok(issued)
    }

    async fn post<A: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<A, SimulateError> {
        let unavailable =
            |why: String| SimulateError::Unavailable(format!("{} {}{path}: {why}", Method::POST, self.url));
        let request = self.client.post(format!("{}{path}", self.url)).insert_header(("X-Admin-Key", self.key.as_str()));
        let mut response = request.send_json(body).await.map_err(|error| unavailable(error.to_string()))?;
        let answer = response.body().await.map_err(|error| unavailable(error.to_string()))?;
        match response.status() {
            StatusCode::OK | StatusCode::CREATED => {
                serde_json::from_slice(&answer).map_err(|error| unavailable(error.to_string()))
            }
            // An answer may hold a secret, a refusal does not.
            status => Err(unavailable(format!("{status} {}", String::from_utf8_lossy(&answer)))),
        }
    }
}
