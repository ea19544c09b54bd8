//! `PUT /api/{db}/{table}/_stream_load`, by which Doris' audit loader and others ship rows.
//!
//! It takes two steps, as with Doris: a frontend redirects, a backend loads. Clients insist on the
//! redirect, so annals sends them to itself, to the same path with a mark.

use std::time::Instant;

use futures_util::{Stream, StreamExt};
use serde::Serialize;
use warp::Buf;
use warp::http::header::{CONTENT_ENCODING, EXPECT, HOST, HeaderValue, LOCATION};
use warp::http::{HeaderMap, StatusCode};

use crate::domain::time::Zone;
use crate::formats::rows::{self, Format, JsonKind, Row, RowError};
use crate::http::body::{self, BodyError};
use crate::http::envelope::{self, Answer, ApiError};
use crate::http::v1::push::RejectedRows;
use crate::http::{Parameters, View, raw_head};
use crate::ingest::{Pipeline, PushError};

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

/// What a load's headers ask for.
struct Load {
    label: String,
    comment: String,
    format: Format,
    gzip: bool,
    max_filter_ratio: f64,
    /// The zone of times without one; `None` for that of annals.
    zone: Option<Zone>,
    /// Whether a value that its column cannot hold keeps its row out. It is kept beside the columns else.
    is_strict: bool,
}

/// Answers either step.
pub(crate) async fn load(
    view: &View,
    path: &str,
    db: &str,
    parameters: Parameters,
    headers: HeaderMap,
    chunks: impl Stream<Item = Result<impl Buf, warp::Error>>,
) -> Result<Answer, ApiError> {
    let pipeline = view.pipeline()?;
    if !parameters.contains_key(MARK) {
        return redirect(view.scheme, path, &headers, chunks).await;
    }
    let mut loaded = Loaded {
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
    };
    let began = Instant::now();
    let status = match asked(&headers) {
        Err(sentence) => loaded.fail(StatusCode::OK, sentence),
        Ok(load) => loaded.run(pipeline, db, load, &headers, chunks).await,
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
) -> Result<Answer, ApiError> {
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
        .map_err(|error| ApiError::Internal(error.into()))?;
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
        pipeline: &Pipeline,
        db: &str,
        load: Load,
        headers: &HeaderMap,
        chunks: impl Stream<Item = Result<impl Buf, warp::Error>>,
    ) -> StatusCode {
        let Load { label, comment, format, gzip, max_filter_ratio, zone, is_strict } = load;
        let zone = zone.unwrap_or(pipeline.zone());
        (self.label, self.comment) = (label, comment);
        let reading = Instant::now();
        let body = match body::read(pipeline, headers, gzip, chunks).await {
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
        self.receive_data_time_ms = reading.elapsed().as_millis();
        self.read_data_time_ms = self.receive_data_time_ms;
        let mut parcel = pipeline.batch();
        parcel.label(db, &self.label);
        let mut rejected = RejectedRows::default();
        let mut total = 0;
        let read = tokio::task::block_in_place(|| {
            rows::read(&body.bytes, &format, zone, &mut |number, row| {
                total += 1;
                let row = row.and_then(|row| match &row {
                    Row::Record(record) if is_strict => match rows::misread(record) {
                        Some(column) => Err(RowError::Misread(column.to_string())),
                        None => Ok(row),
                    },
                    _ => Ok(row),
                });
                match row {
                    Ok(row) => parcel.row(row),
                    Err(error) => rejected.add(number, &error),
                }
            })
        });
        if let Err(error) = read {
            return self.fail(StatusCode::OK, error.to_string());
        }
        let source = pipeline.source("stream_load");
        source.rejected_rows(rejected.count);
        self.number_total_rows = total;
        self.number_filtered_rows = rejected.count;
        self.number_unselected_rows = parcel.excluded();
        let selected = total - self.number_unselected_rows;
        if rejected.count as f64 > max_filter_ratio * selected as f64 {
            let sentence = format!("too many filtered rows: {}", rejected.sentence());
            return self.fail(StatusCode::OK, sentence);
        }
        if rejected.count > 0 {
            self.message = format!("OK, but for {} rows: {}", rejected.count, rejected.sentence());
        }
        let writing = Instant::now();
        let written = pipeline.push(&source, parcel).await;
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
                self.number_loaded_rows = selected - rejected.count;
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

/// Headers of Doris and StarRocks that would change what is loaded in a source that annals does not.
const REFUSED: [&str; 14] = [
    "where", "delete", "function_column.sequence_col", "function_column.sequence_type",
    "sequence_col", "sequence_type", "enclose", "escape", "partitions", "temporary_partitions",
    "hidden_columns", "merge_condition", "partial_update_mode", "partial_update_new_key_behavior",
];
/// The same of those that are off by default.
const REFUSED_IF_TRUE: [&str; 7] = [
    "negative", "num_as_string", "two_phase_commit", "partial_columns", "partial_update",
    "empty_field_as_null", "trim_space",
];
/// The same of those that have a name for what is the default.
const REFUSED_BUT_FOR: [(&str, &str); 3] =
    [("merge_type", "APPEND"), ("group_commit", "off_mode"), ("unique_key_update_mode", "UPSERT")];

/// The headers of a load.
struct Headers<'h>(&'h HeaderMap);

impl<'h> Headers<'h> {
    /// A header's value; `None` where it is missing or empty.
    fn given(&self, name: &str) -> Result<Option<&'h str>, String> {
        match self.0.get(name).map(|value| value.to_str().map(str::trim)) {
            None | Some(Ok("")) => Ok(None),
            Some(Ok(text)) => Ok(Some(text)),
            Some(Err(_)) => Err(format!("the header {name} must be ASCII")),
        }
    }

    /// The first of several headers that say the same.
    fn any(&self, names: &[&str]) -> Result<Option<&'h str>, String> {
        let mut values = names.iter().map(|name| self.given(name));
        values.find_map(Result::transpose).transpose()
    }

    /// A truth value, `false` where it is missing.
    fn truth(&self, name: &str) -> Result<bool, String> {
        match self.given(name)?.map(str::to_ascii_lowercase).as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(format!("the header {name} must be true or false")),
        }
    }

    /// A separator by one of its names. It may be sent as it is, white space and control bytes included.
    fn separator(&self, names: &[&str], default: &str) -> Result<String, String> {
        let sent = names.iter().find_map(|name| Some((*name, self.0.get(*name)?)));
        let Some((name, value)) = sent.filter(|(_, value)| !value.is_empty()) else {
            return Ok(default.to_string());
        };
        let text = raw_head::value(value).and_then(|text| rows::separator(&text));
        text.ok_or(format!(
            "the header {name} must be a text, in which \\x01 is_enabled for a byte"
        ))
    }
}

