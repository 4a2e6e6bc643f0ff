//! The broker, asked about streams, messages and consumers. Nothing is changed there.

use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{Info, RawMessageErrorKind};
use async_nats::jetstream::{Context, consumer};
use slog::Logger;
use thiserror::Error;

use crate::config::Config;
use crate::delivery::Lane;
use crate::nats::connect::{AttemptError, Observers, attempt};
use crate::nats::provision::{self, ApiError};

/// A connection for one explanation.
#[derive(Debug)]
pub(super) struct Broker(Context);

/// Why a question has no answer.
#[derive(Debug, Error)]
pub(super) enum BrokerError {
    /// The JetStream API refuses it, or does not answer.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The message can't be read.
    #[error("message {seq} of {stream}: {why}")]
    Message {
        /// The stream.
        stream: String,
        /// The number.
        seq: u64,
        /// What the client says.
        why: RawMessageErrorKind,
    },
}

impl Broker {
    /// Tries each server once.
    ///
    /// # Errors
    /// When the settings can't work, or no server lets the node in.
    pub(super) async fn connect(config: &Config, log: &Logger) -> Result<Self, AttemptError> {
        let client = attempt(&config.nats, "explain", Observers::default(), log).await?;
        Ok(Self(provision::context(&client)))
    }

    /// A stream; `None` where there is none of this name.
    ///
    /// # Errors
    /// See [`BrokerError`].
    pub(super) async fn stream(&self, name: &str) -> Result<Option<Info>, BrokerError> {
        // Any other name would be another subject of the API.
        let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && !b".*>/\\".contains(&b));
        if !is_name {
            return Ok(None);
        }
        Ok(provision::stream_info(&self.0, name).await?)
    }

    /// A lane's consumer; `None` where there is none.
    ///
    /// # Errors
    /// See [`BrokerError`].
    pub(super) async fn consumer(&self, lane: Lane) -> Result<Option<consumer::Info>, BrokerError> {
        Ok(provision::consumer_info(&self.0, lane).await?)
    }

    /// The message with this number; `None` where it is not there.
    ///
    /// # Errors
    /// See [`BrokerError`].
    pub(super) async fn message(&self, stream: &str, seq: u64) -> Result<Option<StreamMessage>, BrokerError> {
        self.get(stream, seq, Which::Exactly).await
    }

    /// The first message with this number or a higher one whose subject the filter matches.
    ///
    /// # Errors
    /// See [`BrokerError`].
    pub(super) async fn next(
        &self,
        stream: &str,
        seq: u64,
        filter: &str,
    ) -> Result<Option<StreamMessage>, BrokerError> {
        self.get(stream, seq, Which::Next(filter)).await
    }

    /// The last message whose subject the filter matches.
    ///
    /// # Errors
    /// See [`BrokerError`].
    pub(super) async fn last(&self, stream: &str, filter: &str) -> Result<Option<StreamMessage>, BrokerError> {
        self.get(stream, 0, Which::Last(filter)).await
    }

    async fn get(&self, stream: &str, seq: u64, which: Which<'_>) -> Result<Option<StreamMessage>, BrokerError> {
        let Ok(handle) = self.0.get_stream_no_info(stream).await else { return Ok(None) };
        let question = handle.raw_message_builder();
        let question = match which {
            Which::Exactly => question.sequence(seq),
            Which::Next(filter) => question.sequence(seq).next_by_subject(filter),
            Which::Last(filter) => question.last_by_subject(filter),
        };
        match question.send().await {
            Ok(message) => Ok(Some(message)),
            Err(error) => match error.kind() {
                RawMessageErrorKind::NoMessageFound => Ok(None),
                RawMessageErrorKind::JetStream(error) if error.code() == 404 => Ok(None),
                why => Err(BrokerError::Message { stream: stream.to_owned(), seq, why }),
            },
        }
    }
}

/// Which message.
enum Which<'a> {
    Exactly,
    Next(&'a str),
    Last(&'a str),
}
