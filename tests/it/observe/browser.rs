//! The console in a browser.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use ingest_kit::envelope::telemetry;
use ingest_kit::seed::{self, Device, catch_all_route};
use ingest_kit::wait_for;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

use super::{KEY, shown_by};
use crate::consumer::Configured;
use crate::world::{DEADLINE, World, start};

/// A name that would be markup where it is not taken as text.
const MARKUP: &str = "<img src=x onerror=alert(1)>";

/// All of what the browser does.
const WITHIN: Duration = Duration::from_secs(600);

/// The program in tests/browser looks at the console and asks for what is to happen, one word a line; it goes on when that has
/// happened.
#[ignore = "needs node, chromium and two packages: scripts/check-console runs it"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_console_shows_in_a_browser_what_happens_and_where_it_hurts() {
    let mut world = World::with_own_postgres().await;
    let devices = ["acme", "globex", MARKUP, "routed"].map(|tenant| Device::active(tenant, "dev-1", "tok-1"));
    seed::devices(&world.database, &devices).await;
    seed::routes(&world.database, &[catch_all_route("routed")]).await;
    // Missing numbers show within seconds, and the tree has every actor that settings add.
    let settings =
        Configured::with("[state]\nflush_interval_secs = 1\nflush_interval_max_secs = 1\nmissing_after_secs = 1\n");
    let (node, shown) = shown_by(settings.node(&world));
    let node = node.env("RAW_EVENTS_RETENTION_DAYS", 30);
    let mut node = start(node.env("INGEST_FAILPOINTS", "publisher=panic@1")).await;

    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut browser = Command::new("node")
        .arg(root.join("tests/browser/console.mjs"))
        .env("CONSOLE_URL", format!("http://{}", shown.address))
        .env("CONSOLE_KEY", KEY)
        .env("CONSOLE_MODULES", root.join("target/browser/node_modules"))
        .env("CONSOLE_MARKUP", MARKUP)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("node");
    let mut answers = browser.stdin.take().expect("standard input");
    let mut asked = BufReader::new(browser.stdout.take().expect("standard output")).lines();
    let mut seq = 0;
    let run = async {
        while let Some(line) = asked.next_line().await.expect("a line") {
            match line.as_str() {
                "do publish" => {
                    for _ in 0..10 {
                        seq += 1;
                        let wrong = Device { token: Some("wrong".to_owned()), ..devices[2].clone() };
                        // The second one leaves out every sixth number.
                        let sent = [(&devices[0], seq), (&devices[1], seq + seq / 5), (&wrong, seq)];
                        world.publish(sent.map(|(device, seq)| telemetry(device, seq))).await;
                    }
                }
                "do kill" => {
                    world.publish([telemetry(&devices[3], 1)]).await;
                    wait_for("the panic", DEADLINE, async || node.log().contains("actor exited")).await;
                }
                "do stop postgresql" => world.postgres.as_mut().expect("its own").stop(),
                "do start postgresql" => world.postgres.as_mut().expect("its own").start_again(),
                "do stop node" => node.sigkill(),
                other => {
                    println!("{other}");
                    continue;
                }
            }
            answers.write_all(b"done\n").await.expect("who asked");
        }
        browser.wait().await.expect("its end")
    };
    let ended = tokio::time::timeout(WITHIN, run).await.expect("an end in time");
    assert!(ended.success(), "the browser's program says why above");
}