/// Reads the headers that shape a load. What Doris does and annals does not is rejected, not passed over. What only
/// says how a cluster goes about the load is passed over: `timeout`, `fuzzy_parse`, `exec_mem_limit`, `load_to_single_tablet`,
/// `send_batch_parallelism`, `token`, `compute_group` and the like.
fn asked(headers: &HeaderMap) -> Result<Load, String> {
    let headers = Headers(headers);
    let label = match headers.given("label")? {
        None => format!("annals-{:016x}", fastrand::u64(..)),
        Some(label) if label.len() > MAX_LABEL_BYTES => {
            return Err(format!("the label is longer than {MAX_LABEL_BYTES} bytes"));
        }
        Some(label) if label.bytes().all(|byte| byte.is_ascii_graphic()) => label.to_string(),
        Some(_) => return Err("the label must not hold white space".to_string()),
    };
    for (name, default) in REFUSED_BUT_FOR {
        if headers.given(name)?.is_some_and(|value| !value.eq_ignore_ascii_case(default)) {
            return Err(format!(
                "annals only appends whole rows and commits them in one step: the header {name} of a \
                 stream load must be {default} or absent"
            ));
        }
    }
    let rejected = |name: &str| {
        Err(format!("annals does not know the header {name} of a stream load; leave it out"))
    };
    for name in REFUSED {
        if headers.given(name)?.is_some() {
            return rejected(name);
        }
    }
    for name in REFUSED_IF_TRUE {
        if headers.truth(name)? {
            return rejected(name);
        }
    }
    let max_filter_ratio = match headers.given("max_filter_ratio")?.map(str::parse) {
        None => 0.0,
        Some(Ok(ratio)) if (0.0..=1.0).contains(&ratio) => ratio,
        Some(_) => return Err("max_filter_ratio must be a number from 0 to 1".to_string()),
    };
    // Doris names it by the first, StarRocks by the others.
    let packed = headers.any(&["compress_type", "compression", CONTENT_ENCODING.as_str()])?;
    let gzip = match packed.map(str::to_ascii_lowercase).as_deref() {
        None | Some("identity") => false,
        Some("gz" | "gzip") => true,
        Some(_) => return Err("compress_type must be gz or absent".to_string()),
    };
    let zone = headers.any(&["timezone", "time_zone"])?.map(zone).transpose()?;
    let format = match headers.given("format")?.map(str::to_ascii_lowercase).as_deref() {
        None | Some("csv") => csv_format(&headers, 0)?,
        Some("csv_with_names") => csv_format(&headers, 1)?,
        Some("csv_with_names_and_types") => csv_format(&headers, 2)?,
        Some("json") => json_format(&headers)?,
        Some(_) => return Err("format must be csv or json".to_string()),
    };
    Ok(Load {
        label,
        comment: headers.given("comment")?.unwrap_or_default().to_string(),
        format,
        gzip,
        max_filter_ratio,
        zone,
        is_strict: headers.truth("strict_mode")?,
    })
}

