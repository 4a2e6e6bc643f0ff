//! The page that operators read.

use ingest_kit::envelope::telemetry;
use ingest_kit::seed::{self, Device};

use crate::document::block;
use crate::world::{DEADLINE, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commands_of_the_page_answer() {
    let world = World::new().await;
    let device = Device::active("acme", "dev-0001", "tok-dev-0001");
    seed::devices(&world.database, std::slice::from_ref(&device)).await;
    world.create_quickly_redelivering_consumers().await;
    world.publish([telemetry(&device, 120)]).await;
    world.database.execute("INSERT INTO quarantine_events (topic, reason) VALUES ('?', 'BAD_ENVELOPE')").await;
    for command in block("answers.md", "explain").lines() {
        let arguments: Vec<&str> = command.split(' ').skip(1).collect();
        let finished = world.node().arguments(&arguments).run_to_end(DEADLINE).await;
        assert_eq!(finished.code, Some(0), "{command}: {}{}", finished.stdout, finished.stderr);
        let last = finished.stdout.lines().last().expect("a sentence");
        let is_of_event = command.contains("--event");
        let said =
            if is_of_event { "rejected with BAD_ENVELOPE" } else { "Message 1 of TELEMETRY: waiting in its stream" };
        assert!(last.contains(said), "{command}: {last}");
    }
}
