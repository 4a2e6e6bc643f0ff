//! One chunk of observations on its way into PostgreSQL.

use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool_postgres::{Object, Pool};
use tokio_postgres::Error;

use super::Config;
use super::catch_up::{self, Reread};
use super::heard::{self, Row};
use super::known_sensors::KnownSensors;
use super::statement::{self, SensorRow};
use super::writers;
use crate::metrics::Metrics;
use crate::postgres::classify::{Failure, Meaning};
use crate::postgres::lease;
use crate::runtime::bisect::Bisect;
use crate::runtime::fault::Fault;
use ingest_core::message::device::Device;
use ingest_core::state::continuity::Rules;
use ingest_core::state::observation::{Location, Observation};

/// Devices per statement: enough to make its cost per row vanish, few enough to hold their locks only shortly.
pub(super) const CHUNK: usize = 500;

/// Writes observations, and remembers which sensors exist.
#[derive(Debug)]
pub(super) struct Store {
    pool: Pool,
    bound: Duration,
    known_sensors: KnownSensors,
    rules: Rules,
    metrics: Arc<Metrics>,
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
    pub(super) fn new(pool: Pool, config: &Config, metrics: Arc<Metrics>) -> Self {
        Self {
            pool,
            rules: config.rules(),
            metrics,
            bound: Duration::from_secs(config.write_timeout_secs),
            known_sensors: KnownSensors::new(config.settled_max_size, Duration::from_secs(config.settled_ttl_secs)),
        }
    }

    /// Writes what a writer that ended without a last flush has left behind; of how many devices.
    ///
    /// # Errors
    /// When PostgreSQL does not answer or refuses; then it may be done again.
    pub(super) async fn catch_up(&self, node_id: &str) -> Result<usize, Fault> {
        let read = lease::bounded(&self.pool, self.bound, async |client: &mut Object| {
            Ok(catch_up::read(client, node_id).await?)
        });
        let devices = read.await.map_err(Failure::fault)?;
        for chunk in devices.chunks(CHUNK) {
            let rows: Vec<Row<'_>> = chunk.iter().map(Reread::row).collect();
            let written = lease::bounded(&self.pool, self.bound, async |client: &mut Object| {
                Ok(self.heard(client, &rows).await?)
            });
            written.await.map_err(Failure::fault)?;
        }
        Ok(devices.len())
    }

    /// Writes what was heard of devices, and counts what it shows.
    async fn heard(&self, client: &mut Object, rows: &[Row<'_>]) -> Result<(), Error> {
        let found = heard::write(client, rows, &self.rules).await?;
        let readings = &self.metrics.state.readings;
        found.iter().for_each(|(device, found, missing)| readings.add(device, *found, *missing));
        Ok(())
    }

    /// Says that everything is written that was heard before `began`; or that there will be nothing more, as the node drains.
    ///
    /// # Errors
    /// When PostgreSQL does not answer or refuses.
    pub(super) async fn flushed(&self, node_id: &str, began: Instant, is_last: bool) -> Result<(), Fault> {
        let written = lease::bounded(&self.pool, self.bound, async |client: &mut Object| {
            let done = match is_last {
                true => writers::ended(client, node_id).await,
                false => writers::flushed(client, node_id, began.elapsed().as_secs_f64()).await,
            };
            Ok(done?)
        });
        written.await.map_err(Failure::fault)
    }

    /// Writes what a chunk of devices says. What is refused for good is left out, row by row.
    ///
    /// # Errors
    /// A fault that is no row's own: then some of it may be written, and all of it may be written again.
    pub(super) async fn write(&mut self, observations: &[Observation]) -> Result<SkippedObservation, Fault> {
        let known_sensors = &self.known_sensors;
        let (known, new): (Vec<_>, Vec<_>) = observations.iter().partition(|one| known_sensors.contains(one));
        let located: Vec<(&Device, Location)> = observations
            .iter()
            .filter(|one| one.device.location_is_auto)
            .filter_map(|one| Some((&*one.device, one.location?)))
            .collect();
        let all: Vec<Row<'_>> = observations.iter().map(Row::of).collect();
        let candidates: Vec<SensorRow<'_>> = new.iter().copied().flat_map(SensorRow::of).collect();
        let mut sensors = candidates.clone();
        sensors.extend(known.into_iter().flat_map(SensorRow::of));

        let written = lease::bounded(&self.pool, self.bound, async |client: &mut Object| {
            let mut refused = SkippedObservation::default();
            isolated(client, &all, &mut refused, async |client, rows| self.heard(client, rows).await).await?;
            isolated(client, &located, &mut refused, async |client, rows| statement::positions(client, rows).await)
                .await?;
            isolated(client, &candidates, &mut refused, async |client, rows| statement::discover(client, rows).await)
                .await?;
            isolated(client, &sensors, &mut refused, async |client, rows| statement::last_values(client, rows).await)
                .await?;
            Ok(refused)
        });
        let refused = written.await.map_err(Failure::fault)?;
        new.into_iter().for_each(|observation| self.known_sensors.insert(observation));
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
