//! The key: without one there is no listener, and whoever guesses has to wait.

use serde_json::json;

use super::{KEY, activate, register, start_with_admin, with_admin};
use crate::world::{DEADLINE, World, drain, node, start};

const DEVICES: &str = "/api/admin/devices";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eleven_wrong_keys_make_their_address_wait_and_no_other() {
    let world = World::new().await;
    let (node, admin) = start_with_admin(&world).await;
    // Successes count for nothing.
    for _ in 0..15 {
        assert_eq!(admin.get(DEVICES).await.status, 200);
    }
    let wrong = admin.with_key(&KEY.replace('9', "8"));
    for number in 0..9 {
        let answer = wrong.get(DEVICES).await;
        assert_eq!(answer.error(), (401, "unauthorized"), "{number}");
    }
    // Strangers learn of nothing that is there, or is not.
    assert_eq!(admin.without_key().get("/nowhere").await.status, 401);
    for request in [&wrong, &admin, &admin.with_header("X-Forwarded-For: 10.1.2.3")] {
        let answer = request.get(DEVICES).await;
        assert_eq!(answer.error(), (429, "too_many_failures"));
        assert!(answer.retry_after.is_some_and(|secs| (1..=60).contains(&secs)), "{answer:?}");
    }
    let elsewhere = admin.from("127.0.0.2");
    assert_eq!(elsewhere.get(DEVICES).await.status, 200);
    assert_eq!(node.wait_logged("too many wrong admin keys", 1).await, 1);

    // Codes have a limit of their own: whoever guesses codes locks out no administrator.
    let code = register(&elsewhere, "t", "d").await;
    for _ in 0..10 {
        assert_eq!(activate(&elsewhere, "t", "d", "wrong").await.error(), (400, "code_invalid"));
    }
    let answer = activate(&elsewhere, "t", "d", &code).await;
    assert_eq!(answer.error(), (429, "too_many_failures"));
    assert!(answer.retry_after.is_some_and(|secs| (1..=60).contains(&secs)), "{answer:?}");
    assert_eq!(elsewhere.get(DEVICES).await.status, 200);
    assert_eq!(activate(&admin, "t", "d", &code).await.status, 200, "another address");
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_key_is_a_configuration_error_and_none_means_no_listener() {
    let world = World::new().await;
    let (with_key, admin) = with_admin(&world);
    let short = with_key.clone().env("ADMIN_KEY", &KEY[..31]).run_to_end(DEADLINE).await;
    assert_eq!(short.code, Some(64), "{short:?}");
    assert!(short.stderr.contains("ADMIN_KEY has 31 characters and must have at least 32"), "{short:?}");
    assert!(!short.stderr.contains(&KEY[..31]) && !short.stdout.contains(&KEY[..31]), "{short:?}");
    let taken = std::net::TcpListener::bind(&admin.address).expect("a port");
    let in_use = with_key.run_to_end(DEADLINE).await;
    assert_eq!(in_use.code, Some(64), "{in_use:?}");
    assert!(in_use.stderr.contains("ADMIN_BIND") || in_use.stdout.contains("ADMIN_BIND"), "{in_use:?}");
    drop(taken);

    let none = start(world.node().env("ADMIN_BIND", &admin.address)).await;
    none.wait_logged("no admin listener: ADMIN_KEY is not set", 1).await;
    assert!(std::net::TcpStream::connect(&admin.address).is_err());
    drain(none).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotated_key_is_read_again_on_sighup() {
    let (world, dir) = (World::new().await, tempfile::tempdir().expect("a directory"));
    let file = dir.path().join("key");
    std::fs::write(&file, KEY).expect("a file");
    let (with_key, admin) = with_admin(&world);
    let mut node = start(with_key.env("ADMIN_KEY", "").env("ADMIN_KEY_FILE", file.display())).await;
    assert_eq!(admin.get(DEVICES).await.status, 200);
    // One that could not be used leaves the one in force.
    std::fs::write(&file, "short").expect("a file");
    node.sighup();
    node.wait_logged("secrets can't be read again", 1).await;
    assert_eq!(admin.get(DEVICES).await.status, 200);
    let newer = KEY.replace('9', "8");
    std::fs::write(&file, &newer).expect("a file");
    node.sighup();
    node.wait_logged("admin.key", 1).await;
    assert_eq!(admin.get(DEVICES).await.status, 401);
    assert_eq!(admin.with_key(&newer).get(DEVICES).await.status, 200);
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_names_a_listener_that_is_open_a_port_that_is_taken_and_a_key_that_is_made_up() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let doctor = node()
        .arguments(&["doctor", "--json"])
        .env("ADMIN_BIND", format!("0.0.0.0:{port}"))
        .env("ADMIN_KEY", "change-me-change-me-change-me-change-me")
        .env("NATS_URL", "nats://127.0.0.1:1")
        .env("DATABASE_URL", "postgres://127.0.0.1:1/none")
        .run_to_end(DEADLINE)
        .await;
    let found: serde_json::Value = serde_json::from_str(&doctor.stdout).expect("a list");
    for (level, about, part) in [
        ("WARN", "settings", "other machines reach it"),
        ("WARN", "settings", "ADMIN_KEY looks made up"),
        ("ERR", "admin", "another program listens"),
    ] {
        let is_named = found.as_array().expect("a list").iter().any(|one| {
            one["level"] == level && one["about"] == about && one["found"].as_str().is_some_and(|f| f.contains(part))
        });
        assert!(is_named, "{part}: {found:#}");
    }
    assert!(!doctor.stdout.contains("change-me"));
    assert_eq!(json!(doctor.code), json!(69));
}
