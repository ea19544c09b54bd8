//! `PUT /api/{db}/{table}/_stream_load`, by which Doris' audit loader and others ship rows.
//!
//! A load takes two steps, as in Doris: a frontend redirects, a backend loads. Clients insist on the redirect, so annals
//! redirects them to itself, to the same path with a parameter.

pub(in crate::http) mod headers;

use std::time::Instant;

use futures_util::StreamExt;
use percent_encoding::percent_decode_str;
use serde::Serialize;
use warp::Buf;
use warp::http::header::{EXPECT, HOST, HeaderValue, LOCATION};
use warp::http::{HeaderMap, Method, StatusCode};

use crate::formats::rows::{self, Entry, RowError};
use crate::http::answer::{self, Answer};
use crate::http::body::{self, BodyError};
use crate::http::doris::envelope::set_retry_after;
use crate::http::error::{ApiError, ErrorParts};
use crate::http::rejected_rows::RejectedRows;
use crate::http::route::{BodyStream, PushRequest, Route};
use crate::ingest::Pipeline;
use crate::store::Batch;
use headers::Load;

pub(super) const ROUTE: Route = Route::new("/api/{db}/{table}/_stream_load", |to, path| {
    to.push(path, Method::PUT, "PUT", stream_load)
});

/// The parameter that marks the second step.
const MARK: &str = "redirected";
/// The most bytes of a body that a client sends without waiting for the redirect.
const MAX_DRAINED_BYTES: usize = 256 << 20;

/// The answer of Doris to a load.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Loaded {
    txn_id: u64,
    label: String,
    comment: String,
    two_phase_commit: &'static str,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    existing_job_status: Option<&'static str>,
    message: String,
    number_total_rows: u64,
    number_loaded_rows: u64,
    number_filtered_rows: u64,
    number_unselected_rows: u64,
    load_bytes: usize,
    load_time_ms: u128,
    begin_txn_time_ms: u64,
    stream_load_put_time_ms: u64,
    read_data_time_ms: u128,
    write_data_time_ms: u128,
    receive_data_time_ms: u128,
    commit_and_publish_time_ms: u64,
}

/// Answers either step.
async fn stream_load(request: PushRequest) -> Result<Answer, ApiError> {
    let pipeline = request.view.pipeline()?;
    if !request.parameters.contains_key(MARK) {
        return redirect(request).await;
    }
    let PushRequest { headers, path, body, .. } = request;
    let began = Instant::now();
    let mut loaded = Loaded::new();
    let status = match Load::of(&headers) {
        Err(sentence) => loaded.fail(StatusCode::OK, sentence),
        Ok(load) => {
            let db = percent_decode_str(path.get("db")).decode_utf8_lossy();
            let written = loaded.run(pipeline, &db, load, &headers, body).await;
            written.unwrap_or_else(|error| loaded.reject(error))
        }
    };
    loaded.load_time_ms = began.elapsed().as_millis();
    let mut answer = answer::json(status, loaded)?;
    if status == StatusCode::SERVICE_UNAVAILABLE {
        set_retry_after(&mut answer);
    }
    Ok(answer)
}

/// The first step: redirects the client to the second. A client that waits for 100 Continue does not get it, and so sends
/// its body only once. A client that does not wait may hear the answer only after it has sent all.
async fn redirect(request: PushRequest) -> Result<Answer, ApiError> {
    let PushRequest { view, headers, full_path, body: mut chunks, .. } = request;
    if !headers.contains_key(EXPECT) {
        let mut drained = 0;
        while let Ok(Some(Ok(chunk))) =
            tokio::time::timeout(body::CHUNK_TIMEOUT, chunks.next()).await
        {
            drained += chunk.remaining();
            if drained > MAX_DRAINED_BYTES {
                return Err(BodyError::TooLarge.into());
            }
        }
    }
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let start = host.map(|host| format!("{}://{host}", view.scheme)).unwrap_or_default();
    let location = HeaderValue::from_str(&format!("{start}{full_path}?{MARK}=true"))
        .map_err(|error| ApiError::Internal(error.into()))?;
    let mut answer = answer::text(Vec::new());
    *answer.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    answer.headers_mut().insert(LOCATION, location);
    Ok(answer)
}

