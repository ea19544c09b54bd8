//! Profiles as people save them: the answers of a frontend's REST interface, the HTML of its page, texts that
//! hold profiles among other things, and what a frontend spills to its disk.

use std::borrow::Cow;
use std::collections::HashSet;
use std::io::Read;

use memchr::memmem;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::SkipReason;
use super::file::MAX_PROFILE_BYTES;
use super::frontend;
use super::record_builder::Key;
use super::rows::{self, Row, RowError};
use crate::domain::profile::Profile;
use crate::domain::time::Zone;
use crate::formats::frontend::html::html_to_text;

/// A piece of an answer.
#[derive(Debug)]
pub(super) enum Piece {
    /// The text of a profile.
    Profile(Vec<u8>),
    /// A row of the audit table, or of a frontend's list of queries.
    Row(Result<Row, RowError>),
    /// What is none of these.
    Skipped(SkipReason),
}

/// Answers within answers: an envelope, its data, an array in it.
const MAX_DEPTH: usize = 4;

/// Hands the pieces of a JSON document to `give`: an answer of a frontend in its envelope or without, a profile
/// as text or HTML, a list of queries, or a row of the audit table.
pub(super) fn pieces<E>(
    value: Value,
    zone: Zone,
    give: &mut dyn FnMut(Piece) -> Result<(), E>,
) -> Result<(), E> {
    pieces_within(value, zone, 0, give)
}

fn pieces_within<E>(
    value: Value,
    zone: Zone,
    depth: usize,
    give: &mut dyn FnMut(Piece) -> Result<(), E>,
) -> Result<(), E> {
    if depth > MAX_DEPTH {
        return give(Piece::Skipped(SkipReason::NotRecognised));
    }
    match value {
        Value::String(text) => {
            let text = match is_html(text.as_bytes()) {
                true => text_of_html(&text),
                false => text,
            };
            let mut found = false;
            for profile in profiles(text.into_bytes()) {
                found = true;
                give(Piece::Profile(profile))?;
            }
            if !found {
                give(Piece::Skipped(SkipReason::NotRecognised))?;
            }
            Ok(())
        }
        Value::Array(values) => {
            for value in values {
                pieces_within(value, zone, depth + 1, give)?;
            }
            Ok(())
        }
        Value::Object(mut object) => {
            if let Some((code, data)) = envelope(&mut object) {
                return match code {
                    0 => pieces_within(data, zone, depth + 1, give),
                    _ => give(Piece::Skipped(SkipReason::ErrorAnswer)),
                };
            }
            let has_profile = object
                .get("profile")
                .and_then(Value::as_str)
                .is_some_and(|text| has_profile(text.as_bytes()) || is_html(text.as_bytes()));
            if has_profile {
                let text = object.remove("profile").unwrap_or_default();
                pieces_within(text, zone, depth + 1, give)?;
                // StarRocks' fe.profile.log has the query's detail around its profile.
                return match is_detail(&object) {
                    true => list(Value::Array(vec![Value::Object(object)]), zone, give),
                    false => Ok(()),
                };
            }
            if object.contains_key("rows") || object.contains_key("query_details") {
                return list(Value::Object(object), zone, give);
            }
            if is_detail(&object) {
                return list(Value::Array(vec![Value::Object(object)]), zone, give);
            }
            if !is_row(&object) {
                return give(Piece::Skipped(SkipReason::NotRecognised));
            }
            give(Piece::Row(rows::row_of_object(&object, zone)))
        }
        _ => give(Piece::Skipped(SkipReason::NotRecognised)),
    }
}

/// Takes the envelope off an answer: returns its code and what was in it. Doris says `data`, StarRocks' newer paths
/// `result`, with a code that is text.
fn envelope(object: &mut Map<String, Value>) -> Option<(i64, Value)> {
    let code = match object.get("code")? {
        Value::String(text) => text.trim().parse().ok()?,
        code => code.as_i64()?,
    };
    let data = object.get_mut("data").map(Value::take);
    let data = data.or_else(|| object.get_mut("result").map(Value::take));
    Some((code, data.unwrap_or_default()))
}

