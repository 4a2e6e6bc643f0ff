//! Secret settings: text that is never logged or shown, and that can be replaced while the node runs.

use std::fmt;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tokio::sync::{Notify, watch};

/// A secret setting: its `Debug`, `Display` and `Serialize` are `***`.
///
/// Clones share the text: a rotated secret reaches every component that holds one ([`Secret::replace`]).
#[derive(Clone)]
pub struct Secret(Arc<Shared>);

struct Shared {
    text: watch::Sender<Arc<str>>,
    refused: OnceLock<Arc<Notify>>,
}

impl Secret {
    /// Wraps a secret.
    pub fn new(text: impl AsRef<str>) -> Self {
        Self(Arc::new(Shared { text: watch::Sender::new(text.as_ref().into()), refused: OnceLock::new() }))
    }

    /// The secret itself; for the connection that needs it, never for a message.
    pub fn expose(&self) -> Arc<str> {
        self.0.text.borrow().clone()
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.text.borrow().is_empty()
    }

    /// Takes over the text of a newer one, in all clones; returns whether it differs.
    pub(crate) fn replace(&self, newer: &Self) -> bool {
        let newer = newer.expose();
        self.0.text.send_if_modified(|text| {
            let differs = **text != *newer;
            *text = newer;
            differs
        })
    }

    /// Notifies of replacements.
    pub(crate) fn changes(&self) -> watch::Receiver<Arc<str>> {
        self.0.text.subscribe()
    }

    /// A server has refused a log-in with this secret: it may have been rotated.
    pub(crate) fn report_refused(&self) {
        if let Some(refused) = self.0.refused.get() {
            refused.notify_one();
        }
    }

    /// Who is notified of refused log-ins; the first call counts.
    pub(crate) fn notify_refused(&self, notify: Arc<Notify>) {
        let _ = self.0.refused.set(notify);
    }
}

impl Default for Secret {
    fn default() -> Self {
        Self::new("")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

impl Serialize for Secret {
    /// `***`, or empty where none is set.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if self.is_empty() { "" } else { "***" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_secret_reaches_every_clone_and_is_never_shown() {
        let secret = Secret::new("old");
        let clone = secret.clone();
        assert!(secret.replace(&Secret::new("new")));
        assert_eq!(&*clone.expose(), "new");
        assert!(!clone.replace(&Secret::new("new")), "nothing has changed");
        assert_eq!(format!("{secret} {secret:?}"), "*** ***");
    }

    #[tokio::test]
    async fn a_refused_log_in_is_reported_to_whoever_reads_secrets_again() {
        let secret = Secret::new("old");
        secret.report_refused();
        let notify = Arc::new(Notify::new());
        secret.clone().notify_refused(notify.clone());
        secret.report_refused();
        notify.notified().await;
    }
}
