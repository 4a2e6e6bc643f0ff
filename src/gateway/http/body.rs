//! Reads a request's body: bounded in bytes and in time, and in the sum of all that are being read.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap};
use actix_web::web;
use flate2::read::MultiGzDecoder;
use futures_util::StreamExt;
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Config;

/// Why there is no body.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(super) enum BodyError {
    /// Too large, as sent or unpacked.
    #[error("the body has more than {0} bytes")]
    TooLarge(usize),
    /// It did not come in time.
    #[error("the body did not come within {} s", .0.as_secs())]
    TooSlow(Duration),
    /// The connection ended.
    #[error("the body is not whole")]
    NotWhole,
    /// An encoding other than gzip.
    #[error("the body's Content-Encoding is neither gzip nor identity")]
    UnknownEncoding,
    /// It is not what its encoding says.
    #[error("the body is not gzip")]
    NotGzip,
    /// All bodies together take too much.
    #[error("too many bodies are being read")]
    NoSpace,
}

/// A body, and its share of the space for all of them.
#[derive(Debug)]
pub(super) struct Body {
    /// Its bytes, unpacked.
    pub bytes: web::Bytes,
    _space: Option<OwnedSemaphorePermit>,
}

/// Reads bodies within one space for all of them.
#[derive(Clone, Debug)]
pub(super) struct BodyReader {
    space: Arc<Semaphore>,
    max_bytes: usize,
    timeout: Duration,
}

impl BodyReader {
    /// As configured.
    pub(super) fn new(config: &Config) -> Self {
        let space = config.bodies_max_bytes.min(Semaphore::MAX_PERMITS);
        Self {
            space: Arc::new(Semaphore::new(space)),
            max_bytes: config.body_max_bytes,
            timeout: config.body_timeout(),
        }
    }

    /// Reads a body.
    ///
    /// # Errors
    /// There is none, or none that can be used.
    pub(super) async fn read(&self, headers: &HeaderMap, payload: web::Payload) -> Result<Body, BodyError> {
        let is_packed = is_gzip(headers)?;
        let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        if announced.is_some_and(|bytes| bytes > self.max_bytes) {
            return Err(BodyError::TooLarge(self.max_bytes));
        }
        let received = tokio::time::timeout(self.timeout, self.receive(payload)).await;
        let body = received.unwrap_or(Err(BodyError::TooSlow(self.timeout)))?;
        if is_packed { self.unpack(&body) } else { Ok(body) }
    }

    async fn receive(&self, mut payload: web::Payload) -> Result<Body, BodyError> {
        let (mut first, mut rest) = (web::Bytes::new(), Vec::new());
        let mut space = None;
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|_| BodyError::NotWhole)?;
            if first.len() + rest.len() + chunk.len() > self.max_bytes {
                return Err(BodyError::TooLarge(self.max_bytes));
            }
            self.reserve(&mut space, chunk.len())?;
            // Most bodies are one chunk, which needs no copy.
            if first.is_empty() && rest.is_empty() {
                first = chunk;
            } else {
                if rest.is_empty() {
                    rest.extend_from_slice(&std::mem::take(&mut first));
                }
                rest.extend_from_slice(&chunk);
            }
        }
        Ok(Body { bytes: if rest.is_empty() { first } else { rest.into() }, _space: space })
    }

    /// Unpacks a body, never further than the limit.
    fn unpack(&self, packed: &Body) -> Result<Body, BodyError> {
        let mut unpacked = Vec::new();
        let mut gzip = MultiGzDecoder::new(&*packed.bytes).take(self.max_bytes as u64 + 1);
        gzip.read_to_end(&mut unpacked).map_err(|_| BodyError::NotGzip)?;
        if unpacked.len() > self.max_bytes {
            return Err(BodyError::TooLarge(self.max_bytes));
        }
        let mut space = None;
        self.reserve(&mut space, unpacked.len())?;
        Ok(Body { bytes: unpacked.into(), _space: space })
    }

    fn reserve(&self, held: &mut Option<OwnedSemaphorePermit>, bytes: usize) -> Result<(), BodyError> {
        let bytes = u32::try_from(bytes).map_err(|_| BodyError::NoSpace)?;
        let more = self.space.clone().try_acquire_many_owned(bytes).map_err(|_| BodyError::NoSpace)?;
        match held {
            Some(held) => held.merge(more),
            None => *held = Some(more),
        }
        Ok(())
    }
}

fn is_gzip(headers: &HeaderMap) -> Result<bool, BodyError> {
    let mut encodings = headers.get_all(CONTENT_ENCODING);
    let Some(encoding) = encodings.next() else { return Ok(false) };
    if encodings.next().is_some() {
        return Err(BodyError::UnknownEncoding);
    }
    match encoding.to_str().map(str::trim) {
        Ok(name) if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") => Ok(true),
        Ok(name) if name.eq_ignore_ascii_case("identity") || name.is_empty() => Ok(false),
        _ => Err(BodyError::UnknownEncoding),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use actix_web::FromRequest;
    use actix_web::http::header::HeaderValue;
    use actix_web::test::TestRequest;
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn reader(max_bytes: usize, bodies_max_bytes: usize) -> BodyReader {
        BodyReader::new(&Config { body_max_bytes: max_bytes, bodies_max_bytes, ..Config::default() })
    }

    async fn read(reader: &BodyReader, encoding: Option<&'static str>, body: Vec<u8>) -> Result<Body, BodyError> {
        let (request, mut payload) = TestRequest::post().set_payload(body).to_http_parts();
        let mut headers = request.headers().clone();
        headers.remove(CONTENT_LENGTH);
        if let Some(encoding) = encoding {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        let payload = web::Payload::from_request(&request, &mut payload).await.unwrap();
        reader.read(&headers, payload).await
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(bytes).unwrap();
        gzip.finish().unwrap()
    }

    #[actix_rt::test]
    async fn a_body_is_bounded_as_sent_and_as_unpacked() {
        let reader = reader(1_024, 1 << 20);
        let error = async |encoding, body| read(&reader, encoding, body).await.unwrap_err();
        assert_eq!(read(&reader, None, vec![b'x'; 1_024]).await.unwrap().bytes.len(), 1_024);
        assert_eq!(error(None, vec![b'x'; 1_025]).await, BodyError::TooLarge(1_024));
        assert_eq!(&*read(&reader, Some("GZIP"), gzip(b"hello")).await.unwrap().bytes, b"hello");
        let bomb = gzip(&vec![0; 1_000_000]);
        assert!(bomb.len() < 1_024);
        assert_eq!(error(Some("gzip"), bomb).await, BodyError::TooLarge(1_024));
        assert_eq!(error(Some("gzip"), b"hello".to_vec()).await, BodyError::NotGzip);
        let half = gzip(b"hello hello hello");
        assert_eq!(error(Some("gzip"), half[..half.len() - 9].to_vec()).await, BodyError::NotGzip);
        for encoding in ["br", "gzip, gzip", "deflate"] {
            assert_eq!(error(Some(encoding), b"{}".to_vec()).await, BodyError::UnknownEncoding);
        }
    }

    #[actix_rt::test]
    async fn all_bodies_share_one_space_until_they_are_dropped() {
        let reader = reader(1_024, 1_500);
        let first = read(&reader, None, vec![b'x'; 1_000]).await.unwrap();
        assert_eq!(read(&reader, None, vec![b'x'; 1_000]).await.unwrap_err(), BodyError::NoSpace);
        drop(first);
        assert!(read(&reader, None, vec![b'x'; 1_000]).await.is_ok());
    }
}
