//! Every way to log in to NATS, and what is said where it does not work.

use std::path::Path;

use async_nats::ConnectOptions;
use ingest_kit::{Authority, Nats, NatsOperator, NodeBuilder};
use nkeys::KeyPair;
use serde_json::json;
use tempfile::TempDir;

use super::{fails, file, last_line};
use crate::workload::Workload;
use crate::world::{DEADLINE, LANES, World, drain, start};

const PASSWORD: &str = "p@ss/w:rd hush-hush";
const TOKEN: &str = "hush-hush-token";

/// Messages go through on this server with these settings.
async fn works(nats: Nats, log_in: impl FnOnce(NodeBuilder, &Nats) -> NodeBuilder) {
    let world = World::with_nats(nats).await;
    let load = Workload::good(20);
    load.seed(&world).await;
    let node = start(log_in(world.node(), &world.nats)).await;
    world.publish(load.messages.clone()).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    load.assert_all_there(&world).await;
    assert!(!node.log().contains("hush-hush"), "{}", node.log());
    drain(node).await;
}

fn users(node: &str) -> String {
    format!("authorization {{ users = [ {{ user: admin, password: admin }}, {node} ] }}\nno_auth_user: admin\n")
}

fn with_user() -> Nats {
    Nats::start_configured(&users(&format!("{{ user: node, password: \"{PASSWORD}\" }}")))
}

fn with_token() -> Nats {
    let config = format!("authorization {{ token: \"{TOKEN}\" }}");
    Nats::start_secured(&config, || ConnectOptions::with_token(TOKEN.to_owned()))
}

fn path(file: &Path) -> &str {
    file.to_str().expect("UTF-8")
}

/// A server that speaks TLS alone and asks for certificates, and the files of a client of it.
pub(super) struct Tls {
    pub dir: TempDir,
    pub authority: Authority,
}

impl Tls {
    pub(super) fn new() -> Self {
        let tls = Self { dir: TempDir::new().expect("a directory"), authority: Authority::new() };
        file(tls.dir.path(), "ca.pem", tls.authority.pem());
        tls.authority.client("node").write(tls.dir.path(), "client");
        tls
    }

    fn path(&self, name: &str) -> String {
        path(&self.dir.path().join(name)).to_owned()
    }

    /// The configuration of a server with this certificate.
    pub(super) fn config(&self, certified: &ingest_kit::Certified) -> String {
        let (certificate, key) = certified.write(self.dir.path(), "server");
        let ca = self.path("ca.pem");
        format!(
            "tls {{ cert_file: \"{}\", key_file: \"{}\", ca_file: \"{ca}\", verify: true }}",
            path(&certificate),
            path(&key)
        )
    }

    pub(super) fn server(&self, certified: &ingest_kit::Certified) -> Nats {
        let ca = self.path("ca.pem");
        let [client, key] = ["client.pem", "client.key"].map(|name| self.dir.path().join(name));
        Nats::start_secured(&self.config(certified), move || {
            ConnectOptions::new()
                .add_root_certificates(ca.clone().into())
                .add_client_certificate(client.clone(), key.clone())
        })
    }

