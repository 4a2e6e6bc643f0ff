//! Work on a connection of the pool, bounded in time.

use std::time::Duration;

use deadpool_postgres::{Object, Pool};

use super::classify::{Failure, transient};
use super::errors;

/// Runs `work` on a connection, within the bound. The connection goes back to the pool only when it is known to be as
/// good as before: after a timeout it may still be busy, and its transaction may even commit.
///
/// # Errors
/// What `work` says, or a fault that passes where there is no connection or no answer in time.
pub(crate) async fn bounded<T>(
    pool: &Pool,
    bound: Duration,
    work: impl AsyncFnOnce(&mut Object) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let attempt = async {
        let mut lease = Lease(Some(pool.get().await?));
        let Some(client) = &mut lease.0 else { return Err(transient("no connection")) };
        let result = work(client).await;
        if result.as_ref().err().is_none_or(Failure::leaves_connection_usable) {
            lease.return_to_pool();
        }
        result
    };
    match tokio::time::timeout(bound, attempt).await {
        Ok(result) => result,
        Err(_) => {
            errors::count_timeout();
            Err(transient(&format!("PostgreSQL did not answer within {} s", bound.as_secs())))
        }
    }
}

/// A connection that is closed unless it is given back.
struct Lease(Option<Object>);

impl Lease {
    fn return_to_pool(mut self) {
        self.0.take();
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(client) = self.0.take() {
            drop(Object::take(client));
        }
    }
}