impl Loaded {
    fn new() -> Loaded {
        Loaded {
            txn_id: fastrand::u64(1..1 << 53),
            label: String::new(),
            comment: String::new(),
            two_phase_commit: "false",
            status: "Success",
            existing_job_status: None,
            message: "OK".to_string(),
            number_total_rows: 0,
            number_loaded_rows: 0,
            number_filtered_rows: 0,
            number_unselected_rows: 0,
            load_bytes: 0,
            load_time_ms: 0,
            begin_txn_time_ms: 0,
            stream_load_put_time_ms: 0,
            read_data_time_ms: 0,
            write_data_time_ms: 0,
            receive_data_time_ms: 0,
            commit_and_publish_time_ms: 0,
        }
    }

    fn fail(&mut self, status: StatusCode, sentence: String) -> StatusCode {
        self.status = "Fail";
        self.message = sentence;
        self.number_loaded_rows = 0;
        status
    }

    /// Fails by an error. Doris answers 200 to a body that cannot be understood.
    fn reject(&mut self, error: ApiError) -> StatusCode {
        let ErrorParts { status, message, .. } = error.into_parts();
        let status = if status == StatusCode::BAD_REQUEST { StatusCode::OK } else { status };
        self.fail(status, message)
    }

    /// The second step: reads the rows and writes them.
    async fn run(
        &mut self,
        pipeline: &Pipeline,
        db: &str,
        load: Load,
        headers: &HeaderMap,
        chunks: BodyStream,
    ) -> Result<StatusCode, ApiError> {
        (self.label, self.comment) = (load.label.clone(), load.comment.clone());
        let receiving = Instant::now();
        let body = body::read(pipeline, headers, load.is_gzip, chunks).await?;
        self.load_bytes = body.bytes.len();
        self.receive_data_time_ms = receiving.elapsed().as_millis();
        self.read_data_time_ms = self.receive_data_time_ms;
        let mut batch = pipeline.batch();
        batch.label(db, &self.label);
        let (total, rejected) = read_rows(&body.bytes, &load, pipeline, &mut batch)?;
        let source = pipeline.source("stream_load");
        source.rejected_rows(rejected.count);
        self.number_total_rows = total;
        self.number_filtered_rows = rejected.count;
        self.number_unselected_rows = batch.excluded();
        let selected = total - self.number_unselected_rows;
        if rejected.count as f64 > load.max_filter_ratio * selected as f64 {
            let sentence = format!("too many filtered rows: {}", rejected.sentence());
            return Ok(self.fail(StatusCode::OK, sentence));
        }
        if rejected.count > 0 {
            self.message = format!("OK, except {} rows: {}", rejected.count, rejected.sentence());
        }
        let writing = Instant::now();
        let written = pipeline.push(&source, batch).await;
        self.write_data_time_ms = writing.elapsed().as_millis();
        if written?.label_exists {
            self.status = "Label Already Exists";
            self.existing_job_status = Some("FINISHED");
            self.message = format!("label {} was loaded before", self.label);
            self.number_total_rows = 0;
            self.number_filtered_rows = 0;
            self.number_unselected_rows = 0;
        } else {
            self.number_loaded_rows = selected - rejected.count;
        }
        Ok(StatusCode::OK)
    }
}

/// Adds the rows of a body to a batch. Returns the number of all rows, and the rejected ones. Errors if the body as a whole
/// cannot be read.
fn read_rows(
    body: &[u8],
    load: &Load,
    pipeline: &Pipeline,
    batch: &mut Batch,
) -> Result<(u64, RejectedRows), ApiError> {
    let zone = load.zone.unwrap_or(pipeline.zone());
    let mut rejected = RejectedRows::default();
    let mut total = 0;
    let read = tokio::task::block_in_place(|| {
        rows::read(body, &load.format, zone, &mut |number, row| {
            total += 1;
            let row = row.and_then(|row| match &row {
                Entry::Record(record) if load.is_strict => match rows::wrongly_typed_column(record)
                {
                    Some(column) => Err(RowError::WrongType(column.to_string())),
                    None => Ok(row),
                },
                _ => Ok(row),
            });
            match row {
                Ok(row) => batch.row(row),
                Err(error) => rejected.add(number, &error),
            }
        })
    });
    read.map_err(|error| ApiError::BadRequest(error.to_string()))?;
    Ok((total, rejected))
}