/// Whether an object is the detail of a query, as `/api/query_detail` of Doris until 2024 and of StarRocks answers.
fn is_detail(object: &Map<String, Value>) -> bool {
    ["queryId", "startTime", "sql"].iter().all(|key| object.contains_key(*key))
}

/// The records of a frontend's list.
fn list<E>(list: Value, zone: Zone, give: &mut dyn FnMut(Piece) -> Result<(), E>) -> Result<(), E> {
    let Some((records, not_understood)) = frontend::table::records(&list, zone) else {
        return give(Piece::Skipped(SkipReason::NotRecognised));
    };
    for record in records {
        give(Piece::Row(Ok(Row::Record(Box::new(record)))))?;
    }
    (0..not_understood).try_for_each(|_| give(Piece::Skipped(SkipReason::BadRow)))
}

/// Whether an object has columns of the audit table.
fn is_row(object: &Map<String, Value>) -> bool {
    let known = object.keys().filter(|name| Key::of_column(name) != Key::Unknown).take(2);
    known.count() == 2
}

/// Whether a text holds the beginning of a profile.
pub(super) fn has_profile(text: &[u8]) -> bool {
    Profile::sniff(text) || beginnings(text, 1).next().is_some()
}

/// The profiles in a text, in their order, each from its beginning to where the next begins or the code fence
/// around it ends.
pub(super) fn profiles(text: Vec<u8>) -> impl Iterator<Item = Vec<u8>> {
    let starts: Vec<Beginning> = beginnings(&text, usize::MAX).collect();
    let mut pieces = Vec::new();
    match starts.as_slice() {
        [] if Profile::sniff(&text) => pieces.push(0..text.len()),
        // What stands alone is kept byte for byte.
        [one] if one.fence.is_none() && !one.is_quoted && Profile::sniff(&text) => {
            pieces.push(0..text.len())
        }
        _ => {
            let ends = starts.iter().skip(1).map(|next| next.at).chain([text.len()]);
            for (start, end) in starts.iter().zip(ends) {
                let within = &text[start.at..end];
                let length = match (start.fence, start.is_quoted) {
                    (_, true) => end_of_quote(within),
                    (Some(fence), false) => end_of_fence(within, fence),
                    (None, false) => None,
                };
                pieces.push(start.at..start.at + length.unwrap_or(within.len()));
            }
        }
    }
    let mut text = Some(text);
    let last = pieces.len();
    let is_quoted: Vec<bool> = starts.iter().map(|start| start.is_quoted).collect();
    pieces.into_iter().enumerate().map(move |(number, piece)| {
        if is_quoted.get(number) == Some(&true) {
            let quoted = text.as_deref().and_then(|text| text.get(piece)).unwrap_or_default();
            return without_quote(quoted);
        }
        match text.take_if(|text| number + 1 == last && piece.len() == text.len()) {
            Some(whole) => whole,
            None => text.as_deref().and_then(|text| text.get(piece)).unwrap_or_default().to_vec(),
        }
    })
}

/// Where a profile begins.
#[derive(Debug, Clone, Copy)]
struct Beginning {
    at: usize,
    /// The sign of the code fence right before it.
    fence: Option<u8>,
    /// Whether it stands in a quote, as Markdown and mails have it: `> ` before each line.
    is_quoted: bool,
}

/// The first lines of a profile that tell it from other texts: its root, `Summary:` below it, and one entry.
const FIRST_LINES: usize = 3;

/// How far the first lines of a profile reach at most, in bytes.
const FIRST_BYTES: usize = 4096;