/// Reads a zone as Doris takes it: a name, or whole hours east of UTC like `+08:00`.
fn zone(text: &str) -> Result<Zone, String> {
    let hours = text.strip_suffix(":00").and_then(|hours| {
        // The names of zones count hours to the west.
        let (sign, hours) = match (hours.strip_prefix('+'), hours.strip_prefix('-')) {
            (Some(hours), _) => ('-', hours),
            (_, Some(hours)) => ('+', hours),
            _ => return None,
        };
        Some(format!("Etc/GMT{sign}{}", hours.parse::<u8>().ok()?))
    });
    hours.as_deref().unwrap_or(text).parse().map_err(|_| {
        "the header timezone must be a name like Asia/Shanghai, or whole hours like +08:00"
            .to_string()
    })
}

fn csv_format(headers: &Headers<'_>, head_lines: usize) -> Result<Format, String> {
    let columns =
        headers.given("columns")?.ok_or("name the columns of the CSV in the header columns")?;
    let columns = columns_of(columns)?;
    let skipped = headers.any(&["skip_lines", "skip_header"])?.unwrap_or("0");
    let skipped: usize = skipped
        .parse()
        .map_err(|_| "the header skip_lines must be a whole number of lines".to_string())?;
    Ok(Format::Csv {
        columns,
        separator: headers.separator(&["column_separator"], "\t")?,
        delimiter: headers.separator(&["line_delimiter", "row_delimiter"], "\n")?,
        skip_lines: skipped.saturating_add(head_lines),
        trim_double_quotes: headers.truth("trim_double_quotes")?,
    })
}

fn json_format(headers: &Headers<'_>) -> Result<Format, String> {
    let kind = match (headers.truth("read_json_by_line")?, headers.truth("strip_outer_array")?) {
        (true, _) => JsonKind::Lines,
        (false, true) => JsonKind::Array,
        (false, false) => JsonKind::Object,
    };
    let jsonpaths = headers.given("jsonpaths")?.map(|paths| {
        serde_json::from_str::<Vec<String>>(paths).map_err(|_| {
            "the header jsonpaths must be a JSON array of paths like [\"$.id\", \"$.sql\"]"
                .to_string()
        })
    });
    let jsonpaths = jsonpaths.transpose()?;
    // Without paths the keys of an object are the columns, whatever names the header has.
    let columns = match headers.given("columns")? {
        Some(columns) if jsonpaths.is_some() => columns_of(columns)?,
        _ => Vec::new(),
    };
    let json_root = headers.given("json_root")?.map(str::to_string);
    Ok(Format::Json { kind, json_root, jsonpaths, columns })
}

fn columns_of(header: &str) -> Result<Vec<String>, String> {
    let columns = rows::columns(header).ok_or(
        "the header columns must hold names between commas; annals does not know expressions",
    )?;
    Ok(columns)
}
