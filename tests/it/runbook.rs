//! The commands of docs/runbook.md, as they stand there. `kubectl` is a script that does beside the node what it would do in
//! its pod; all else is the program and the system's own tools.

use std::collections::BTreeSet;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;

use ingest_kit::seed::{self, Device};
use ingest_kit::{Node, NodeBuilder, envelope, free_port};
use tempfile::TempDir;
use tokio::process::Command;

use crate::document::{scripts, table};
use crate::world::{DEADLINE, LANES, World, drain, start};

const DOCUMENT: &str = "runbook.md";

/// The key of the node's admin listener.
const KEY: &str = "0123456789abcdef0123456789abcdef";

const KUBECTL: &str = r#"#!/bin/sh
[ "$1 $2" = "-n telemetry" ] || { echo "kubectl: not in the namespace: $*" >&2; exit 2; }
shift 2
case "$1 $2" in
"exec deploy/ingest-node" | "exec sts/ingest-node-gateway" | "exec pod/ingest-node-"* | "debug pod/ingest-node-"*)
    while [ "$1" != -- ]; do shift; done; shift; exec "$@" ;;
"logs --selector" | "logs pod/ingest-node-"*) cat "$NODE_LOG" ;;
"describe pods" | "describe pod/ingest-node-"*) printf '    Last State:     Terminated\n      Message:      %s\n' "$(tail -n 1 "$NODE_LOG")" ;;
"get pods") echo pod/ingest-node-7d9f8b6c4d-x2k5p ;;
"port-forward deploy/ingest-node" | "port-forward pod/ingest-node-"* | "get events" | "delete pod/ingest-node-check") ;;
*) echo "kubectl: cannot stand in for: $*" >&2; exit 2 ;;
esac
"#;

/// A shell beside a node.
struct Shell<'a> {
    dir: TempDir,
    node: &'a Node,
    builder: &'a NodeBuilder,
}

/// What a script printed, and its exit code.
struct Ended {
    code: Option<i32>,
    text: String,
}

impl<'a> Shell<'a> {
    fn beside(node: &'a Node, builder: &'a NodeBuilder) -> Self {
        let dir = TempDir::with_prefix("runbook-").expect("a directory");
        let kubectl = dir.path().join("kubectl");
        std::fs::write(&kubectl, KUBECTL).expect("a script");
        std::fs::set_permissions(&kubectl, std::fs::Permissions::from_mode(0o755)).expect("a program");
        symlink(env!("CARGO_BIN_EXE_ingest-node"), dir.path().join("ingest-node")).expect("a link");
        Self { dir, node, builder }
    }

    /// Runs commands; what is said to `localhost:8080` comes to the node.
    async fn run(&self, script: &str) -> Ended {
        let log = self.dir.path().join("log");
        std::fs::write(&log, self.node.log()).expect("the log");
        let path = std::env::var("PATH").unwrap_or_default();
        let mut shell = Command::new("sh");
        shell.args(["-c", &script.replace("localhost:8080", self.node.address())]).current_dir(self.dir.path());
        shell.env_clear().envs(self.builder.environment()).env("HTTP_BIND", self.node.address()).env("NODE_LOG", log);
        shell.env("PATH", format!("{}:{path}", self.dir.path().display())).kill_on_drop(true);
        let ended = tokio::time::timeout(2 * DEADLINE, shell.output()).await;
        let ended = ended.unwrap_or_else(|_| panic!("it does not end: {script}")).expect("a shell");
        let text = [ended.stdout, ended.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        Ended { code: ended.status.code(), text }
    }
}

/// The commands that the runbook has for an outage lead to its cause, in the words that it has for it.
pub(crate) async fn names_the_cause(outage: &str, node: &Node, builder: &NodeBuilder) {
    let rows = table(DOCUMENT, "outages");
    let row = rows.iter().find(|row| row[0] == outage).unwrap_or_else(|| panic!("the runbook does not know: {outage}"));
    let code = |cell: &String| cell.trim_matches('`').to_owned();
    let shell = Shell::beside(node, builder);
    let mut printed = String::new();
    for command in [&row[2], &row[3]].into_iter().map(code).filter(|command| !command.is_empty()) {
        printed.push_str(&shell.run(&command).await.text);
    }
    let words = code(&row[4]);
    assert!(printed.contains(&words), "{outage}: no {words:?} in\n{printed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_of_the_runbook_runs() {
    let world = World::new().await;
    let revoked = Device { status: "REVOKED".to_owned(), ..Device::active("acme", "dev-0001", "tok-1") };
    seed::devices(&world.database, std::slice::from_ref(&revoked)).await;
    let builder = world.node().env("LOG_FORMAT", "json");
    let builder = builder.env("ADMIN_KEY", KEY).env("ADMIN_BIND", format!("127.0.0.1:{}", free_port()));
    let node = start(builder.clone()).await;
    world.publish([envelope::telemetry(&revoked, 1)]).await;
    world.wait_settled(LANES[0], Duration::from_secs(30)).await;
    let shell = Shell::beside(&node, &builder);
    let mut done = BTreeSet::new();
    for (heading, script) in scripts(DOCUMENT) {
        for command in script.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if !done.insert(command.to_owned()) {
                continue;
            }
            let ended = shell.run(command).await;
            // 1 is `doctor` with something to be fixed, or a search that finds nothing.
            let runs = matches!(ended.code, Some(0 | 1)) && !ended.text.contains("kubectl: ");
            assert!(runs, "{heading}: {command}: {:?}\n{}", ended.code, ended.text);
        }
    }
    drain(node).await;
}
