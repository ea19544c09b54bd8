//! `PUT /api/{db}/{table}/_stream_load`, by which Doris' audit loader and others ship rows.
//!
//! It takes two steps, as with Doris: a frontend redirects, a backend loads. Clients insist on the
//! redirect, so annals sends them to itself, to the same path with a mark.

use std::time::Instant;

use futures_util::{Stream, StreamExt};
use serde::Serialize;
use warp::Buf;
use warp::http::header::{EXPECT, HOST, HeaderValue, LOCATION};
use warp::http::{HeaderMap, StatusCode};

use super::body::{self, BodyError};
use super::envelope::{self, Answer, Refusal};
use super::push::Refused;
use super::{Parameters, View};
use crate::intake::{Intake, PushError};
use crate::source::rows::{self, Format, JsonKind};

/// The parameter that marks the second step.
const MARK: &str = "redirected";
/// The longest label, in bytes, as in Doris.
const MAX_LABEL_BYTES: usize = 128;
/// What a client that should have waited for the redirect may send all the same.
const MAX_DRAINED_BYTES: usize = 256 << 20;

/// What Doris answers a load with.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Loaded {
    txn_id: u64,
    label: String,
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
    commit_and_publish_time_ms: u64,
}

/// What a load's headers ask for.
struct Load {
    label: String,
    format: Format,
    gzip: bool,
    max_filter_ratio: f64,
}

/// Answers either step.
pub async fn load(
    view: &View,
    path: &str,
    db: &str,
    parameters: Parameters,
    headers: HeaderMap,
    chunks: impl Stream<Item = Result<impl Buf, warp::Error>>,
) -> Result<Answer, Refusal> {
    let intake = view.intake()?;
    if !parameters.contains_key(MARK) {
        return redirect(view.scheme, path, &headers, chunks).await;
    }
    let mut loaded = Loaded {
        txn_id: fastrand::u64(1..1 << 53),
        label: String::new(),
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
        commit_and_publish_time_ms: 0,
    };
    let began = Instant::now();
    let status = match asked(&headers) {
        Err(sentence) => loaded.fail(StatusCode::OK, sentence),
        Ok(load) => loaded.run(intake, db, load, &headers, chunks).await,
    };
    loaded.load_time_ms = began.elapsed().as_millis();
    let mut answer = envelope::json(status, loaded)?;
    if status == StatusCode::SERVICE_UNAVAILABLE {
        envelope::retry_later(&mut answer);
    }
    Ok(answer)
}

/// The first step: sends the client to the second. A client that waits to be told to go on is not, so that
/// it sends its body only once; one that does not wait may only hear the answer once it has sent all.
async fn redirect(
    scheme: &str,
    path: &str,
    headers: &HeaderMap,
    chunks: impl Stream<Item = Result<impl Buf, warp::Error>>,
) -> Result<Answer, Refusal> {
    if !headers.contains_key(EXPECT) {
        let mut drained = 0;
        let mut chunks = std::pin::pin!(chunks);
        while let Ok(Some(Ok(chunk))) = tokio::time::timeout(body::SILENCE, chunks.next()).await {
            drained += chunk.remaining();
            if drained > MAX_DRAINED_BYTES {
                return Err(BodyError::TooLarge.into());
            }
        }
    }
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let place = host.map(|host| format!("{scheme}://{host}")).unwrap_or_default();
    let location = HeaderValue::from_str(&format!("{place}{path}?{MARK}=true"))
        .map_err(|error| Refusal::Internal(error.into()))?;
    let mut answer = envelope::text(Vec::new());
    *answer.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    answer.headers_mut().insert(LOCATION, location);
    Ok(answer)
}

impl Loaded {
    fn fail(&mut self, status: StatusCode, sentence: String) -> StatusCode {
        self.status = "Fail";
        self.message = sentence;
        self.number_loaded_rows = 0;
        status
    }

