//! Tables of an earlier system, with its rows.

use ingest_kit::{Nats, Postgres};
use serde_json::json;

use super::{activate, becomes, register, registered, start_with_admin};
use crate::world::{World, drain, migrate};

/// As an earlier provisioning service made them; its device `old` has a code that was not used.
const LEGACY: &str = "
    CREATE TABLE device_activation (
        tenant_id text NOT NULL, device_id text NOT NULL, activation_code_hash text NOT NULL, site_id text NOT NULL,
        expires_at timestamptz NOT NULL, used_at timestamptz, created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (tenant_id, device_id, activation_code_hash));
    CREATE TABLE device_token_history (
        tenant_id text NOT NULL, device_id text NOT NULL, token_hash text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(), revoked_at timestamptz, reason text);
    INSERT INTO device_activation VALUES
        ('t', 'old', encode(sha256('the-code-of-before'), 'hex'), 's', now() + interval '1 hour', NULL);
    INSERT INTO device_token_history (tenant_id, device_id, token_hash) VALUES ('t', 'old', 'h');
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn codes_and_history_of_an_earlier_system_are_gone_on_with() {
    let database = Postgres::shared().create_database().await;
    database.execute(LEGACY).await;
    migrate(&database).await;
    database.execute("INSERT INTO device_registry (tenant_id, device_id, site_id) VALUES ('t', 'old', 's')").await;
    let world = World::on(Nats::start(), None, database).await;
    let (node, admin) = start_with_admin(&world).await;
    assert_eq!(activate(&admin, "t", "old", "the-code-of-before").await.status, 200);
    let device = registered(&admin, "t", "new").await;
    becomes(&world, &device, 1, None).await;
    // Revoked before it had any token.
    register(&admin, "t", "never").await;
    assert_eq!(admin.post("/api/admin/devices/t/never/revoke", &json!({})).await.status, 200);
    assert_eq!(world.database.count("device_token_history WHERE token_hash = 'h' AND action IS NULL").await, 1);
    assert_eq!(world.database.count("device_token_history WHERE action IS NOT NULL").await, 3);
    drain(node).await;
}
