//! Bodies that clients send, taken in within bounds of size, time and memory.

use std::io::Read;
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use futures_util::{Stream, StreamExt};
use tokio::sync::OwnedSemaphorePermit;
use warp::Buf;
use warp::http::HeaderMap;
use warp::http::header::CONTENT_LENGTH;

use crate::http::envelope::ApiError;
use crate::ingest::{Pipeline, PushError};

/// The largest body taken in, in bytes, as sent and unpacked.
const MAX_BYTES: usize = 128 << 20;
/// A body that says nothing of its size is given room in such steps.
const STEP_BYTES: usize = 8 << 20;
/// How long a client may be silent amid its body.
pub(super) const SILENCE: Duration = Duration::from_secs(30);
/// How long a whole body may take.
const WHOLE: Duration = Duration::from_secs(600);

/// A body, and the room it takes until it is dropped.
pub(super) struct Body {
    /// What was sent, unpacked.
    pub bytes: Vec<u8>,
    _room: Vec<OwnedSemaphorePermit>,
}

/// Why a body was not taken in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// It is too large.
    #[error("the body is larger than {} MiB; send it in parts", MAX_BYTES >> 20)]
    TooLarge,
    /// It came too slowly.
    #[error("the body did not come within time")]
    TooSlow,
    /// It broke off.
    #[error("the body broke off")]
    Broken,
    /// It is not what its header says.
    #[error("the body is not gzip, or damaged")]
    NotGzip,
    /// There is no room for it now.
    #[error(transparent)]
    Busy(#[from] PushError),
}

impl From<BodyError> for ApiError {
    fn from(error: BodyError) -> ApiError {
        let sentence = error.to_string();
        match error {
            BodyError::TooLarge => ApiError::TooLarge(sentence),
            BodyError::TooSlow => ApiError::TooSlow(sentence),
            BodyError::Broken | BodyError::NotGzip => ApiError::BadRequest(sentence),
            BodyError::Busy(error) => error.into(),
        }
    }
}

/// Takes in a body, and unpacks it if it is `gzip`. Room for it is taken first: twice the size of what is
/// read, since it is there as bytes and as records at the same time.
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
    let mut body = Body { bytes: Vec::new(), _room: Vec::new() };
    let times = if gzip { 1 } else { 2 };
    let mut room_bytes = length.unwrap_or(0);
    body._room.push(pipeline.reserve_bytes(times * room_bytes).await?);
    let whole = async {
        let mut chunks = std::pin::pin!(chunks);
        loop {
            let next = tokio::time::timeout(SILENCE, chunks.next()).await;
            let Some(chunk) = next.map_err(|_| BodyError::TooSlow)? else {
                return Ok(());
            };
            let mut chunk = chunk.map_err(|_| BodyError::Broken)?;
            if body.bytes.len() + chunk.remaining() > MAX_BYTES {
                return Err(BodyError::TooLarge);
            }
            while body.bytes.len() + chunk.remaining() > room_bytes {
                body._room.push(pipeline.reserve_bytes(times * STEP_BYTES).await?);
                room_bytes += STEP_BYTES;
            }
            while chunk.has_remaining() {
                let piece = chunk.chunk();
                body.bytes.extend_from_slice(piece);
                let taken = piece.len();
                chunk.advance(taken);
            }
        }
    };
    tokio::time::timeout(WHOLE, whole).await.map_err(|_| BodyError::TooSlow)??;
    if gzip { unpack(pipeline, body).await } else { Ok(body) }
}

async fn unpack(pipeline: &Pipeline, packed: Body) -> Result<Body, BodyError> {
    let mut body = Body { bytes: Vec::new(), _room: Vec::new() };
    let mut unpacker = MultiGzDecoder::new(packed.bytes.as_slice());
    loop {
        body._room.push(pipeline.reserve_bytes(2 * STEP_BYTES).await?);
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
