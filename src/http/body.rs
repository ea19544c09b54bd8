//! The bodies of requests, read within limits of size, time and memory.

use std::io::Read;
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use futures_util::{Stream, StreamExt};
use tokio::sync::OwnedSemaphorePermit;
use warp::Buf;
use warp::http::HeaderMap;
use warp::http::header::CONTENT_LENGTH;

use crate::http::error::ApiError;
use crate::ingest::{Pipeline, PushError};

/// The largest body, both as sent and as unpacked.
const MAX_BYTES: usize = 128 << 20;
/// The budget grows by this for a body of unknown size.
const STEP_BYTES: usize = 8 << 20;
/// The longest pause within a body.
pub(super) const CHUNK_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest time for a whole body.
const BODY_TIMEOUT: Duration = Duration::from_secs(600);

pub(super) struct Body {
    /// The body, unpacked.
    pub bytes: Vec<u8>,
    /// The part of the memory budget that the body holds until it is dropped.
    reserved: Vec<OwnedSemaphorePermit>,
}

/// Why a body was not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the body is larger than {} MiB; send it in parts", MAX_BYTES >> 20)]
    TooLarge,
    #[error("the body took too long to arrive")]
    TooSlow,
    #[error("the body ended before it was complete")]
    Broken,
    #[error("the body is not gzip, or damaged")]
    NotGzip,
    #[error(transparent)]
    Busy(#[from] PushError),
}

impl From<BodyError> for ApiError {
    fn from(error: BodyError) -> ApiError {
        let message = error.to_string();
        match error {
            BodyError::TooLarge => ApiError::TooLarge(message),
            BodyError::TooSlow => ApiError::TooSlow(message),
            BodyError::Broken | BodyError::NotGzip => ApiError::BadRequest(message),
            BodyError::Busy(error) => error.into(),
        }
    }
}

/// Returns a body, unpacked if it is `gzip`. Reserves twice the size of the unpacked body first, because it is in memory
/// as bytes and as records at the same time. Errors if a limit is exceeded, if the client breaks off, or if the body is
/// not gzip.
pub(super) async fn read(
    pipeline: &Pipeline,
    headers: &HeaderMap,
    gzip: bool,
    chunks: impl Stream<Item = Result<impl Buf, warp::Error>>,
) -> Result<Body, BodyError> {
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: usize| length > MAX_BYTES) {
        return Err(BodyError::TooLarge);
    }
    let mut body = Body { bytes: Vec::new(), reserved: Vec::new() };
    let times = if gzip { 1 } else { 2 };
    let mut reserved_bytes = length.unwrap_or(0);
    body.reserved.push(pipeline.reserve_bytes(times * reserved_bytes).await?);
    let whole = async {
        let mut chunks = std::pin::pin!(chunks);
        loop {
            let next = tokio::time::timeout(CHUNK_TIMEOUT, chunks.next()).await;
            let Some(chunk) = next.map_err(|_| BodyError::TooSlow)? else {
                return Ok(());
            };
            let mut chunk = chunk.map_err(|_| BodyError::Broken)?;
            if body.bytes.len() + chunk.remaining() > MAX_BYTES {
                return Err(BodyError::TooLarge);
            }
            while body.bytes.len() + chunk.remaining() > reserved_bytes {
                body.reserved.push(pipeline.reserve_bytes(times * STEP_BYTES).await?);
                reserved_bytes += STEP_BYTES;
            }
            while chunk.has_remaining() {
                let piece = chunk.chunk();
                body.bytes.extend_from_slice(piece);
                let taken = piece.len();
                chunk.advance(taken);
            }
        }
    };
    tokio::time::timeout(BODY_TIMEOUT, whole).await.map_err(|_| BodyError::TooSlow)??;
    if gzip { unpack(pipeline, body).await } else { Ok(body) }
}

async fn unpack(pipeline: &Pipeline, packed: Body) -> Result<Body, BodyError> {
    let mut body = Body { bytes: Vec::new(), reserved: Vec::new() };
    let mut unpacker = MultiGzDecoder::new(packed.bytes.as_slice());
    loop {
        body.reserved.push(pipeline.reserve_bytes(2 * STEP_BYTES).await?);
        let step = tokio::task::block_in_place(|| {
            unpacker.by_ref().take(STEP_BYTES as u64).read_to_end(&mut body.bytes)
        });
        if step.map_err(|_| BodyError::NotGzip)? < STEP_BYTES {
            return Ok(body);
        }
        if body.bytes.len() >= MAX_BYTES {
            return Err(BodyError::TooLarge);
        }
    }
}
