//! Run-time settings that change while the node runs, and how to see from outside that it has taken them over.

use std::collections::BTreeMap;

use ingest_kit::jetstream::Outgoing;
use ingest_kit::{seed, wait_for};
use serde_json::json;

use crate::world::{DEADLINE, LANES, World};

const TENANT: &str = "kit-probe";
/// Of a tenant with a registered device rejections are counted by name.
const KNOWN_TENANT: &str = "INSERT INTO device_registry (tenant_id, device_id, site_id, status)
                            VALUES ('kit-probe', 'known', 'x', 'ACTIVE') ON CONFLICT DO NOTHING";

/// Sets rows of `app_settings` and waits until the running node goes by them.
///
/// The node reads all settings at once. So we set them together with another payload limit, wait until messages of a
/// stranger show that limit, and then set the limit that is really meant.
pub(super) async fn apply(world: &World, settings: &BTreeMap<String, String>) {
    let limit: usize = settings.get("MAX_PAYLOAD_BYTES").map_or(8192, |limit| limit.parse().expect("a number"));
    let half = (limit / 2).to_string();
    world.database.execute(KNOWN_TENANT).await;
    let others = settings.iter().filter(|(key, _)| *key != "MAX_PAYLOAD_BYTES");
    let mut rows: Vec<(&str, &str)> = others.map(|(key, value)| (key.as_str(), value.as_str())).collect();
    rows.push(("MAX_PAYLOAD_BYTES", &half));
    seed::app_settings(&world.database, &rows).await;
    wait_for("the new settings to hold", DEADLINE, async || is_too_large(world, limit * 3 / 4).await).await;
    seed::app_settings(&world.database, &[("MAX_PAYLOAD_BYTES", &limit.to_string())]).await;
    wait_for("the payload limit to hold", DEADLINE, async || !is_too_large(world, limit * 3 / 4).await).await;
}

/// Whether a payload of this size is rejected for its size. The device is unknown: it is rejected in any case.
async fn is_too_large(world: &World, size: usize) -> bool {
    let empty = json!({"site_id": "x", "pad": ""}).to_string();
    let payload = json!({"site_id": "x", "pad": "x".repeat(size - empty.len())});
    let envelope = json!({"topic": format!("tenant/{TENANT}/device/p/telemetry"), "payload": payload});
    let before = counted(world).await;
    world.publish([Outgoing::new(format!("telemetry.{TENANT}"), envelope.to_string())]).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    counted(world).await > before
}

async fn counted(world: &World) -> i64 {
    let sql = "SELECT coalesce(sum(cnt), 0)::bigint FROM quarantine_counters_minute
               WHERE tenant_id = $1 AND reason = 'PAYLOAD_TOO_LARGE'";
    world.database.query(sql, &[&TENANT]).await[0].get(0)
}
