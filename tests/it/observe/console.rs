//! The console's log-in: a key for a session, which may look and change nothing.

use ingest_kit::{Response, post};

use super::{KEY, Shown, shown};
use crate::world::{World, drain, start};

impl Shown {
    async fn log_in(&self, key: &str) -> Response {
        let form = ["Content-Type: application/x-www-form-urlencoded"];
        post(&self.address, "/console/log-in", &form, format!("key={key}").as_bytes()).await.expect("an answer")
    }
}

/// The cookie that an answer sets, as a browser sends it.
fn cookie(answer: &Response) -> String {
    let set = answer.header("set-cookie").expect("a cookie");
    assert!(set.contains("; HttpOnly") && set.contains("; SameSite=Strict"), "{set}");
    assert!(!set.contains(KEY));
    format!("Cookie: {}", set.split(';').next().expect("a value"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_logs_in_once_and_may_look_and_nothing_else_until_it_logs_out() {
    let world = World::new().await;
    let (node, shown) = shown(&world);
    let node = start(node).await;
    // Whoever opens the page is asked for the key, as often as it is opened.
    for _ in 0..12 {
        let page = shown.get_with("/console", &[]).await;
        assert_eq!((page.status, page.body.contains("type=\"password\"")), (401, true));
    }
    let files =
        ["/console/style.css", "/console/page.js", "/console/picture.js", "/console/plots.js", "/console/text.js"];
    for path in files.into_iter().chain(["/console/icon.svg"]) {
        let file = shown.get_with(path, &[]).await;
        assert_eq!((file.status, file.header("x-content-type-options")), (200, Some("nosniff")), "{path}");
        assert!(file.header("content-security-policy").is_some_and(|policy| policy.starts_with("default-src 'self';")));
    }

    let session = cookie(&shown.log_in(KEY).await);
    let page = shown.get_with("/console", &[&session]).await;
    assert_eq!((page.status, page.header("cache-control")), (200, Some("no-store")));
    assert!(page.body.contains("/console/page.js"));
    assert_eq!(shown.get_with("/actors", &[&session]).await.status, 200);
    assert_eq!(shown.get("/console").await.status, 200, "the key itself");
    assert_eq!(shown.get_with("/api/admin/devices", &[&session]).await.status, 401);
    let revoke = post(&shown.address, "/api/admin/devices/t/d/revoke", &[&session], b"").await.expect("an answer");
    assert_eq!(revoke.status, 401);
    assert_eq!(shown.get_with("/actors", &["Cookie: ingest_console=made-up"]).await.status, 401);

    let out = post(&shown.address, "/console/log-out", &[&session], b"").await.expect("an answer");
    assert_eq!((out.status, out.header("location")), (303, Some("/console")));
    assert_eq!(shown.get_with("/actors", &[&session]).await.status, 401);

    // Wrong keys count wherever they are shown.
    let session = cookie(&shown.log_in(KEY).await);
    for number in 0..10 {
        let (form, header) = (number % 2 == 0, ["X-Admin-Key: wrong"]);
        let answer = if form { shown.log_in("wrong").await } else { shown.get_with("/console", &header).await };
        assert_eq!(answer.status, 401, "{number}");
    }
    for limited in [shown.log_in(KEY).await, shown.get("/actors").await, shown.get_with("/console", &[]).await] {
        assert_eq!(limited.status, 429);
    }
    assert_eq!(shown.get_with("/actors", &[&session]).await.status, 200, "a session is no guess");
    assert!(!node.log().contains(KEY));
    drain(node).await;
}
