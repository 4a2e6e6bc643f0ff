//! Shadow reports, acknowledgements, and the server's own MQTT.

use async_nats::jetstream::consumer;
use ingest_kit::envelope::{device, outgoing, payload};
use ingest_kit::seed;
use serde_json::json;

use crate::mqtt_lane;
use crate::world::{DEADLINE, LANES, drain};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_or_an_acknowledgement_is_told_with_what_is_in_force() {
    let (world, port) = mqtt_lane::mqtt_world().await;
    let device = device(0, 1);
    seed::devices(&world.database, std::slice::from_ref(&device)).await;
    let command = "INSERT INTO device_commands (tenant_id, command_id, device_id, status)
                   VALUES ('tenant-0', 'c-1', 'dev-0000', 'queued')";
    world.database.execute(command).await;
    let mut node = mqtt_lane::node(&world).start();
    // The server makes its stream when the first client connects.
    mqtt_lane::publish(port, []);
    node.wait_ready(DEADLINE).await;

    let report = |version: i64| {
        let payload = json!({"reported": {"mode": "eco"}, "version": version});
        outgoing(&device, "shadow", "shadow/reported", &payload)
    };
    let ack = |id: &str| outgoing(&device, "commands", "commands/ack", &json!({"command_id": id, "status": "ok"}));
    world.publish([report(4), ack("c-1")]).await;
    world.wait_settled(LANES[1], DEADLINE).await;
    world.wait_settled(LANES[2], DEADLINE).await;
    world.publish([report(3), ack("c-1"), ack("c-9"), report(-1).header("X", "y")]).await;
    world.wait_settled(LANES[1], DEADLINE).await;
    world.wait_settled(LANES[2], DEADLINE).await;
    let explain = async |stream, seq| world.explain_at(stream, seq).await;

    explain("SHADOW", 1).await.assert("applied", 0, &["what the device reported is in force"]);
    let older = explain("SHADOW", 2).await;
    older.assert("overtaken", 0, &["version 4 is in force, and this report is version 3"]);
    explain("COMMANDS", 1).await.assert("applied", 0, &["in force"]);
    explain("COMMANDS", 2).await.assert("overtaken", 0, &["by another acknowledgement"]);
    explain("COMMANDS", 3).await.assert("overtaken", 0, &["the device has no such command"]);

    // Over MQTT. What is settled is dropped, unless somebody else still has to settle it.
    mqtt_lane::publish(port, [mqtt_lane::message(&device, "telemetry", &payload(&device, 7))]);
    mqtt_lane::wait_settled(&world).await;
    let other = consumer::pull::Config { durable_name: Some("auditing".into()), ..Default::default() };
    world.jetstream.create_consumer_on_stream(other, "$MQTT_msgs").await.expect("a consumer");
    let newer = json!({"reported": {"mode": "on"}, "version": 5});
    mqtt_lane::publish(
        port,
        [
            mqtt_lane::message(&device, "telemetry", &payload(&device, 8)),
            mqtt_lane::message(&device, "shadow/reported", &newer),
            mqtt_lane::message(&device, "commands", &json!({})),
        ],
    );
    mqtt_lane::wait_settled(&world).await;
    let of_mqtt = async |seq| {
        let place = ["--stream", "$MQTT_msgs", "--seq", seq];
        super::explain_by(mqtt_lane::node(&world), &place).await
    };
    let is_stored = |explained: &super::Explained| ["stored", "point_owed"].contains(&&*explained.fate);
    let dropped = of_mqtt("1").await;
    assert!(is_stored(&dropped), "{dropped:?}");
    dropped.assert_step("stream", "$MQTT_msgs keeps nothing that is settled");
    let stored = of_mqtt("2").await;
    assert!(is_stored(&stored), "{stored:?}");
    stored.assert_step("stream", "on $MQTT.msgs.tenant.tenant-0.device.dev-0000.telemetry");
    of_mqtt("3").await.assert("applied", 0, &["in force"]);
    of_mqtt("4").await.assert("ignored", 0, &["none of the node's"]);
    explain("SHADOW", 1).await.assert("overtaken", 0, &["version 5 is in force"]);
    // The device's newest message is found on whichever lane it came.
    let newest = ["--tenant", "tenant-0", "--device", "dev-0000"];
    super::explain_by(mqtt_lane::node(&world), &newest).await.assert("ignored", 0, &["Message 4 of $MQTT_msgs"]);
    let stream = world.jetstream.get_stream("$MQTT_msgs").await.expect("the stream");
    stream.delete_message(3).await.expect("a deleted message");
    of_mqtt("3").await.assert("settled_without_trace", 1, &["which keeps nothing that is settled"]);
    drain(node).await;
}
