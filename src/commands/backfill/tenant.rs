//! One tenant's backfill, as a story: find where it stands, read and send, move the position, end.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};
use tokio_postgres::Client;

use super::progress::Progress;
use super::record::{self, Ask, RecordedProgress};
use super::sender::{BYTES_ON_THEIR_WAY, Completed, LINES_ON_THEIR_WAY, Sender};
use super::session::Session;
use super::stop::Stop;
use super::track::{Counts, Next, Page, Position, Track};
use super::{Failure, Options, reader, stopped};
use crate::message::Point;
use crate::postgres::bounded_session::SessionError;
use crate::runtime::exit::Exit;
use ingest_core::flow::backoff::Backoff;
use ingest_core::influx::point::Layout;

/// How often the progress is shown and the position stored.
const TICK: Duration = Duration::from_secs(1);

/// Pages whose fate is open, at most: where a tenant has few rows, lines alone would not bound them.
const PAGES_ON_THEIR_WAY: usize = 1_000;

/// How long a run that is told to stop waits for what is on its way.
const LAST_WAIT: Duration = Duration::from_secs(20);

/// First and longest pause after something failed.
const PAUSE_MS: (u64, u64) = (200, 10_000);

/// Why a backfill can't be worked on.
const TAKEN: &str = "another run is working on this very backfill; let it end, or stop it first";

/// What a run is made of.
pub(super) struct Backfill<'a> {
    /// The command line.
    pub options: &'a Options,
    /// Whether points carry their tenant.
    pub layout: Layout,
    /// The time at the start, Unix microseconds.
    pub now_us: i64,
    /// The connection to PostgreSQL.
    pub session: Session,
    /// The way to the target.
    pub sender: Sender,
    /// Whether it is told to stop.
    pub stop: Stop,
}

/// What became of a tenant in this run.
#[derive(Clone, Copy, Debug)]
pub(super) struct TenantRun {
    /// What was read and written.
    pub counts: Counts,
    /// From where to where, Unix microseconds.
    pub range_us: (i64, i64),
    /// How it ended.
    pub ending: Ending,
    /// Points refused, in earlier runs too.
    pub all_refused: u64,
}

impl TenantRun {
    /// Whether the whole range was read and holds nothing of the tenant.
    pub(super) fn is_empty(&self) -> bool {
        let Counts { rows, written, .. } = self.counts;
        self.ending != Ending::Stopped && rows == 0 && written == 0 && self.all_refused == 0
    }
}

/// How a tenant's run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Everything is confirmed.
    Finished,
    /// There was nothing left to do.
    FinishedBefore,
    /// Told to stop.
    Stopped,
    /// A dry run came to its end.
    Counted,
}

/// A page, its points without their pending acks, and what they count.
type Read = (Page, Vec<Point>, Counts);

/// One tenant's run, between its pages.
struct RunState {
    id: i32,
    tenant_id: Arc<str>,
    /// Where it stood when this run began.
    begun: RecordedProgress,
    track: Track,
    /// The position that is on record.
    stored: Position,
    /// When the rate, or a pause, allows the next page.
    next_page: Instant,
    /// Pauses of the target.
    target_backoff: Backoff,
    /// Pauses of PostgreSQL.
    postgres_backoff: Backoff,
    /// The last of them.
    postgres_pause: Duration,
    /// Whether it was said that it waits for something: an outage is new once.
    is_waiting: bool,
    progress: Progress,
}