/// The places where profiles begin, as [`Profile::find_start`] knows them.
fn beginnings(text: &[u8], most: usize) -> impl Iterator<Item = Beginning> + '_ {
    let mut at = 0;
    let mut fence = None;
    let mut is_inner = false;
    let lines = text.split_inclusive(|byte| *byte == b'\n').filter_map(move |line| {
        let (start, trimmed) = (at, trimmed(line));
        at += line.len();
        let (is_quoted, trimmed) = match trimmed.strip_prefix(b">") {
            Some(inner) => (true, inner.trim_ascii_start()),
            None => (false, trimmed),
        };
        if trimmed.is_empty() {
            return None;
        }
        let before = std::mem::replace(&mut fence, fence_of(trimmed));
        // The bar that ends a line of a client's table.
        let bare = trimmed.strip_suffix(b"|").unwrap_or(trimmed).trim_ascii_end();
        let is_outer = bare.ends_with(b"Query:") || bare.ends_with(b"Load:");
        let was_inner = std::mem::replace(&mut is_inner, is_outer);
        if !is_outer && (!bare.ends_with(b"Summary:") || was_inner) {
            return None;
        }
        let found =
            Profile::find_start(first_lines(&text[start..])).filter(|at| *at < line.len())?;
        Some(Beginning { at: start + found, fence: before, is_quoted })
    });
    lines.take(most)
}

/// The first lines of a text that are not blank.
fn first_lines(text: &[u8]) -> &[u8] {
    let text = &text[..text.len().min(FIRST_BYTES)];
    let (mut end, mut count) = (0, 0);
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        end += line.len();
        count += usize::from(!line.trim_ascii().is_empty());
        if count == FIRST_LINES {
            break;
        }
    }
    &text[..end]
}

/// A line without white space, byte-order mark and no-break spaces around it.
fn trimmed(line: &[u8]) -> &[u8] {
    let mut line = line.trim_ascii();
    while let Some(rest) = line.strip_prefix(b"\xef\xbb\xbf").or(line.strip_prefix(b"\xc2\xa0")) {
        line = rest.trim_ascii_start();
    }
    line
}

/// The sign of the code fence that a line is.
fn fence_of(line: &[u8]) -> Option<u8> {
    let sign = *line.first().filter(|sign| matches!(**sign, b'`' | b'~'))?;
    line.starts_with(&[sign; 3]).then_some(sign)
}

/// Where the quote ends: its first line that is none, or the fence within it.
fn end_of_quote(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let inner = line.trim_ascii().strip_prefix(b">");
        if inner.is_none_or(|inner| fence_of(inner.trim_ascii_start()).is_some()) {
            return Some(at);
        }
        at += line.len();
    }
    None
}

/// The lines of a quote.
fn without_quote(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let inner = line.trim_ascii_start();
        let inner = inner.strip_prefix(b">").unwrap_or(line);
        plain.extend_from_slice(inner.strip_prefix(b" ").unwrap_or(inner));
    }
    plain
}

/// Where the closing fence begins.
fn end_of_fence(text: &[u8], sign: u8) -> Option<usize> {
    let mut at = 0;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        if fence_of(line.trim_ascii()) == Some(sign) {
            return Some(at);
        }
        at += line.len();
    }
    None
}

/// Whether a text is a profile as HTML: that of a frontend's answer, or a page that a browser saved.
pub(super) fn is_html(head: &[u8]) -> bool {
    const SIGNS: [&[u8]; 7] =
        [b"</br>", b"<br>", b"<br/>", b"<br />", b"&nbsp;", b"<pre", b"</html>"];
    memmem::find(head, b"Summary:").is_some_and(|at| {
        // A statement may hold such signs: those of the page stand around its first lines, or open it.
        let from = at.saturating_sub(1 << 16);
        let around = &head[from..head.len().min(at + 200)];
        let opens = head.trim_ascii_start().starts_with(b"<");
        !Profile::sniff(head)
            && (opens || SIGNS.iter().any(|sign| memmem::find(around, sign).is_some()))
    })
}

