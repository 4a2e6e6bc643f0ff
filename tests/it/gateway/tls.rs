//! TLS, and certificates of devices.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use ingest_kit::Authority;
use ingest_kit::seed::{self, Certificate, Device};
use ingest_kit::wait_for;
use serde_json::Value;

use super::{Gateway, GatewayBuilder, body, envelopes, rows};
use crate::world::{DEADLINE, World, drain};

/// Status and body, as curl gets them; status 0 where there is no connection.
fn curl(
    address: &str,
    authority: &Path,
    identity: Option<&(std::path::PathBuf, std::path::PathBuf)>,
    body: &str,
) -> (u16, String) {
    let url = format!(
        "https://localhost:{}/ingest/v1/tenant/acme/device/dev-1/telemetry",
        address.rsplit(':').next().expect("a port")
    );
    let mut curl = Command::new("curl");
    curl.args(["-sS", "-w", "\n%{http_code}", "--data-binary", body, "--cacert"]).arg(authority).arg(url);
    if let Some((certificate, key)) = identity {
        curl.arg("--cert").arg(certificate).arg("--key").arg(key);
    }
    let output = curl.output().expect("curl");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (answer, status) = text.rsplit_once('\n').unwrap_or(("", "0"));
    (status.parse().unwrap_or(0), answer.to_owned())
}

/// What a client of HTTP/2 alone, and one of both versions, agree upon with the gateway.
fn protocols(gateway: &Gateway) -> [bool; 2] {
    let agrees = |offered: &str, agreed: &str| {
        let mut client = Command::new("openssl");
        client.args(["s_client", "-alpn", offered, "-connect", &gateway.ingest]).stdin(Stdio::null());
        let output = client.output().expect("openssl");
        String::from_utf8_lossy(&output.stdout).contains(&format!("ALPN protocol: {agreed}"))
    };
    [agrees("h2", "h2"), agrees("h2,http/1.1", "http/1.1")]
}

/// A client that has connected and asks for nothing.
async fn idle(gateway: &Gateway) -> Child {
    let open = async || gateway.node.metrics().await.count("ingest_gateway_http_connections", &[]);
    wait_for("no other connection", DEADLINE, async || open().await == 0).await;
    let client = Command::new("openssl")
        .args(["s_client", "-quiet", "-connect", &gateway.ingest])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl");
    wait_for("its connection", DEADLINE, async || open().await == 1).await;
    client
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verified_certificate_takes_the_tokens_place_and_no_other_does() {
    let world = World::new().await;
    let certificate = Some(Certificate { status: "ACTIVE".to_owned(), expires_in_days: 10 });
    let devices =
        [Device { certificate, ..Device::active("acme", "dev-1", "tok-1") }, Device::active("acme", "dev-2", "tok-2")];
    seed::devices(&world.database, &devices).await;
    let node = crate::world::start(world.node().env("CERT_AUTH_ENABLED", 1)).await;
    let dir = tempfile::tempdir().expect("a directory");
    let (authority, stranger) = (Authority::new(), Authority::new());
    let (ca, clients) = (dir.path().join("ca.pem"), dir.path().join("clients.pem"));
    std::fs::write(&ca, authority.pem()).expect("a file");
    std::fs::write(&clients, authority.pem()).expect("a file");
    let (server, key) = authority.server(&["localhost"]).write(dir.path(), "server");
    let own = authority.client("acme/dev-1").write(dir.path(), "own");
    let others = authority.client("acme/dev-2").write(dir.path(), "others");
    let forged = stranger.client("acme/dev-1").write(dir.path(), "forged");
    let gateway = |required: u8| {
        GatewayBuilder::of(&world)
            .env("CERT_AUTH_ENABLED", 1)
            // A drain that waits for an idle connection takes longer than the test does.
            .env("DRAIN_TIMEOUT_SECONDS", 120)
            .env("INGEST_TLS_CERT", server.display())
            .env("INGEST_TLS_KEY", key.display())
            .env("INGEST_TLS_CLIENT_CA", clients.display())
            .env("INGEST_TLS_CLIENT_REQUIRED", required)
    };
    let mut started = gateway(0).start().await;
    let address = started.ingest.clone();
    let send = |identity, body: &str| curl(&address, &ca, identity, body);
    let message = body(&devices[0], 1);
    assert_eq!(send(Some(&own), &message).0, 202);
    let with_token = format!("{},\"provision_token\":\"tok-1\"}}", &message[..message.len() - 1]);
    assert_eq!(send(None, &with_token).0, 202, "a token serves as well");
    for identity in [None, Some(&others)] {
        let (status, answer) = send(identity, &message);
        assert!(status == 401 && answer.contains("TOKEN_MISSING"), "{status} {answer}");
    }
    assert_eq!(send(Some(&forged), &with_token).0, 0, "a certificate that is presented is verified");

    // Another authority is in the file: it counts after SIGHUP, and the one before no longer.
    let renewed = stranger.client("acme/dev-1").write(dir.path(), "renewed");
    std::fs::write(&clients, stranger.pem()).expect("a file");
    started.node.sighup();
    started.node.wait_logged("the authority of clients was renewed", 1).await;
    assert_eq!((send(Some(&renewed), &message).0, send(Some(&own), &message).0), (202, 0));
    std::fs::write(&clients, "").expect("a file");
    started.node.sighup();
    started.node.wait_logged("a certificate can't be read again", 1).await;
    assert_eq!(send(Some(&renewed), &message).0, 202, "what can't be read changes nothing");
    std::fs::write(&clients, authority.pem()).expect("a file");
    started.node.sighup();
    started.node.wait_logged("the authority of clients was renewed", 2).await;
    assert_eq!(protocols(&started), [false, true], "HTTP/1.1 alone, whose streams and headers are bounded");
    let idle = idle(&started).await;
    drain(started.node).await;
    drop(idle);

    let started = gateway(1).start().await;
    assert_eq!(curl(&started.ingest, &ca, None, &with_token).0, 0, "a certificate is demanded");
    assert_eq!(curl(&started.ingest, &ca, Some(&own), &message).0, 202);
    drain(started.node).await;

    let names: Vec<Value> = envelopes(&world, "TELEMETRY")
        .await
        .iter()
        .map(|envelope| serde_json::from_slice::<Value>(envelope).expect("JSON")["username"].clone())
        .collect();
    let own = "acme/dev-1";
    assert_eq!(names, [own, "", own, own, own]);
    assert_eq!(rows(&world).await, 5);
    drain(node).await;
}