impl Backfill<'_> {
    /// Whether the registry has a device of this tenant.
    pub(super) async fn is_registered(&mut self, tenant_id: &str) -> Result<bool, Failure> {
        const SQL: &str = "SELECT EXISTS (SELECT FROM device_registry WHERE tenant_id = $1)";
        let found = self.session.run_until(&self.stop, async |client| client.query_one(SQL, &[&tenant_id]).await).await;
        found.map(|row| row.get(0)).map_err(|why| self.ended(why))
    }

    /// Counts what there is.
    pub(super) async fn count(&mut self, tenant_id: &str) -> Result<TenantRun, Failure> {
        let range_us = (self.options.from, self.options.to.unwrap_or(self.now_us));
        let (mut at, end) = (Position::before(range_us.0), Position::before(range_us.1));
        let mut progress = Progress::new(tenant_id, range_us);
        let mut counts = Counts::default();
        while at != end && !self.stop.is_told() {
            let (page, _, counted) = match self.read(tenant_id, &at, &end).await {
                Err(_) if self.stop.is_told() => break,
                read => read.map_err(|why| away(&why))?,
            };
            counts += counted;
            at = page.until;
            progress.show(at.received_us, counts.points);
        }
        let ending = if at == end { Ending::Counted } else { Ending::Stopped };
        Ok(TenantRun { counts, range_us: (range_us.0, at.received_us), ending, all_refused: 0 })
    }

    /// Writes what is left to be written.
    pub(super) async fn fill(&mut self, tenant_id: &str, target: &str) -> Result<TenantRun, Failure> {
        let Options { from, to, .. } = *self.options;
        let ask = Ask { tenant_id, target, from_us: from, to_us: to, now_us: self.now_us };
        let id = self.session.run_until(&self.stop, async |client| record::find(client, &ask).await).await;
        let id = id.map_err(|why| self.ended(why))?;
        if !self.session.hold(id, &self.stop).await.map_err(|why| self.ended(why))? {
            return Err((Exit::Unavailable, format!("{tenant_id}: {TAKEN}")));
        }
        let is_again = self.options.restart;
        let begun = self.session.run_until(&self.stop, async |client| {
            if is_again {
                record::restart(client, id, &ask).await?;
            }
            record::load(client, id).await
        });
        let begun = begun.await.map_err(|why| self.ended(why))?;
        let tenant_run = if begun.is_finished {
            let counts = Counts { written: begun.written, ..Counts::default() };
            let range_us = (from, begun.to_us);
            TenantRun { counts, range_us, ending: Ending::FinishedBefore, all_refused: begun.refused }
        } else {
            self.go_on(id, tenant_id.into(), begun).await?
        };
        self.session.release(&self.stop).await;
        Ok(tenant_run)
    }

    async fn go_on(&mut self, id: i32, tenant_id: Arc<str>, begun: RecordedProgress) -> Result<TenantRun, Failure> {
        let range_us = (begun.position.received_us, begun.to_us);
        let mut state = RunState {
            id,
            track: Track::new(begun.position.clone(), Position::before(begun.to_us), PAGES_ON_THEIR_WAY),
            stored: begun.position.clone(),
            next_page: Instant::now(),
            target_backoff: Backoff::new(PAUSE_MS.0, PAUSE_MS.1),
            postgres_backoff: Backoff::new(PAUSE_MS.0, PAUSE_MS.1),
            postgres_pause: Duration::ZERO,
            is_waiting: false,
            progress: Progress::new(&tenant_id, range_us),
            tenant_id,
            begun,
        };
        let is_finished = self.run(&mut state).await?;
        if !is_finished {
            self.wait_for_the_last(&mut state).await;
        }
        let is_finished = state.track.is_done();
        while !self.store(&mut state, is_finished).await? {
            if self.stop.is_told() {
                state.progress.print("its position could not be stored; some points will be written again");
                break;
            }
            self.wait_for_postgresql(&state).await;
        }
        for example in self.sender.take_examples() {
            state.progress.print(&format!("refused: {example}"));
        }
        let (counts, at_us) = (state.track.confirmed(), state.track.position().received_us);
        let ending = if is_finished { Ending::Finished } else { Ending::Stopped };
        let all_refused = state.begun.refused + counts.refused;
        Ok(TenantRun { counts, range_us: (range_us.0, at_us), ending, all_refused })
    }

    /// Reads and sends until everything is confirmed, or it is told to stop; whether the former.
    async fn run(&mut self, state: &mut RunState) -> Result<bool, Failure> {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        while !state.track.is_done() {
            let next = state.track.next().filter(|_| self.has_capacity());
            tokio::select! {
                biased;
                () = self.stop.told_times(1) => return Ok(false),
                _ = ticks.tick() => self.look(state).await?,
                completed = self.sender.completed() => self.take(state, completed)?,
                next = after(state.next_page, next) => self.send(state, next).await,
            }
        }
        Ok(true)
    }

    fn has_capacity(&self) -> bool {
        self.sender.lines() + reader::PAGE_ROWS as u64 <= LINES_ON_THEIR_WAY
            && self.sender.bytes() <= BYTES_ON_THEIR_WAY
    }

    /// Why it could not begin: because PostgreSQL is away, or because it was told to stop meanwhile.
    fn ended(&self, why: SessionError) -> Failure {
        if self.stop.is_told() { stopped(self.options) } else { away(&why) }
    }

    /// Reads a page and sends it.
    async fn send(&mut self, state: &mut RunState, next: Next) {
        let (tenant_id, end_us) = (state.tenant_id.clone(), state.begun.to_us);
        let read = match &next {
            Next::Behind(place) => self.read(&tenant_id, place, &Position::before(end_us)).await,
            Next::Again(_, page) => self.read_again(&tenant_id, page).await,
        };
        let (page, points, counts) = match read {
            Ok(read) => read,
            Err(_) if self.stop.is_told() => return,
            Err(why) => {
                state.miss_postgresql(&why.to_string());
                return self.wait_for_postgresql(state).await;
            }
        };
        state.postgres_backoff.reset();
        let number = match next {
            Next::Behind(_) => state.track.begin(page),
            Next::Again(number, _) => {
                state.track.begin_again(number);
                number
            }
        };
        self.sender.send(&tenant_id, number, points, counts);
        let time_for_it = Duration::from_secs_f64(counts.points as f64 / f64::from(self.options.rate));
        state.next_page = state.next_page.max(Instant::now()) + time_for_it;
    }

    async fn read(&mut self, tenant_id: &str, after: &Position, end: &Position) -> Result<Read, SessionError> {
        let layout = self.layout;
        let read = self.session.run_until(&self.stop, async |client| {
            let page = reader::next_page(client, after, end).await?;
            let (points, counts) = reader::points(client, &page, tenant_id, layout).await?;
            Ok((page, points, counts))
        });
        read.await
    }

    async fn read_again(&mut self, tenant_id: &str, page: &Page) -> Result<Read, SessionError> {
        let layout = self.layout;
        let read = async |client: &Client| reader::points(client, page, tenant_id, layout).await;
        self.session.run_until(&self.stop, read).await.map(|(points, counts)| (page.clone(), points, counts))
    }

    /// A page's fate is known.
    fn take(&self, state: &mut RunState, completed: Completed) -> Result<(), Failure> {
        match completed {
            Completed::Confirmed(page, counts) => {
                state.track.confirm(page, counts);
                if state.track.is_whole() {
                    state.target_backoff.reset();
                }
            }
            Completed::Lost(page) => {
                state.track.lose(page);
                state.next_page = state.next_page.max(Instant::now() + state.target_backoff.next(fastrand::f64()));
                let why = self.sender.last_error(&state.tenant_id);
                state.print("the target did not take all of a page; it is sent again", &why);
            }
            Completed::BatcherExited => {
                return Err((Exit::GaveUp, "the part that writes to the target died".to_owned()));
            }
        }
        Ok(())
    }

    /// Shows and stores how far it has come, and says what it waits for.
    async fn look(&mut self, state: &mut RunState) -> Result<(), Failure> {
        state.show();
        match self.sender.failure(&state.tenant_id) {
            Some(why) => state.print("the target takes no writes; waiting for it", &why),
            None if state.track.is_whole() && state.postgres_backoff.failures() == 0 => state.well_again(),
            None => {}
        }
        // Where it fails, the next look stores more.
        if state.stored != *state.track.position() {
            self.store(state, false).await?;
        }
        Ok(())
    }

    /// Puts on record where it stands; whether PostgreSQL took it.
    async fn store(&mut self, state: &mut RunState, is_finished: bool) -> Result<bool, Failure> {
        let (position, counts) = (state.track.position().clone(), state.track.confirmed());
        let recorded = RecordedProgress {
            to_us: state.begun.to_us,
            position,
            written: state.begun.written + counts.written,
            refused: state.begun.refused + counts.refused,
            is_finished,
        };
        let id = state.id;
        let advance = async |client: &Client| record::advance(client, id, &recorded).await;
        match self.session.run_until(&self.stop, advance).await {
            Ok(true) => {
                state.stored = recorded.position;
                state.postgres_backoff.reset();
                Ok(true)
            }
            // While the connection was away, so was the lock.
            Ok(false) => Err((Exit::Unavailable, format!("{}: {TAKEN}", state.tenant_id))),
            Err(why) => {
                state.miss_postgresql(&why.to_string());
                Ok(false)
            }
        }
    }

    /// PostgreSQL did not answer: waits a while.
    async fn wait_for_postgresql(&self, state: &RunState) {
        tokio::select! {
            () = sleep(state.postgres_pause) => {}
            () = self.stop.told_times(1) => {}
        }
    }

    /// Waits for what is on its way, as long as there is hope.
    async fn wait_for_the_last(&mut self, state: &mut RunState) {
        if self.sender.is_busy() {
            state.progress.print("stopping, once what is on its way has arrived; told again, it stops at once");
        }
        let deadline = Instant::now() + LAST_WAIT;
        let mut ticks = interval(TICK);
        while self.sender.is_busy() && self.sender.failure(&state.tenant_id).is_none() {
            tokio::select! {
                completed = self.sender.completed() => match completed {
                    Completed::Confirmed(page, counts) => state.track.confirm(page, counts),
                    Completed::Lost(_) => {}
                    Completed::BatcherExited => return,
                },
                _ = ticks.tick() => state.show(),
                () = sleep_until(deadline) => return,
            }
        }
    }
}

impl RunState {
    fn show(&mut self) {
        let Counts { written, refused, .. } = self.track.confirmed();
        self.progress.show(self.track.position().received_us, written + refused);
    }

    /// Says what it waits for, once.
    fn print(&mut self, what: &str, why: &str) {
        if !std::mem::replace(&mut self.is_waiting, true) {
            let sentence = if why.is_empty() { what.to_owned() } else { format!("{what}: {why}") };
            self.progress.print(&sentence);
        }
    }

    /// PostgreSQL did not answer.
    fn miss_postgresql(&mut self, why: &str) {
        self.postgres_pause = self.postgres_backoff.next(fastrand::f64());
        self.print("waiting for PostgreSQL", why);
    }

    fn well_again(&mut self) {
        if std::mem::take(&mut self.is_waiting) {
            self.progress.print("going on");
        }
    }
}

/// What is to be read, once it may be.
async fn after(time: Instant, next: Option<Next>) -> Next {
    sleep_until(time).await;
    match next {
        Some(next) => next,
        None => std::future::pending().await,
    }
}

fn away(why: &SessionError) -> Failure {
    (Exit::Unavailable, format!("PostgreSQL: {why}"))
}