/// The text of HTML: of a frontend's answer, which escapes nothing, or of a whole page.
pub(super) fn text_of_html(html: &str) -> String {
    let is_page = ["<html", "<HTML", "<!DOCTYPE", "<!doctype", "<body", "<pre", "<div", "<table"]
        .iter()
        .any(|tag| memmem::find(html.as_bytes(), tag.as_bytes()).is_some());
    let html = match is_page {
        true => Cow::Owned(without_tags(html)),
        false => Cow::Borrowed(html),
    };
    html_to_text(&html)
}

/// A page without its tags and scripts. Tags that begin a line give a line end.
fn without_tags(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(open) = rest.find('<') {
        text.push_str(&rest[..open]);
        let tag = &rest[open..];
        let Some(close) = tag.find('>') else {
            rest = tag;
            break;
        };
        let name = tag[1..close].trim_start_matches('/');
        let end = name.find(|sign: char| !sign.is_ascii_alphanumeric()).unwrap_or(name.len());
        let name = name[..end].to_ascii_lowercase();
        match name.as_str() {
            "br" | "p" | "div" | "pre" | "tr" | "li" | "h1" | "h2" | "h3" | "h4" | "table" => {
                text.push('\n');
            }
            _ => {}
        }
        rest = &tag[close + 1..];
        if matches!(name.as_str(), "script" | "style") && !tag.starts_with("</") {
            let end = format!("</{name}");
            rest = rest.find(&end).map_or("", |end| &rest[end..]);
        }
    }
    text.push_str(rest);
    text
}

/// Whether an input is what a frontend spills of a profile to its disk.
///
/// From Doris' `Profile.writeToStorage` and `SummaryProfile.write`, 3.0 and later: the length of a JSON text as
/// four bytes, the text, the length of the profile's rest, and that. Since 3.0.5 this is the one entry of
/// `log/profile/TIME_ID.zip`; before, the file was `TIME_ID` and the rest was compressed with zlib.
pub(super) fn is_spilled(head: &[u8]) -> bool {
    head.get(4..6) == Some(b"{\"")
        && part(head).is_none_or(|(json, _)| !json.is_empty())
        && memmem::find(head, b"\"summaryProfile\"").is_some()
}

