//! The commands of docs/provisioning.md do what the page says.

use tokio::process::Command;

use super::{KEY, start_with_admin};
use crate::document::block;
use crate::world::{World, drain};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commands_of_the_page_register_activate_rotate_list_and_revoke_a_device() {
    let world = World::new().await;
    let (node, admin) = start_with_admin(&world).await;
    let names = ["register", "activate", "list", "rotate", "revoke"];
    let script: String = names.map(|name| format!("{}\n", block("provisioning.md", name))).concat();
    let script = script.replace("127.0.0.1:8081", &admin.address);
    let mut shell = Command::new("sh");
    shell.args(["-eu", "-c", &script]).env("ADMIN_KEY", KEY).kill_on_drop(true);
    let ended = shell.output().await.expect("a shell");
    let (stdout, stderr) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert!(ended.status.success(), "{stdout}\n{stderr}\n{script}");
    for part in [r#""activation_code":"#, r#""provision_token":"tok-"#, r#""token_set":true"#, r#"{"ok":true}"#] {
        assert!(stdout.contains(part), "no {part} in\n{stdout}\n{stderr}");
    }
    assert_eq!(world.database.count("device_registry WHERE device_id = 'dev-0001' AND status = 'REVOKED'").await, 1);
    assert_eq!(world.database.count("device_token_history").await, 3);
    drain(node).await;
}
