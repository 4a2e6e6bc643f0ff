//! A gateway with the role and the user of the document: it reads, publishes, and can do nothing else.

use ingest_kit::jetstream::create_streams;
use ingest_kit::seed::{self, Command, Device};
use ingest_kit::{Nats, get_with};

use super::roles::Roles;
use crate::document::block;
use crate::gateway::GatewayBuilder;
use crate::world::{World, drain};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_works_with_the_rights_of_the_document_and_has_no_others() {
    let roles = Roles::with(&["postgres run"]).await;
    let url = roles.gateway_url().await;
    let config = format!("{}\nno_auth_user: admin\n", block("rights.md", "nats gateway"));
    let world = World::on(Nats::start_configured(&config), None, roles.database.clone()).await;
    create_streams(&world.jetstream).await;
    let mut device = Device::active("acme", "dev-1", "tok-1");
    device.commands.push(Command { command_id: "c1".to_owned(), command_type: "reboot".to_owned() });
    seed::devices(&world.database, std::slice::from_ref(&device)).await;
    let gateway = GatewayBuilder::of(&world)
        .env("NATS_URL", world.nats.url_of("ingest-gateway", "change-me-three"))
        .env("DATABASE_URL", &url)
        .start()
        .await;
    let sent = gateway.send(&device, "telemetry", r#"{"site_id":"site-1"}"#).await;
    assert_eq!(sent.status, 202, "{}", sent.body);
    let reported = gateway.post("/device/v1/shadow/reported", "tok-1", &[], r#"{"reported":{},"version":1}"#).await;
    assert_eq!(reported.status, 200, "{}", reported.body);
    let acknowledged = gateway.post("/device/v1/commands/c1/ack", "tok-1", &[], "{}").await;
    assert_eq!(acknowledged.status, 200, "{}", acknowledged.body);
    let shadow = get_with(&gateway.ingest, "/device/v1/shadow", &["X-Provision-Token: tok-1"]).await;
    assert_eq!(shadow.expect("an answer").status, 404);
    let ready = gateway.node.get("/ready").await.expect("an answer");
    assert!(ready.status == 200 && ready.body.contains(r#""notes":[]"#), "{}", ready.body);
    assert!(!gateway.node.log().contains("Permissions Violation"), "{}", gateway.node.log());
    drain(gateway.node).await;

    let as_gateway = ingest_kit::Database::new(roles.database.name(), url).connect().await;
    for statement in [
        "UPDATE device_registry SET status = 'ACTIVE'",
        "DELETE FROM device_commands",
        "SELECT * FROM raw_events",
        "SELECT * FROM ingest_node.secrets",
    ] {
        let refused = as_gateway.batch_execute(statement).await.expect_err(statement);
        assert_eq!(refused.code().map(|code| code.code()), Some("42501"), "{statement}");
    }
}
