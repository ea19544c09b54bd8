//! `PUT /api/{db}/{table}/_stream_load`, by which Doris' audit loader and others ship rows.
//!
//! A load takes two steps, as in Doris: a frontend redirects, a backend loads. Clients insist on the redirect, so annals
//! redirects them to itself, to the same path with a parameter.

pub(in crate::http) mod headers;

use std::time::Instant;

use percent_encoding::percent_decode_str;
use serde::Serialize;
use warp::http::header::{EXPECT, HOST, HeaderValue, LOCATION};
use warp::http::{HeaderMap, Method, StatusCode};

use crate::domain::time::Zone;
use crate::http::answer::{self, Answer};
use crate::http::body::{self, Arrival, BodyError};
use crate::http::doris::envelope::set_retry_after;
use crate::http::error::{ApiError, ErrorParts};
use crate::http::pushed_rows::PushedRows;
use crate::http::route::{BodyStream, PushRequest, Route, RouteKind};
use crate::http::view::View;
use crate::ingest::LOAD_BYTES;
use headers::Load;

pub(super) const ROUTE: Route = Route::new("/api/{db}/{table}/_stream_load", |to, path| {
    to.push(path, Method::PUT, "PUT", stream_load)
})
.kind(RouteKind::Push);

/// The parameter that marks the second step.
const MARK: &str = "redirected";
/// The most bytes of a body that a client sends without waiting for the redirect.
const MAX_DRAINED_BYTES: usize = 256 << 20;

/// The longest name of a database, in characters. Doris' names have at most 64, or 256 in StarRocks. The name is a part of
/// the key of a label.
const MAX_DB_CHARS: usize = 256;
/// The name of the source.
const SOURCE: &str = "stream_load";

/// A load whose body is larger waits for the memory of its rows as a whole. The rows of a smaller one mostly take a few MB.
const LARGE_LOAD_BYTES: usize = 1 << 20;

/// The second step of a load, without what its headers say.
struct Loading {
    client: String,
    view: View,
    headers: HeaderMap,
    body: BodyStream,
}

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
    request.view.pipeline()?;
    if !request.parameters.contains_key(MARK) {
        return redirect(request).await;
    }
    let PushRequest { client, view, headers, path, body, .. } = request;
    let began = Instant::now();
    let mut loaded = Loaded::new();
    let status = match Load::of(&headers) {
        Err(sentence) => loaded.fail(StatusCode::OK, sentence),
        Ok(load) => {
            let db = percent_decode_str(path.get("db")).decode_utf8_lossy();
            let request = Loading { client, view, headers, body };
            let written = loaded.run(load, &db, request).await;
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
    let PushRequest { view, headers, full_path, body: chunks, .. } = request;
    if !headers.contains_key(EXPECT) {
        let mut arrival = Arrival::new(chunks);
        let mut drained = 0;
        while let Ok(Some(chunk)) = arrival.next().await {
            drained += chunk.len();
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

    /// The second step: reads the rows and writes them in one transaction.
    async fn run(
        &mut self,
        load: Load,
        db: &str,
        request: Loading,
    ) -> Result<StatusCode, ApiError> {
        let Loading { client, view, headers, body: chunks } = request;
        let pipeline = view.pipeline()?;
        (self.label, self.comment) = (load.label.clone(), load.comment.clone());
        if db.chars().count() > MAX_DB_CHARS {
            let sentence =
                format!("the name of the database is longer than {MAX_DB_CHARS} characters");
            return Ok(self.fail(StatusCode::OK, sentence));
        }
        let receiving = Instant::now();
        let reserved = pipeline.reservation(&client)?;
        let body = body::read(reserved, &headers, load.is_gzip, chunks).await?;
        self.load_bytes = body.bytes.len();
        let body = body.into_text().await?;
        self.receive_data_time_ms = receiving.elapsed().as_millis();
        self.read_data_time_ms = self.receive_data_time_ms;
        let zone = load.zone.unwrap_or(pipeline.zone());
        let batch = view.push_batch(&headers)?;
        let mut batch = batch.of_source(&source_in(zone, pipeline.zone()), zone);
        batch.label(db, &self.label);
        let mut reserved = match body.text.len() {
            0..LARGE_LOAD_BYTES => pipeline.reservation(&client)?,
            _ => pipeline.load_reservation().await?,
        };
        let (total, rejected) = {
            let rows = load.format.rows(&body.text, zone);
            let rows = rows.map_err(|error| ApiError::BadRequest(error.to_string()))?;
            let mut rows = PushedRows::new(rows, load.is_strict);
            if rows.fill(&mut batch, &mut reserved, LOAD_BYTES).await? {
                return Err(ApiError::TooLarge(format!(
                    "a stream load is one transaction, and {} rows of this one take {} MiB of memory; send it in parts",
                    rows.total,
                    LOAD_BYTES >> 20
                )));
            }
            (rows.total, rows.rejected)
        };
        drop(body);
        batch.hold(reserved);
        let source = pipeline.push_source(SOURCE);
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

/// Returns the name under which the history knows the zone of a load. Clients that name zones of their own may take turns, which
/// is no change of a zone.
fn source_in(zone: Zone, default: Zone) -> String {
    if zone == default { SOURCE.to_string() } else { format!("{SOURCE} in {zone}") }
}
