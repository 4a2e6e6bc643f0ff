//! Requests at the same moment.

use futures_util::future::join_all;
use serde_json::json;

use super::{activate, register, start_with_admin};
use crate::world::{World, drain};

const ROUNDS: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_two_activations_wins_and_no_revocation_is_lost() {
    let world = World::new().await;
    let (node, admin) = start_with_admin(&world).await;
    let hash = "SELECT provision_token_hash, status FROM device_registry WHERE device_id = $1";
    for round in 0..ROUNDS {
        let device = format!("twice-{round}");
        let code = register(&admin, "t", &device).await;
        // Addresses of their own: the loser's attempt is a failure.
        let (one, other) =
            (admin.from(&format!("127.0.1.{}", round + 1)), admin.from(&format!("127.0.2.{}", round + 1)));
        let (one, other) = tokio::join!(activate(&one, "t", &device, &code), activate(&other, "t", &device, &code));
        let (won, lost) = if one.status == 200 { (one, other) } else { (other, one) };
        assert_eq!((won.status, lost.error()), (200, (400, "code_used")));
        let stored: String = world.database.query(hash, &[&device]).await[0].get(0);
        let token = won.text("provision_token");
        assert_eq!(stored, ingest_core::message::digest::sha256_hex(token.as_bytes()));
    }
    assert_eq!(world.database.count("device_token_history").await, ROUNDS as u64);

    // A revocation beside an activation: whichever comes first, the device is revoked in the end.
    for round in 0..ROUNDS {
        let device = format!("late-{round}");
        let code = register(&admin, "t", &device).await;
        let revoke = format!("/api/admin/devices/t/{device}/revoke");
        let from = admin.from(&format!("127.0.3.{}", round + 1));
        let nothing = json!({});
        let (activated, revoked) = tokio::join!(activate(&from, "t", &device, &code), admin.post(&revoke, &nothing));
        assert_eq!(revoked.status, 200);
        assert!(activated.status == 200 || activated.error() == (400, "code_invalid"), "{activated:?}");
        let status: String = world.database.query(hash, &[&device]).await[0].get(1);
        assert_eq!(status, "REVOKED", "{activated:?}");
        // A code whose device somebody else revoked lets nobody in.
        let code = register(&admin, "t", &device).await;
        let by_hand = format!("UPDATE device_registry SET status = 'REVOKED' WHERE device_id = '{device}'");
        world.database.execute(&by_hand).await;
        assert_eq!(activate(&from, "t", &device, &code).await.error(), (400, "code_invalid"));
    }

    // Wrong codes of one address, all at once: few are looked at before the tenth counts.
    let from = admin.from("127.0.4.1");
    let codes: Vec<String> = (0..40).map(|number| format!("wrong-{number}")).collect();
    let wrong: Vec<_> = join_all(codes.iter().map(|code| activate(&from, "t", "both", code)))
        .await
        .iter()
        .map(|answer| answer.status)
        .collect();
    let looked_at = wrong.iter().filter(|status| **status == 400).count();
    assert!((10..=11).contains(&looked_at) && wrong.iter().all(|status| matches!(status, 400 | 429)), "{wrong:?}");

    // Registrations of one device at once leave one code that works.
    let (one, other) = tokio::join!(register(&admin, "t", "both"), register(&admin, "t", "both"));
    assert_eq!(world.database.count("device_activation WHERE device_id = 'both'").await, 1);
    let statuses =
        [activate(&admin, "t", "both", &one).await.status, activate(&admin, "t", "both", &other).await.status];
    assert!(matches!(statuses, [200, 400] | [400, 200]), "{statuses:?}");
    drain(node).await;
}
