//! The headers of a stream load: what Doris and StarRocks know, and what annals does with it.

use warp::http::HeaderMap;
use warp::http::header::CONTENT_ENCODING;

use crate::domain::time::Zone;
use crate::formats::rows::{self, Format, JsonKind};
use crate::http::raw_head;

/// The longest label, in bytes, as in Doris.
const MAX_LABEL_BYTES: usize = 128;

/// Headers that would change what is loaded in a way that annals does not support.
const REJECTED: [&str; 14] = [
    "where", "delete", "function_column.sequence_col", "function_column.sequence_type",
    "sequence_col", "sequence_type", "enclose", "escape", "partitions", "temporary_partitions",
    "hidden_columns", "merge_condition", "partial_update_mode", "partial_update_new_key_behavior",
];
/// The same for headers that are off by default.
const REJECTED_IF_TRUE: [&str; 7] = [
    "negative", "num_as_string", "two_phase_commit", "partial_columns", "partial_update",
    "empty_field_as_null", "trim_space",
];
/// The same for headers that have a name for the default.
const REJECTED_UNLESS: [(&str, &str); 3] =
    [("merge_type", "APPEND"), ("group_commit", "off_mode"), ("unique_key_update_mode", "UPSERT")];

/// A load as its headers describe it.
pub(in crate::http) struct Load {
    pub label: String,
    pub comment: String,
    pub format: Format,
    pub is_gzip: bool,
    pub max_filter_ratio: f64,
    /// The zone of times that name none; `None` is the zone of annals.
    pub zone: Option<Zone>,
    /// Whether a value that its column cannot hold rejects its row. Otherwise the value is kept beside the columns.
    pub is_strict: bool,
}

impl Load {
    /// Reads the headers of a load. Errors with a sentence at a header that Doris honours and annals does not. Headers
    /// that only say how a cluster runs the load are passed over: `timeout`, `fuzzy_parse`, `exec_mem_limit`,
    /// `load_to_single_tablet`, `send_batch_parallelism`, `token`, `compute_group` and the like.
    pub(in crate::http) fn of(headers: &HeaderMap) -> Result<Load, String> {
        let headers = Headers(headers);
        let label = label(&headers)?;
        check_supported(&headers)?;
        let max_filter_ratio = match headers.given("max_filter_ratio")?.map(str::parse) {
            None => 0.0,
            Some(Ok(ratio)) if (0.0..=1.0).contains(&ratio) => ratio,
            Some(_) => return Err("max_filter_ratio must be a number from 0 to 1".to_string()),
        };
        // The first is Doris' name, the others are StarRocks'.
        let packed = headers.any(&["compress_type", "compression", CONTENT_ENCODING.as_str()])?;
        let is_gzip = match packed.map(str::to_ascii_lowercase).as_deref() {
            None | Some("identity") => false,
            Some("gz" | "gzip") => true,
            Some(_) => return Err("compress_type must be gz or absent".to_string()),
        };
        let zone = headers.any(&["timezone", "time_zone"])?.map(zone_of).transpose()?;
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
            is_gzip,
            max_filter_ratio,
            zone,
            is_strict: headers.truth("strict_mode")?,
        })
    }
}

fn label(headers: &Headers<'_>) -> Result<String, String> {
    match headers.given("label")? {
        None => Ok(format!("annals-{:016x}", fastrand::u64(..))),
        Some(label) if label.len() > MAX_LABEL_BYTES => {
            Err(format!("the label is longer than {MAX_LABEL_BYTES} bytes"))
        }
        Some(label) if label.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(label.to_string()),
        Some(_) => Err("the label must not hold white space".to_string()),
    }
}

/// Errors at a header that would change what is loaded.
fn check_supported(headers: &Headers<'_>) -> Result<(), String> {
    for (name, default) in REJECTED_UNLESS {
        if headers.given(name)?.is_some_and(|value| !value.eq_ignore_ascii_case(default)) {
            return Err(format!(
                "annals only appends whole rows and commits them in one step: the header {name} of a \
                 stream load must be {default} or absent"
            ));
        }
    }
    let rejected = |name: &str| {
        Err(format!("annals does not support the header {name} of a stream load; leave it out"))
    };
    for name in REJECTED {
        if headers.given(name)?.is_some() {
            return rejected(name);
        }
    }
    for name in REJECTED_IF_TRUE {
        if headers.truth(name)? {
            return rejected(name);
        }
    }
    Ok(())
}

/// The headers of a load.
struct Headers<'h>(&'h HeaderMap);

impl<'h> Headers<'h> {
    /// Returns the value of a header; `None` if it is missing or empty.
    fn given(&self, name: &str) -> Result<Option<&'h str>, String> {
        match self.0.get(name).map(|value| value.to_str().map(str::trim)) {
            None | Some(Ok("")) => Ok(None),
            Some(Ok(text)) => Ok(Some(text)),
            Some(Err(_)) => Err(format!("the header {name} must be ASCII")),
        }
    }

    /// Returns the first of several headers of the same meaning.
    fn any(&self, names: &[&str]) -> Result<Option<&'h str>, String> {
        let mut values = names.iter().map(|name| self.given(name));
        values.find_map(Result::transpose).transpose()
    }

    /// Returns a truth value, `false` if the header is missing.
    fn truth(&self, name: &str) -> Result<bool, String> {
        match self.given(name)?.map(str::to_ascii_lowercase).as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(format!("the header {name} must be true or false")),
        }
    }

    /// Returns a separator by one of its names. A client may send it as it is, white space and control bytes included.
    fn separator(&self, names: &[&str], default: &str) -> Result<String, String> {
        let sent = names.iter().find_map(|name| Some((*name, self.0.get(*name)?)));
        let Some((name, value)) = sent.filter(|(_, value)| !value.is_empty()) else {
            return Ok(default.to_string());
        };
        let text = raw_head::value(value).and_then(|text| rows::separator(&text));
        text.ok_or(format!("the header {name} must be a text, in which \\x01 stands for a byte"))
    }
}

/// Reads a zone as Doris writes it: a name, or whole hours east of UTC like `+08:00`.
fn zone_of(text: &str) -> Result<Zone, String> {
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