    /// The second step.
    async fn run(
        &mut self,
        intake: &Intake,
        db: &str,
        load: Load,
        headers: &HeaderMap,
        chunks: impl Stream<Item = Result<impl Buf, warp::Error>>,
    ) -> StatusCode {
        let Load { label, format, gzip, max_filter_ratio } = load;
        self.label = label;
        let reading = Instant::now();
        let body = match body::read(intake, headers, gzip, chunks).await {
            Ok(body) => body,
            Err(error) => {
                let status = match error {
                    BodyError::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
                    BodyError::TooSlow => StatusCode::REQUEST_TIMEOUT,
                    BodyError::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
                    BodyError::Broken | BodyError::NotGzip => StatusCode::OK,
                };
                return self.fail(status, error.to_string());
            }
        };
        self.load_bytes = body.bytes.len();
        self.read_data_time_ms = reading.elapsed().as_millis();
        let mut parcel = intake.parcel();
        parcel.label(db, &self.label);
        let mut refused = Refused::default();
        let mut total = 0;
        let read = tokio::task::block_in_place(|| {
            rows::read(&body.bytes, &format, intake.zone(), &mut |number, row| {
                total += 1;
                match row {
                    Ok(row) => parcel.row(row),
                    Err(error) => refused.add(number, &error),
                }
            })
        });
        if let Err(error) = read {
            return self.fail(StatusCode::OK, error.to_string());
        }
        let way = intake.way("stream_load");
        way.refused_rows(refused.count);
        self.number_total_rows = total;
        self.number_filtered_rows = refused.count;
        self.number_unselected_rows = parcel.left_out();
        let selected = total - self.number_unselected_rows;
        if refused.count as f64 > max_filter_ratio * selected as f64 {
            let sentence = format!("too many filtered rows: {}", refused.sentence());
            return self.fail(StatusCode::OK, sentence);
        }
        if refused.count > 0 {
            self.message = format!("OK, but for {} rows: {}", refused.count, refused.sentence());
        }
        let writing = Instant::now();
        let written = intake.push(&way, parcel).await;
        self.write_data_time_ms = writing.elapsed().as_millis();
        match written {
            Ok(written) if written.label_exists => {
                self.status = "Label Already Exists";
                self.existing_job_status = Some("FINISHED");
                self.message = format!("label {} was loaded before", self.label);
                self.number_total_rows = 0;
                self.number_filtered_rows = 0;
                self.number_unselected_rows = 0;
                StatusCode::OK
            }
            Ok(_) => {
                self.number_loaded_rows = selected - refused.count;
                StatusCode::OK
            }
            Err(error) => {
                let sentence = match error {
                    PushError::Busy => error.to_string(),
                    PushError::Write(error) => envelope::not_written(&error),
                };
                self.fail(StatusCode::SERVICE_UNAVAILABLE, sentence)
            }
        }
    }
}

/// Reads the headers that shape a load. What Doris does and annals does not is refused, not passed over.
fn asked(headers: &HeaderMap) -> Result<Load, String> {
    let given = |name: &str| match headers.get(name).map(|value| value.to_str()) {
        None => Ok(None),
        Some(Ok("")) => Ok(None),
        Some(Ok(text)) => Ok(Some(text)),
        Some(Err(_)) => Err(format!("the header {name} must be ASCII")),
    };
    let truth = |name: &str| match given(name)?.map(str::to_ascii_lowercase).as_deref() {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(format!("the header {name} must be true or false")),
    };
    let label = match given("label")? {
        None => format!("annals-{:016x}", fastrand::u64(..)),
        Some(label) if label.len() > MAX_LABEL_BYTES => {
            return Err(format!("the label is longer than {MAX_LABEL_BYTES} bytes"));
        }
        Some(label) if label.bytes().all(|byte| byte.is_ascii_graphic()) => label.to_string(),
        Some(_) => return Err("the label must not hold white space".to_string()),
    };
    if given("merge_type")?.is_some_and(|kind| !kind.eq_ignore_ascii_case("APPEND")) {
        return Err("annals only appends; leave out merge_type".to_string());
    }
    for name in ["where", "delete", "function_column.sequence_col", "sequence_type", "enclose"] {
        if given(name)?.is_some() {
            return Err(format!("annals does not know the header {name} of a stream load"));
        }
    }
    if truth("two_phase_commit")? {
        return Err("annals commits a load in one step; leave out two_phase_commit".to_string());
    }
    let max_filter_ratio = match given("max_filter_ratio")?.map(str::parse) {
        None => 0.0,
        Some(Ok(ratio)) if (0.0..=1.0).contains(&ratio) => ratio,
        Some(_) => return Err("max_filter_ratio must be a number from 0 to 1".to_string()),
    };
    let gzip = match given("compress_type")?.map(str::to_ascii_lowercase).as_deref() {
        None => false,
        Some("gz" | "gzip") => true,
        Some(_) => return Err("compress_type must be gz or absent".to_string()),
    };
    let format = match given("format")?.map(str::to_ascii_lowercase).as_deref() {
        None | Some("csv") => csv_format(given("columns")?, |name| given(name))?,
        Some("json") if truth("read_json_by_line")? => Format::json(JsonKind::Lines),
        Some("json") if truth("strip_outer_array")? => Format::json(JsonKind::Array),
        Some("json") => Format::json(JsonKind::Object),
        Some(_) => return Err("format must be csv or json".to_string()),
    };
    Ok(Load { label, format, gzip, max_filter_ratio })
}

fn csv_format<'a>(
    columns: Option<&str>,
    given: impl Fn(&str) -> Result<Option<&'a str>, String>,
) -> Result<Format, String> {
    let columns = columns.ok_or("name the columns of the CSV in the header columns")?;
    let columns = rows::columns(columns).ok_or(
        "the header columns must hold names between commas; annals does not know expressions",
    )?;
    let separator = |name: &str, default: &str| {
        rows::separator(given(name)?.unwrap_or(default))
            .ok_or(format!("the header {name} must be a text, in which \\x01 stands for a byte"))
    };
    Ok(Format::Csv {
        columns,
        separator: separator("column_separator", "\\t")?,
        delimiter: separator("line_delimiter", "\\n")?,
        skip_lines: 0,
        trim_double_quotes: false,
    })
}
