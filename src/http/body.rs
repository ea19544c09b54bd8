//! The bodies of requests, read within limits of size, time and memory.

use std::io::Read;
use std::time::{Duration, Instant};

use flate2::read::MultiGzDecoder;
use futures_util::StreamExt;
use warp::http::HeaderMap;
use warp::http::header::CONTENT_LENGTH;
use warp::hyper::body::Bytes;

use crate::http::error::ApiError;
use crate::http::route::BodyStream;
use crate::ingest::{PushError, Reservation};

/// The largest body, both as sent and as unpacked.
const MAX_BYTES: usize = 128 << 20;
/// Memory is reserved in steps of this for a body that arrives: what a client holds that sends nothing more. All
/// connections together hold less than half of the budget so.
const ARRIVAL_STEP_BYTES: usize = 64 << 10;
/// How much is unpacked before memory is reserved for more.
const UNPACK_STEP_BYTES: usize = 1 << 20;
/// How long annals waits for [`PACE_BYTES`] of a body, and so the longest pause.
const PACE_TIME: Duration = Duration::from_secs(30);
/// What must arrive of a body in each [`PACE_TIME`], unless the body ends: some 9 kbit/s, which the slowest mobile link
/// reaches. A client that holds a connection with single bytes does not.
const PACE_BYTES: usize = 32 << 10;
/// The longest time for a whole body.
const BODY_TIMEOUT: Duration = Duration::from_secs(600);

/// A body, unpacked.
pub(super) struct Body {
    pub bytes: Vec<u8>,
    /// The part of the memory budget that the body holds until it is dropped.
    pub reserved: Reservation,
}

/// A body as text.
pub(super) struct TextBody {
    pub text: String,
    /// The part of the memory budget that the text holds until it is dropped.
    _reserved: Reservation,
}

/// Why a body was not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the body is larger than {} MiB; send it in parts", MAX_BYTES >> 20)]
    TooLarge,
    #[error(
        "the body took too long to arrive: annals waits {} s for each {} KiB and {} s for all",
        PACE_TIME.as_secs(), PACE_BYTES >> 10, BODY_TIMEOUT.as_secs()
    )]
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

/// The chunks of a body, which must arrive at a pace.
pub(super) struct Arrival {
    chunks: BodyStream,
    began: Instant,
    /// What is left of the time for the next [`PACE_BYTES`]. Only waiting for the client counts.
    left: Duration,
    /// Bytes that arrived in that time.
    bytes: usize,
}

impl Arrival {
    pub(super) fn new(chunks: BodyStream) -> Arrival {
        Arrival { chunks, began: Instant::now(), left: PACE_TIME, bytes: 0 }
    }

    /// Returns the next chunk, or `None` at the end. Errors if the client is too slow or breaks off.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        let whole = BODY_TIMEOUT.saturating_sub(self.began.elapsed());
        let waiting = Instant::now();
        let next = tokio::time::timeout(self.left.min(whole), self.chunks.next()).await;
        self.left = self.left.saturating_sub(waiting.elapsed());
        let chunk = match next {
            Ok(None) => return Ok(None),
            Ok(Some(Ok(chunk))) => chunk,
            Ok(Some(Err(_))) => return Err(BodyError::Broken),
            Err(_) => return Err(BodyError::TooSlow),
        };
        self.bytes += chunk.len();
        if self.bytes >= PACE_BYTES {
            (self.left, self.bytes) = (PACE_TIME, 0);
        }
        Ok(Some(chunk))
    }
}

/// Returns a body, unpacked if it is `gzip`. Memory is reserved as the body arrives. Errors if a limit is exceeded, if the
/// client breaks off, or if the body is not gzip.
pub(super) async fn read(
    reserved: Reservation,
    headers: &HeaderMap,
    gzip: bool,
    chunks: BodyStream,
) -> Result<Body, BodyError> {
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: usize| length > MAX_BYTES) {
        return Err(BodyError::TooLarge);
    }
    let mut body = Body { bytes: Vec::new(), reserved };
    let mut arrival = Arrival::new(chunks);
    while let Some(chunk) = arrival.next().await? {
        let bytes = body.bytes.len() + chunk.len();
        if bytes > MAX_BYTES {
            return Err(BodyError::TooLarge);
        }
        body.reserved.grow_to(bytes.next_multiple_of(ARRIVAL_STEP_BYTES)).await?;
        body.bytes.extend_from_slice(&chunk);
    }
    if gzip { unpack(body).await } else { Ok(body) }
}

async fn unpack(packed: Body) -> Result<Body, BodyError> {
    let Body { bytes: packed, mut reserved } = packed;
    let mut bytes = Vec::new();
    let mut unpacker = MultiGzDecoder::new(packed.as_slice());
    loop {
        reserved.grow_to(packed.len() + bytes.len() + UNPACK_STEP_BYTES).await?;
        let step = tokio::task::block_in_place(|| {
            unpacker.by_ref().take(UNPACK_STEP_BYTES as u64).read_to_end(&mut bytes)
        });
        if step.map_err(|_| BodyError::NotGzip)? < UNPACK_STEP_BYTES {
            break;
        }
        if bytes.len() >= MAX_BYTES {
            return Err(BodyError::TooLarge);
        }
    }
    drop(packed);
    reserved.shrink_to(bytes.len());
    Ok(Body { bytes, reserved })
}

impl Body {
    /// Returns the body as text. Bytes that are not UTF-8 become U+FFFD. Errors if the text is too large.
    pub(super) async fn into_text(self) -> Result<TextBody, BodyError> {
        let Body { bytes, mut reserved } = self;
        let text = match tokio::task::block_in_place(|| String::from_utf8(bytes)) {
            Ok(text) => text,
            Err(error) => {
                let bytes = error.into_bytes();
                let length = tokio::task::block_in_place(|| replaced_length(&bytes));
                if length > MAX_BYTES {
                    return Err(BodyError::TooLarge);
                }
                reserved.grow_to(bytes.len() + length).await?;
                tokio::task::block_in_place(|| replaced(&bytes, length))
            }
        };
        reserved.shrink_to(text.len());
        Ok(TextBody { text, _reserved: reserved })
    }
}

/// Returns how many bytes a text has once bytes that are not UTF-8 are replaced.
fn replaced_length(bytes: &[u8]) -> usize {
    let length = |chunk: std::str::Utf8Chunk<'_>| match chunk.invalid() {
        [] => chunk.valid().len(),
        _ => chunk.valid().len() + char::REPLACEMENT_CHARACTER.len_utf8(),
    };
    bytes.utf8_chunks().map(length).sum()
}

/// Returns bytes as text of `length` bytes, with U+FFFD in place of bytes that are not UTF-8.
fn replaced(bytes: &[u8], length: usize) -> String {
    let mut text = String::with_capacity(length);
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    text
}
