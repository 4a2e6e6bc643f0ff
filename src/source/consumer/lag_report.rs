//! Lag report: the consumer's figures as the broker answers them and the age of the oldest unsettled message, for metrics
//! and `/lag`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix::prelude::*;
use async_nats::jetstream::consumer::Info;
use slog::debug;

use super::actor::Consumer;
use super::lane_lag::Reading;
use crate::metrics::BrokerReport;
use crate::nats::provision;
use crate::nats::stored::{self, StoredError};
use ingest_core::flow::lag::ConsumerFigures;
use ingest_core::flow::permission::Operation;

/// Timeout of looking up the oldest unsettled message. The figures wait for it, and expire after ten seconds.
const LOOK_UP_BOUND: Duration = Duration::from_secs(2);
/// Pause after a look-up that failed.
const FAILED_PAUSE: Duration = Duration::from_secs(5);
/// Pause after one that the server has denied: it logs each of them.
const DENIED_PAUSE: Duration = Duration::from_secs(60);

impl Consumer {
    /// Reports what the broker has answered. Where the oldest message's time is not known, it is looked up before: one request
    /// at a time, none while nothing is unsettled.
    pub(super) fn report_lag(&mut self, info: &Info, ctx: &mut Context<Self>) {
        if self.lag.waiting.is_some() {
            return;
        }
        let figures = ConsumerFigures {
            pending: info.num_pending,
            ack_pending: info.num_ack_pending as u64,
            redelivered: info.num_redelivered as u64,
            max_ack_pending: info.config.max_ack_pending,
            ack_floor: info.ack_floor.stream_sequence,
            is_paused: info.paused,
            waiting_requests: info.num_waiting as u64,
            ack_wait_secs: info.config.ack_wait.as_secs(),
        };
        let asked_ms = self.state_requested_ms;
        let reading = Reading { figures, asked: self.started + Duration::from_millis(asked_ms) };
        self.lag.oldest.seen(figures.ack_floor, figures.messages() > 0, asked_ms);
        match self.lag.oldest.look_up(self.now_ms()) {
            Some(first) => self.look_up_oldest(first, filters(info), reading, ctx),
            None => self.publish_lag(reading),
        }
    }

    /// Discards the lane's figures: it is not bound to the consumer that they are about.
    pub(super) fn forget_lag(&mut self) {
        self.lag.reset();
        self.parts.spawn.metrics.consumers.broker.discard(self.lane);
    }

    fn look_up_oldest(&mut self, first: u64, filters: Vec<String>, reading: Reading, ctx: &mut Context<Self>) {
        self.lag.waiting = Some(reading);
        let (context, lane, round) = (provision::context(&self.parts.client), self.lane, self.lag.round);
        let look_up = async move {
            tokio::time::timeout(LOOK_UP_BOUND, stored::first_stored_us(&context, lane, first, &filters))
                .await
                .unwrap_or(Err(StoredError::Silent(LOOK_UP_BOUND)))
        };
        ctx.spawn(look_up.into_actor(self).map(move |answer, consumer, _| {
            if consumer.lag.round == round {
                consumer.oldest_looked_up(answer);
            }
        }));
    }

    fn oldest_looked_up(&mut self, answer: Result<Option<i64>, StoredError>) {
        let (now_ms, readiness) = (self.now_ms(), &self.parts.spawn.readiness);
        let subject = format!("lag of {}", self.lane.consumer());
        match answer {
            Ok(stored_us) => {
                self.lag.oldest.found(stored_us, now_ms);
                self.parts.permissions.allowed(Operation::Message, self.lane);
                readiness.clear_message(&subject);
            }
            Err(why) => {
                debug!(self.parts.spawn.log, "oldest unsettled message not looked up"; "error" => %why);
                let denial = self.parts.permissions.denied(Operation::Message, self.lane);
                self.lag.oldest.failed(if denial.is_some() { DENIED_PAUSE } else { FAILED_PAUSE }, now_ms);
                if let Some(denial) = denial {
                    readiness.set_message(subject, format!("its seconds are not known: {}", denial.message));
                }
            }
        }
        if let Some(reading) = self.lag.waiting.take() {
            self.publish_lag(reading);
        }
    }

    fn publish_lag(&self, Reading { figures, asked }: Reading) {
        let since_asked_us = asked.elapsed().as_micros() as i64;
        let oldest = self.lag.oldest.age(now_us() - since_asked_us);
        let report = BrokerReport { asked, figures, oldest, window: self.parts.config.window };
        self.parts.spawn.metrics.consumers.broker.set(self.lane, report);
    }
}

/// The subjects that the consumer delivers.
fn filters(info: &Info) -> Vec<String> {
    let one = Some(&info.config.filter_subject).filter(|filter| !filter.is_empty());
    let filters: Vec<String> = one.into_iter().chain(&info.config.filter_subjects).cloned().collect();
    if filters.is_empty() { vec![">".to_owned()] } else { filters }
}

/// The wall clock, Unix microseconds; for the lag only, never for what is stored.
fn now_us() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64)
}
