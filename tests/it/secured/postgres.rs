//! PostgreSQL over TLS: who gets in, who is taken for the server, and what is said where either does not fit.

use ingest_kit::{Authority, Nats, TlsProxy, wait_for};

use super::cluster::{PASSWORD, Secured};
use super::{fails, file, last_line};
use crate::workload::Workload;
use crate::world::{DEADLINE, LANES, World, drain, node, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_connection_of_the_node_is_encrypted() {
    let mut secured = Secured::new(|authority| authority.server(&["localhost"]));
    let database = secured.database().await;
    let ca = secured.path("ca.pem");
    let settings = [("PG_SSLMODE", "verify-full"), ("PG_SSLROOTCERT", &ca), ("PG_CHANNEL_BINDING", "require")];
    let migrated = secured.migrate("localhost", database.name(), &settings).await;
    assert_eq!(migrated.code, Some(0), "{migrated:?}");

    let url = secured.url("localhost", database.name());
    let postgres = secured.postgres.take();
    let world = World::on(Nats::start(), postgres, database).await;
    let load = Workload::good(200);
    load.seed(&world).await;
    let node = settings.iter().fold(world.node(), |node, (name, value)| node.env(name, value));
    let node = start(node.env("DATABASE_URL", &url)).await;
    world.publish(load.messages.clone()).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    load.assert_all_there(&world).await;
    let of_the_node = "pg_stat_activity a JOIN pg_stat_ssl s USING (pid) WHERE a.application_name = 'ingest-node'";
    wait_for("pool, LISTEN and outbox", DEADLINE, async || world.database.count(of_the_node).await >= 3).await;
    assert_eq!(world.database.count(&format!("{of_the_node} AND NOT s.ssl")).await, 0);
    drain(node).await;

    // The URL's own parameters mean the same, also for a role that has a certificate in place of a password.
    let identity = format!("sslcert={}&sslkey={}", secured.path("client.pem"), secured.path("client.key"));
    let url = format!(
        "postgres://certified@localhost:{}/{}?sslmode=verify-full&sslrootcert={ca}&{identity}",
        secured.port,
        world.database.name()
    );
    let certified = crate::world::node().arguments(&["migrate"]).env("DATABASE_URL", url).run_to_end(DEADLINE).await;
    assert_eq!(certified.code, Some(0), "{certified:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_cannot_be_trusted_is_one_sentence() {
    let secured = Secured::new(|authority| authority.server(&["localhost"]));
    let database = secured.database().await;
    let (ca, other) = (secured.path("ca.pem"), file(secured.dir.path(), "other.pem", Authority::new().pem()));
    let other = other.to_str().expect("UTF-8");
    for (host, settings, parts) in [
        ("localhost", vec![("PG_SSLMODE", "require"), ("PG_SSLROOTCERT", other)], ["UnknownIssuer", "PG_SSLROOTCERT"]),
        ("localhost", vec![("PG_SSLMODE", "require")], ["UnknownIssuer", "PG_SSLROOTCERT"]),
        (
            "127.0.0.1",
            vec![("PG_SSLMODE", "require"), ("PG_SSLROOTCERT", &ca)],
            ["not valid for name", "by a name that"],
        ),
        ("localhost", vec![], ["no encryption", "PG_SSLMODE"]),
    ] {
        let finished = secured.refused(host, database.name(), &settings).await;
        let sentence = last_line(&finished);
        assert_eq!(finished.code, Some(69), "{finished:?}");
        assert!(parts.iter().all(|part| sentence.contains(part)), "{parts:?}: {sentence}");
        assert!(!sentence.contains(PASSWORD), "{sentence}");
    }
    let expired = Secured::new(|authority| authority.expired_server(&["localhost"]));
    expired.database().await;
    let ca = expired.path("ca.pem");
    let finished =
        expired.refused("localhost", "postgres", &[("PG_SSLMODE", "require"), ("PG_SSLROOTCERT", &ca)]).await;
    assert!(last_line(&finished).contains("expired"), "{finished:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_server_refuses_is_told_in_its_own_words() {
    let secured = Secured::new(|authority| authority.server(&["localhost"]));
    let database = secured.database().await;
    let ca = secured.path("ca.pem");
    let tls = [("PG_SSLMODE", "verify-full"), ("PG_SSLROOTCERT", ca.as_str())];
    let missing = secured.refused("localhost", "nowhere", &tls).await;
    assert!(last_line(&missing).contains(r#"database "nowhere" does not exist"#), "{missing:?}");
    let with_password = |password: &str| {
        let url = secured.url("localhost", database.name()).replace(PASSWORD, password);
        tls.iter().fold(node().env("DATABASE_URL", url), |node, (name, value)| node.env(name, value))
    };
    let wrong = secured.briefly(with_password("wrong")).run_to_end(DEADLINE).await;
    assert!(last_line(&wrong).contains("password authentication failed"), "{wrong:?}");
    let run = fails(with_password("wrong"), secured.dir.path()).await;
    assert_eq!((run.code, last_line(&run).contains("password authentication failed")), (Some(69), true), "{run:?}");

    database.execute("ALTER ROLE iot NOSUPERUSER CONNECTION LIMIT 0").await;
    let full = secured.briefly(with_password(PASSWORD)).run_to_end(DEADLINE).await;
    assert!(last_line(&full).contains("too many connections for role"), "{full:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_man_in_the_middle_with_a_certificate_of_the_same_authority_is_caught() {
    let secured = Secured::new(|authority| authority.server(&["localhost"]));
    let database = secured.database().await;
    let middle = TlsProxy::start(secured.port, &secured.authority, &secured.authority.server(&["localhost"])).await;
    let (ca, url) = (secured.path("ca.pem"), secured.url("localhost", database.name()));
    let url = url.replace(&format!(":{}/", secured.port), &format!(":{}/", middle.port()));
    let through = |binding: &str| {
        let node = node().env("DATABASE_URL", &url).env("PG_SSLMODE", "verify-full").env("PG_SSLROOTCERT", &ca);
        node.env("PG_CHANNEL_BINDING", binding)
    };
    let caught = secured.briefly(through("require")).run_to_end(DEADLINE).await;
    assert!(last_line(&caught).contains("channel binding"), "{caught:?}");
    assert_eq!(caught.code, Some(69), "{caught:?}");
    let trusting = through("disable").arguments(&["migrate"]).run_to_end(DEADLINE).await;
    assert_eq!(trusting.code, Some(0), "the proxy itself works: {trusting:?}");
}