    pub(super) fn client(&self, node: NodeBuilder) -> NodeBuilder {
        node.env("NATS_CA_FILE", self.path("ca.pem"))
            .env("NATS_CERT_FILE", self.path("client.pem"))
            .env("NATS_KEY_FILE", self.path("client.key"))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_and_a_password_let_the_node_in() {
    works(with_user(), |node, _| node.env("NATS_USER", "node").env("NATS_PASSWORD", PASSWORD)).await;
    let url = |nats: &Nats| nats.url_of("node", "p%40ss%2Fw%3Ard%20hush-hush");
    works(with_user(), |node, nats| node.env("NATS_URL", url(nats))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_lets_the_node_in() {
    works(with_token(), |node, _| node.env("NATS_TOKEN", TOKEN)).await;
    works(with_token(), |node, nats| node.env("NATS_URL", format!("nats://{TOKEN}@127.0.0.1:{}", nats.port()))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_nkey_lets_the_node_in() {
    let pair = KeyPair::new_user();
    let nats = Nats::start_configured(&users(&format!("{{ nkey: {} }}", pair.public_key())));
    works(nats, |node, _| node.env("NATS_NKEY_SEED", pair.seed().expect("a seed"))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_credentials_file_lets_the_node_in() {
    let (operator, dir) = (NatsOperator::new(), TempDir::new().expect("a directory"));
    let admin = operator.credentials(&json!({}));
    let nats = Nats::start_secured(operator.server_config(), move || {
        ConnectOptions::with_credentials(&admin).expect("credentials")
    });
    let creds = file(dir.path(), "node.creds", &operator.credentials(&json!({})));
    works(nats, |node, _| node.env("NATS_CREDS_FILE", path(&creds))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_certificate_of_an_own_authority_lets_the_node_in() {
    let tls = Tls::new();
    let nats = tls.server(&tls.authority.server(&["localhost", "127.0.0.1"]));
    works(nats, |node, nats| tls.client(node).env("NATS_URL", format!("tls://localhost:{}", nats.port()))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_in_that_does_not_work_ends_in_one_sentence_without_a_secret() {
    let (nats, dir) = (with_user(), TempDir::new().expect("a directory"));
    let world = World::with_nats(nats).await;
    let refused = |finished: &ingest_kit::Finished, parts: &[&str]| {
        let sentence = last_line(finished);
        assert!(parts.iter().all(|part| sentence.contains(part)), "{parts:?} in {finished:?}");
        assert!(!format!("{finished:?}").contains("hush"), "a secret: {finished:?}");
        finished.code
    };
    let wrong = world.node().env("NATS_USER", "node").env("NATS_PASSWORD", "hush-wrong");
    let code = refused(&fails(wrong, dir.path()).await, &["NATS", "authorization violation", "with user and password"]);
    assert_eq!(code, Some(69));
    let two = world.node().env("NATS_USER", "node").env("NATS_PASSWORD", PASSWORD).env("NATS_TOKEN", TOKEN);
    assert_eq!(refused(&fails(two, dir.path()).await, &["NATS_USER", "NATS_TOKEN", "two ways"]), Some(64));
    let seed = world.node().env("NATS_NKEY_SEED", "SUhush");
    assert_eq!(refused(&fails(seed, dir.path()).await, &["NATS_NKEY_SEED holds no seed"]), Some(64));
    let missing = world.node().env("NATS_CREDS_FILE", "/nowhere/node.creds");
    assert_eq!(refused(&fails(missing, dir.path()).await, &["NATS_CREDS_FILE", "No such file"]), Some(64));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_does_not_fit_is_named() {
    let tls = Tls::new();
    let world = World::with_nats(tls.server(&tls.authority.server(&["localhost", "127.0.0.1"]))).await;
    let port = world.nats.port();
    let secured = || world.node().env("NATS_URL", format!("tls://localhost:{port}"));
    let dir = tls.dir.path();

    let unknown = fails(secured(), dir).await;
    assert!(
        last_line(&unknown).contains("UnknownIssuer") && last_line(&unknown).contains("NATS_CA_FILE"),
        "{unknown:?}"
    );
    let anonymous = fails(secured().env("NATS_CA_FILE", tls.path("ca.pem")), dir).await;
    assert_eq!(anonymous.code, Some(69), "{anonymous:?}");
    let other = Authority::new();
    let ca = file(dir, "other.pem", other.pem());
    let foreign = fails(tls.client(secured()).env("NATS_CA_FILE", path(&ca)), dir).await;
    assert!(last_line(&foreign).contains("NATS_CA_FILE"), "{foreign:?}");

    // Who names an authority wants no plain text, whatever the URL says.
    let plain = Nats::start();
    let demanded = world.node().env("NATS_URL", plain.url()).env("NATS_CA_FILE", tls.path("ca.pem"));
    let demanded = fails(demanded, dir).await;
    assert_eq!(demanded.code, Some(69), "TLS is demanded: {demanded:?}");
}
