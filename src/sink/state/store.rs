//! One chunk of observations on its way into PostgreSQL.

use std::time::Duration;

use deadpool_postgres::{Object, Pool};
use tokio_postgres::Error;

use super::Config;
use super::settled::Settled;
use super::statement::{self, SensorRow};
use crate::postgres::classify::{Failure, Meaning};
use crate::postgres::lease;
use crate::runtime::bisect::Bisect;
use crate::runtime::fault::Fault;
use ingest_core::message::device::Device;
use ingest_core::state::observation::{Location, Observation};

/// Writes observations, and remembers which sensors exist.
#[derive(Debug)]
pub(super) struct Store {
    pool: Pool,
    bound: Duration,
    settled: Settled,
}

/// Rows that PostgreSQL can't hold, and its words about the first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SkippedObservation {
    /// How many.
    pub rows: u64,
    /// Why not, without values.
    pub message: Option<String>,
}

impl Store {
    /// A store that knows of no sensor yet.
    pub(super) fn new(pool: Pool, config: &Config) -> Self {
        Self {
            pool,
            bound: Duration::from_secs(config.write_timeout_secs),
            settled: Settled::new(config.settled_max_size, Duration::from_secs(config.settled_ttl_secs)),
        }
    }

    /// Writes what a chunk of devices says. What is refused for good is left out, row by row.
    ///
    /// # Errors
    /// A fault that is no row's own: then some of it may be written, and all of it may be written again.
    pub(super) async fn write(&mut self, observations: &[Observation]) -> Result<SkippedObservation, Fault> {
        let settled = &self.settled;
        let (known, new): (Vec<_>, Vec<_>) = observations.iter().partition(|one| settled.contains(one));
        let located: Vec<(&Device, Location)> = observations
            .iter()
            .filter(|one| one.device.location_is_auto)
            .filter_map(|one| Some((&*one.device, one.location?)))
            .collect();
        let all: Vec<&Observation> = observations.iter().collect();
        let candidates: Vec<SensorRow<'_>> = new.iter().copied().flat_map(SensorRow::of).collect();
        let mut sensors = candidates.clone();
        sensors.extend(known.into_iter().flat_map(SensorRow::of));

        let written = lease::bounded(&self.pool, self.bound, async |client: &mut Object| {
            let mut refused = SkippedObservation::default();
            isolated(client, &all, &mut refused, async |client, rows| statement::signs_of_life(client, rows).await)
                .await?;
            isolated(client, &located, &mut refused, async |client, rows| statement::positions(client, rows).await)
                .await?;
            isolated(client, &candidates, &mut refused, async |client, rows| statement::discover(client, rows).await)
                .await?;
            isolated(client, &sensors, &mut refused, async |client, rows| statement::last_values(client, rows).await)
                .await?;
            Ok(refused)
        });
        let refused = written.await.map_err(Failure::fault)?;
        new.into_iter().for_each(|observation| self.settled.insert(observation));
        Ok(refused)
    }
}

/// Writes rows, the good ones even where some are refused: by halves, down to the row that is to blame.
async fn isolated<T>(
    client: &mut Object,
    rows: &[T],
    refused: &mut SkippedObservation,
    write: impl AsyncFn(&mut Object, &[T]) -> Result<(), Error>,
) -> Result<(), Failure> {
    let mut bisect = Bisect::new(rows.len());
    while let Some(piece) = bisect.next() {
        match write(client, &rows[piece.clone()]).await.map_err(Failure::from) {
            Ok(()) => {}
            Err(Failure::Answered(answer)) if answer.meaning == Meaning::Refused => {
                if bisect.refused(&piece, None).is_some() {
                    refused.rows += 1;
                    refused.message.get_or_insert(answer.message);
                }
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(())
}
