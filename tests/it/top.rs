//! `top`: the actors of running nodes, as lines.

use ingest_kit::{Finished, NodeBuilder, free_port, wait_for};

use crate::document::block;
use crate::world::{DEADLINE, World, drain, node, start};

/// A key as `openssl rand -hex 32` makes them.
const KEY: &str = "c1b80f6e29d7453a8e04f7a2d95b6c3017fd2e84a9635bc0d1487e2f50a3b96d";

fn top(arguments: &[&str]) -> NodeBuilder {
    node().env("ADMIN_KEY", KEY).arguments(&[&["top"], arguments].concat())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_actors_of_each_node_are_shown_and_what_can_not_be_reached_is_named() {
    let world = World::new().await;
    let [address, nobody] = [(); 2].map(|()| format!("127.0.0.1:{}", free_port()));
    let [url, away] = [&address, &nobody].map(|address| format!("http://{address}"));
    let running = start(world.node().env("ADMIN_BIND", &address).env("ADMIN_KEY", KEY)).await;

    let both = ["--url", &url, "--url", &away, "--once"];
    let Finished { code, stdout, stderr } = top(&both).run_to_end(DEADLINE).await;
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    for what in ["ACTOR", "writer", "validator-0", "registry", "router", "LANE", "ingest-workers"] {
        assert!(stdout.contains(what), "{what}: {stdout}");
    }
    assert!(stdout.contains(&format!("{away}: unreachable\n  ! {away} can't be reached")), "{stdout}");

    // The command of the page, which shows block after block until it is told to end.
    let documented = block("answers.md", "top");
    let arguments: Vec<&str> = documented.split_whitespace().skip(2).map(|word| word.trim_matches('\\')).collect();
    let arguments =
        arguments.iter().map(|word| word.replace("http://ingest-0:8081", &url).replace("http://ingest-1:8081", &away));
    let arguments: Vec<String> = arguments.collect();
    let mut watching = top(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).start();
    let blocks = |log: &str| log.matches("ACTOR").count();
    wait_for("two blocks", DEADLINE, async || blocks(&watching.log()) >= 2).await;
    drain(running).await;
    wait_for("the node to be gone", DEADLINE, async || watching.log().contains(&format!("{url}: unreachable"))).await;
    watching.sigint();
    assert_eq!(watching.wait_exit(DEADLINE).await, Some(0), "{}", watching.log());

    for (builder, code, what) in [
        (top(&["--url", &away]), 69, "none of the nodes can be reached"),
        (top(&["--url", "nowhere"]), 64, "http://HOST:PORT"),
        (node().arguments(&["top"]), 64, "no admin key"),
        (top(&["--interval", "0"]), 64, "--interval"),
    ] {
        let Finished { code: found, stderr, .. } = builder.run_to_end(DEADLINE).await;
        assert_eq!(found, Some(code), "{what}: {stderr}");
        assert!(stderr.contains(what) && !stderr.contains(&KEY[..8]), "{stderr}");
    }
}
