//! Asks each node for its snapshot, all of them at once.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use tokio::time::timeout;

use crate::commands::admin_client::{Admin, AdminError};
use crate::observe::Snapshot;

/// Longest wait for a snapshot after its head.
const BODY_BOUND: Duration = Duration::from_secs(5);
/// Most bytes of a snapshot.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// A node, and what it said last.
#[derive(Clone, Debug)]
pub(super) struct Replica {
    /// Its admin listener.
    pub url: String,
    /// Its snapshot, or why there is none.
    pub answer: Result<Snapshot, Unreachable>,
}

/// Why a node does not show itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unreachable {
    /// Why, for people.
    pub why: String,
    /// The key or the URL is wrong: another look would find the same.
    pub is_mistake: bool,
}

/// Asks all nodes.
pub(super) async fn poll(admins: &[Admin]) -> Vec<Replica> {
    let one = async |admin: &Admin| {
        let answer = ask(admin).await.map_err(|error| Unreachable {
            is_mistake: error.exit() == crate::runtime::exit::Exit::Config,
            why: error.to_string(),
        });
        Replica { url: admin.url().to_owned(), answer }
    };
    join_all(admins.iter().map(one)).await
}

async fn ask(admin: &Admin) -> Result<Snapshot, AdminError> {
    let away = |why: String| AdminError::Away { url: admin.url().to_owned(), why };
    let mut answer = admin.get("/actors").await?;
    let body = async {
        let mut body = Vec::new();
        while let Some(piece) = answer.next().await {
            body.extend_from_slice(&piece.map_err(|error| error.to_string())?);
            if body.len() > MOST_BYTES {
                return Err("its answer is too large".to_owned());
            }
        }
        Ok(body)
    };
    let body = timeout(BODY_BOUND, body).await.unwrap_or_else(|_| Err("its answer does not end".to_owned()));
    serde_json::from_slice(&body.map_err(away)?).map_err(|error| away(format!("its answer can't be read: {error}")))
}
