//! PostgreSQL is away: a request is answered so, in time, and nothing is half done.

use serde_json::json;

use super::{activate, register, with_admin};
use crate::world::{DEADLINE, World, drain, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_postgresql_is_away_requests_are_answered_with_503_and_nothing_is_used_up() {
    let mut world = World::with_own_postgres().await;
    let (node, admin) = with_admin(&world);
    let mut node = start(node).await;
    let code = register(&admin, "t", "d").await;
    let body = json!({"tenant_id": "t", "device_id": "e", "site_id": "s"});
    for is_frozen in [true, false] {
        let cluster = world.postgres.as_mut().expect("a cluster");
        if is_frozen {
            cluster.pause()
        } else {
            cluster.stop()
        }
        let nothing = json!({});
        let answers = tokio::join!(
            activate(&admin, "t", "d", &code),
            admin.post("/api/admin/devices", &body),
            admin.get("/api/admin/devices"),
            admin.post("/api/admin/devices/t/d/revoke", &nothing),
            admin.post("/api/admin/devices/t/d/rotate-token", &nothing),
        );
        for answer in <[_; 5]>::from(answers) {
            assert_eq!(answer.error(), (503, "unavailable"));
            assert!(answer.retry_after.is_some_and(|secs| secs >= 1), "{answer:?}");
        }
        let cluster = world.postgres.as_mut().expect("a cluster");
        if is_frozen {
            cluster.resume()
        } else {
            cluster.start_again()
        }
        // A frozen server may carry out what it was sent once it wakes; what it was not sent it has not done.
        ingest_kit::wait_for("the server to answer", DEADLINE, async || {
            admin.get("/api/admin/devices").await.status == 200
        })
        .await;
    }
    // A line when an outage begins, and not one for each request: of the API both times, of activations once, as none has
    // succeeded in between.
    assert_eq!(node.wait_logged("postgresql serves no requests for provisioning", 3).await, 3);
    assert_eq!(world.database.count("device_registry WHERE device_id = 'd' AND status = 'ACTIVE'").await, 1);
    assert_eq!(activate(&admin, "t", "d", &code).await.status, 200, "the code was not used up");
    node.wait_ready(DEADLINE).await;
    drain(node).await;
}
