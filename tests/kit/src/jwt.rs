//! Decentralised authentication of NATS: an operator, an account and its users, as `nsc` makes them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::KeyPair;
use serde_json::{Value, json};

/// An operator with one account, which may use JetStream without limits.
#[derive(Debug)]
pub struct NatsOperator {
    account: KeyPair,
    config: String,
}

impl NatsOperator {
    /// A new one.
    pub fn new() -> Self {
        let (operator, account, system) = (KeyPair::new_operator(), KeyPair::new_account(), KeyPair::new_account());
        let unlimited = json!({
            "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1,
            "mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1
        });
        let operator_jwt = jwt(&operator, &operator.public_key(), json!({"type": "operator", "version": 2}));
        let account_jwt = |account: &KeyPair, limits| {
            let claims = json!({"type": "account", "version": 2, "limits": limits});
            format!("{}: {}", account.public_key(), jwt(&operator, &account.public_key(), claims))
        };
        // The system's account may have no JetStream.
        let of_system = account_jwt(&system, json!({"subs": -1, "data": -1, "payload": -1, "conn": -1, "leaf": -1}));
        let config = format!(
            "operator: {operator_jwt}\nsystem_account: {}\nresolver: MEMORY\n\
             resolver_preload: {{ {of_system}, {} }}\n",
            system.public_key(),
            account_jwt(&account, unlimited)
        );
        Self { account, config }
    }

    /// What the server's configuration holds of it.
    pub fn server_config(&self) -> &str {
        &self.config
    }

    /// A user of the account, as a credentials file. `permissions` as in a JWT: `{"pub": {"deny": [..]}}`.
    pub fn credentials(&self, permissions: &Value) -> String {
        let user = KeyPair::new_user();
        let mut claims = json!({"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1});
        if let (Some(claims), Some(permissions)) = (claims.as_object_mut(), permissions.as_object()) {
            claims.extend(permissions.clone());
        }
        let (jwt, seed) = (jwt(&self.account, &user.public_key(), claims), user.seed().expect("a seed"));
        format!(
            "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        )
    }
}

impl Default for NatsOperator {
    fn default() -> Self {
        Self::new()
    }
}

fn jwt(issuer: &KeyPair, subject: &str, nats: Value) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = encode(&json!({"typ": "JWT", "alg": "ed25519-nkey"}));
    let claims = encode(&json!({
        "jti": subject, "iat": 1_700_000_000, "iss": issuer.public_key(), "sub": subject, "name": "ingest", "nats": nats
    }));
    let signed = format!("{header}.{claims}");
    let signature = URL_SAFE_NO_PAD.encode(issuer.sign(signed.as_bytes()).expect("a signature"));
    format!("{signed}.{signature}")
}
