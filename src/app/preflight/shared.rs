//! What one dependency's checks learn for those of another, which wait for it.

use tokio::sync::watch;

/// A value that is known later, or never.
#[derive(Debug)]
pub(super) struct Later<T>(watch::Sender<Option<Option<T>>>);

impl<T: Clone> Later<T> {
    /// Not known yet.
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    /// It is this; only the first word counts.
    pub(super) fn set(&self, value: Option<T>) {
        self.0.send_if_modified(|known| {
            let is_new = known.is_none();
            if is_new {
                *known = Some(value);
            }
            is_new
        });
    }

    /// The value, as soon as it is known; `None` where it never will be.
    pub(super) async fn get(&self) -> Option<T> {
        let mut known = self.0.subscribe();
        let known = known.wait_for(Option::is_some).await.ok()?;
        known.clone().flatten()
    }
}