/// A part behind its length, and what is behind it; `None` where it is not all there.
fn part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_be_bytes(*length) as usize)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SpilledSummary {
    summary_profile: SpilledSection,
    execution_summary_profile: Option<SpilledSection>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SpilledSection {
    #[serde(default)]
    info_strings: Map<String, Value>,
    #[serde(default)]
    info_strings_display_order: Vec<String>,
}

impl SpilledSection {
    /// Writes the section as a frontend prints it: first what has an order, then the rest.
    fn print(&self, name: &str, into: &mut String) {
        into.push_str(name);
        into.push_str(":\n");
        let ordered = self.info_strings_display_order.iter();
        let ordered = ordered.filter_map(|key| self.info_strings.get_key_value(key));
        let known: HashSet<&String> = self.info_strings_display_order.iter().collect();
        let others = self.info_strings.iter().filter(|(key, _)| !known.contains(key));
        for (key, value) in ordered.chain(others) {
            let value = match value {
                Value::String(text) => Cow::Borrowed(text.as_str()),
                other => Cow::Owned(other.to_string()),
            };
            *into += &format!("   - {key}: {value}\n");
        }
    }
}

/// The text of a spilled profile, as the frontend shows it.
pub(super) fn spilled_text(bytes: &[u8]) -> Result<Vec<u8>, SkipReason> {
    let (json, behind) = part(bytes).ok_or(SkipReason::Damaged)?;
    let (rest, _) = part(behind).ok_or(SkipReason::Damaged)?;
    let summary: SpilledSummary = serde_json::from_slice(json).map_err(|_| SkipReason::Damaged)?;
    let mut text = String::new();
    summary.summary_profile.print("Summary", &mut text);
    if let Some(section) = &summary.execution_summary_profile {
        section.print("Execution Summary", &mut text);
    }
    let mut text = text.into_bytes();
    let is_packed = rest.starts_with(b"\x78") && std::str::from_utf8(rest).is_err();
    if is_packed {
        let most = MAX_PROFILE_BYTES as u64 + 1;
        let read = flate2::read::ZlibDecoder::new(rest).take(most).read_to_end(&mut text);
        read.map_err(|_| SkipReason::Damaged)?;
    } else {
        text.extend_from_slice(rest);
    }
    match text.len() > MAX_PROFILE_BYTES {
        true => Err(SkipReason::ProfileTooLarge),
        false => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn profile(id: &str) -> String {
        format!(
            "Summary:\n   - Profile ID: {id}\n   - Task Type: QUERY\n   - Start Time: 2026-03-01 10:00:00\n   \
             - End Time: 2026-03-01 10:00:01\n   - Total: 950ms\n   - Task State: EOF\n   - User: mira\n   \
             - Default Catalog: internal\n   - Default Db: shop\n   - Sql Statement: select 1\n"
        )
    }

    fn texts(text: &str) -> Vec<String> {
        profiles(text.as_bytes().to_vec()).map(|text| String::from_utf8(text).unwrap()).collect()
    }

    #[test]
    fn every_profile_of_a_text_is_found() {
        let (one, two) = (profile("1-2"), profile("3-4"));
        assert_eq!(texts(&one), std::slice::from_ref(&one));
        assert_eq!(texts(&format!("\u{feff}{one}")), [format!("\u{feff}{one}")]);
        let headed = format!("# Slow\n\nas seen today\n\n{one}");
        assert_eq!(texts(&headed), std::slice::from_ref(&one));
        let fenced = format!("# Slow\n```text\n{one}```\nand\n~~~\n\n{two}~~~\nthat is all\n");
        assert_eq!(texts(&fenced), [one.clone(), two.clone()]);
        assert_eq!(texts(&format!("{one}\n{two}")), [format!("{one}\n"), two.clone()]);
        let old = format!("Query:\n  {}", one.replace('\n', "\n  "));
        assert_eq!(texts(&format!("Query Profile\n\n{old}")), [old]);
        assert!(texts("Summary:\n a lot was done\n").is_empty());
        let quoted = format!("He wrote:\n> {}\nNo.\n", one.trim_end().replace('\n', "\n> "));
        assert_eq!(texts(&quoted), std::slice::from_ref(&one));
        // Whose frame is left to who reads the profile.
        let table = format!("| {} |\n", one.trim_end().replace('\n', "\n| "));
        assert_eq!(texts(&table), std::slice::from_ref(&table));
        assert!(texts("Meeting\n\nSummary:\n a lot was done\n").is_empty());
    }

    #[test]
    fn html_of_pages_and_of_answers() {
        let text = profile("1-2").replace("select 1", "select 1 where a < 2 and b <> '</x>'");
        let doris = text.replace('\n', "</br>").replace(' ', "&nbsp;&nbsp;");
        assert!(is_html(doris.as_bytes()));
        assert_eq!(text_of_html(&doris), text);
        let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let page = format!(
            "<!DOCTYPE html><html><head><style>a > b {{}}</style><script>if (a < b) {{}}</script></head>\
             <body><h1>Query</h1><pre>{escaped}</pre></body></html>"
        );
        assert!(is_html(page.as_bytes()));
        let texts = texts(&text_of_html(&page));
        assert_eq!(texts[0].trim_end(), text.trim_end());
    }

    #[test]
    fn a_spilled_profile_is_put_together() {
        let json = r#"{"summaryProfile":{"infoStrings":{"Total":"1ms","Profile ID":"1-2","New":"x"},
            "infoStringsDisplayOrder":["Profile ID","Total"]},"executionSummaryProfile":{
            "infoStrings":{"Is Cached":"No"},"infoStringsDisplayOrder":["Is Cached"]}}"#;
        let spilled = |rest: &[u8]| {
            let mut bytes = (json.len() as u32).to_be_bytes().to_vec();
            bytes.extend_from_slice(json.as_bytes());
            bytes.extend_from_slice(&(rest.len() as u32).to_be_bytes());
            bytes.extend_from_slice(rest);
            bytes
        };
        let rest = "\nMergedProfile \n     Fragments:\n";
        let expected = format!(
            "Summary:\n   - Profile ID: 1-2\n   - Total: 1ms\n   - New: x\n\
             Execution Summary:\n   - Is Cached: No\n{rest}"
        );
        let plain = spilled(rest.as_bytes());
        let mut packed = Vec::new();
        flate2::read::ZlibEncoder::new(rest.as_bytes(), flate2::Compression::fast())
            .read_to_end(&mut packed)
            .unwrap();
        for bytes in [&plain, &spilled(&packed)] {
            assert!(is_spilled(bytes));
            assert_eq!(spilled_text(bytes), Ok(expected.clone().into_bytes()));
        }
        for end in 0..plain.len() {
            assert_eq!(spilled_text(&plain[..end]), Err(SkipReason::Damaged), "{end}");
        }
    }

    #[test]
    fn answers_of_a_frontend() {
        let text = profile("1-2");
        let pieces_of = |value: Value| {
            let mut found = Vec::new();
            let given = pieces(value, Zone::UTC, &mut |piece| {
                found.push(piece);
                Ok::<(), ()>(())
            });
            given.unwrap();
            found
        };
        let html = text.replace('\n', "</br>").replace(' ', "&nbsp;&nbsp;");
        for value in [
            serde_json::json!({"msg": "success", "code": 0, "data": {"profile": text}, "count": 0}),
            serde_json::json!({"msg": "success", "code": 0, "data": html, "count": 0}),
            serde_json::json!({"profile": text}),
            serde_json::json!([{"profile": text}]),
            serde_json::json!({"status": "OK", "code": "0", "result": {"profile": text}}),
            Value::String(text.clone()),
        ] {
            let found = pieces_of(value.clone());
            assert!(
                matches!(found.as_slice(), [Piece::Profile(found)] if *found == text.as_bytes()),
                "{value}: {found:?}"
            );
        }
        for (value, reason) in [
            (serde_json::json!({"msg": "Error", "code": 1, "data": "x"}), SkipReason::ErrorAnswer),
            (serde_json::json!({"a": 1}), SkipReason::NotRecognised),
            (serde_json::json!(7), SkipReason::NotRecognised),
            (serde_json::json!([[[[[[[]]]]]]]), SkipReason::NotRecognised),
        ] {
            let found = pieces_of(value.clone());
            assert!(
                matches!(found.as_slice(), [Piece::Skipped(found)] if *found == reason),
                "{value}: {found:?}"
            );
        }
        let list = serde_json::json!({"code": 0, "data": {
            "column_names": ["Profile ID", "Task Type", "Start Time", "Total"],
            "rows": [{"Profile ID": "1-2", "Start Time": "2026-03-01 10:00:00", "Total": "5ms"}]}});
        let found = pieces_of(list);
        assert!(
            matches!(found.as_slice(), [Piece::Row(Ok(Row::Record(record)))] if record.duration_ms == Some(5)),
            "{found:?}"
        );
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(
            parts in prop::collection::vec(
                prop_oneof![
                    Just("Summary:\n"), Just("Query:\n"), Just(" - Profile ID: 1-2\n"), Just("```\n"),
                    Just("<"), Just(">"), Just("</br>"), Just("<script>"), Just("<html>"), Just("&nbsp;"),
                    Just("é"), Just("\n"), Just("~~~"),
                ],
                0..40,
            ),
        ) {
            let text = parts.concat();
            let found: usize = profiles(text.clone().into_bytes()).map(|text| text.len()).sum();
            prop_assert!(found <= text.len());
            text_of_html(&text);
        }

        #[test]
        fn no_bytes_break_it(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            is_spilled(&bytes);
            let _ = spilled_text(&bytes);
            is_html(&bytes);
            let _ = profiles(bytes).count();
        }
    }
}
