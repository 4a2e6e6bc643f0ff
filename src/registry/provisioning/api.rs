//! The JSON of the provisioning API. Types with a secret have no `Debug`: they can't get into a log.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// Body of `POST /api/admin/devices`.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewDevice {
    /// The tenant's id.
    pub tenant_id: String,
    /// The device's id.
    pub device_id: String,
    /// Where it stands.
    pub site_id: String,
    /// The version of its firmware; null keeps what is known.
    #[serde(default)]
    pub fw_version: Option<String>,
    /// Anything; replaces what is known.
    #[serde(default)]
    pub metadata: Option<Map<String, Value>>,
}

/// The answer to it: 201 for a new device, 200 for one that was registered already.
#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct Registered {
    /// The tenant's id.
    pub tenant_id: String,
    /// The device's id.
    pub device_id: String,
    /// Where it stands.
    pub site_id: String,
    /// What the device activates itself with, once; shown here and never again.
    pub activation_code: String,
    /// Until when, RFC 3339 in UTC.
    pub expires_at: String,
    /// The tenant's database; null where the node writes no points.
    pub influx_database: Option<InfluxDatabase>,
}

/// The tenant's database in InfluxDB.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct InfluxDatabase {
    /// What it is called.
    pub name: String,
    /// Whether it is there.
    pub state: DatabaseState,
}

/// Whether a tenant's database is there. Whatever it is, the device is registered, and no point is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DatabaseState {
    /// It was there.
    Exists,
    /// It was not, as far as is known, and has been asked for.
    Requested,
    /// The server holds as many as it can.
    NoRoom,
    /// The server does not answer, or refuses.
    Failed,
}

/// Body of `POST /api/device/activate`.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Activation {
    /// The tenant's id.
    pub tenant_id: String,
    /// The device's id.
    pub device_id: String,
    /// The code of its registration.
    pub activation_code: String,
}

/// The answer to it.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
pub(crate) struct Activated {
    /// The tenant's id.
    pub tenant_id: String,
    /// The device's id.
    pub device_id: String,
    /// The device's token; shown here and never again.
    pub provision_token: String,
}

/// The answer to `POST /api/admin/devices/{tenant_id}/{device_id}/rotate-token`.
#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct Rotated {
    /// The tenant's id.
    pub tenant_id: String,
    /// The device's id.
    pub device_id: String,
    /// The device's token; shown here and never again.
    pub provision_token: String,
    /// The same, under the name that clients of earlier systems read.
    pub new_provision_token: String,
}

/// The answer to `POST /api/admin/devices/{tenant_id}/{device_id}/revoke`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Revoked {
    /// Always true: also a device that is not registered has no access.
    pub ok: bool,
}

/// One device of the list that `GET /api/admin/devices` answers.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct ListedDevice {
    /// The tenant's id.
    pub tenant_id: String,
    /// The device's id.
    pub device_id: String,
    /// Where it stands.
    pub site_id: String,
    /// `ACTIVE`, `REVOKED` or `PENDING`.
    pub status: String,
    /// The version of its firmware, where it is known.
    pub fw_version: Option<String>,
    /// Whether it has a token.
    pub token_set: bool,
    /// When it was registered, RFC 3339 in UTC.
    pub created_at: String,
}
