//! Missing readings: gaps in the numbers of a device's messages (`numbers`), and devices that fall silent (`silence`).
#![allow(clippy::unwrap_used)]

mod numbers;
mod silence;

use async_nats::jetstream::consumer::pull;
use futures_util::StreamExt;
use ingest_kit::envelope;
use ingest_kit::jetstream::Outgoing;
use ingest_kit::seed::Device;
use serde_json::Value;

use crate::consumer::Configured;
use crate::world::World;

/// Settings under which everything shows within seconds.
fn quickly(more: &str) -> Configured {
    Configured::with(&format!(
        "[state]\nflush_interval_secs = 1\nflush_interval_max_secs = 1\nmissing_after_secs = 1\n\
         [state.silence]\nlook_secs = 1\nfactor = 2\n{more}\n"
    ))
}

/// Readings of a device with these numbers, in this order.
fn readings(device: &Device, numbers: impl IntoIterator<Item = u64>) -> Vec<Outgoing> {
    numbers.into_iter().map(|seq| envelope::telemetry(device, seq)).collect()
}

/// A device's columns: last number, missing, late, repeats, resets; and its gaps.
async fn record(world: &World, device: &Device) -> Option<([i64; 5], Vec<i64>)> {
    let sql = "SELECT last_seq, seq_missing, seq_late, seq_repeats, seq_resets, seq_missing_ranges
        FROM device_state WHERE tenant_id = $1 AND device_id = $2";
    let rows = world.database.query(sql, &[&device.tenant_id, &device.device_id]).await;
    let row = rows.first()?;
    let numbers = [0, 1, 2, 3, 4].map(|column| row.get::<_, Option<i64>>(column).unwrap_or(0));
    Some((numbers, row.get::<_, Option<Vec<i64>>>(5).unwrap_or_default()))
}

/// Every alert that was ever published, in the order of the stream.
async fn alerts(world: &World) -> Vec<Value> {
    let Ok(stream) = world.jetstream.get_stream("ALERTS").await else { return Vec::new() };
    let count = stream.cached_info().state.messages as usize;
    let consumer = stream.create_consumer(pull::Config::default()).await.expect("a consumer");
    let messages = consumer.fetch().max_messages(count.max(1)).messages().await.expect("a batch");
    let read =
        messages.take(count).map(|message| serde_json::from_slice(&message.expect("an alert").payload).expect("JSON"));
    read.collect().await
}

/// The kinds of the alerts about a device.
fn kinds_of<'a>(alerts: &'a [Value], device: &Device) -> Vec<&'a str> {
    let of = alerts
        .iter()
        .filter(|alert| alert["device_id"] == *device.device_id && alert["tenant_id"] == *device.tenant_id);
    of.filter_map(|alert| alert["type"].as_str()).collect()
}
