//! JSON documents that hold the lines of a log: an event of a shipper, or an answer of Elasticsearch or Loki.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;

use super::begins_entry;
use super::line::Event;

/// Returns the lines of a document, the oldest first; None if it holds none. A document of one event counts only if a log begins
/// in it, or `has_begun` in one before.
pub(in crate::formats) fn lines_of_events(
    document: &Value,
    has_begun: bool,
) -> Option<Vec<Cow<'_, str>>> {
    if let Some(hits) = document.pointer("/hits/hits").and_then(Value::as_array) {
        let time = |hit: &Value| Some(hit.pointer("/_source/@timestamp")?.as_str()?.to_string());
        let is_newest_first = hits.first().map(time) > hits.last().map(time);
        let lines = hits.iter().filter_map(|hit| Event::deserialize(hit).ok()?.text()).collect();
        return Some(oldest_first(lines, is_newest_first));
    }
    let is_of_streams =
        document.pointer("/data/resultType").and_then(Value::as_str) == Some("streams");
    if is_of_streams
        && let Some(streams) = document.pointer("/data/result").and_then(Value::as_array)
    {
        return Some(streams.iter().flat_map(lines_of_stream).collect());
    }
    let text = Event::deserialize(document).ok()?.text()?;
    (has_begun || begins_entry(text.as_bytes())).then(|| vec![text])
}

/// Returns the lines of a stream of Loki: `{"stream": {…}, "values": [[TIME, LINE], …]}`, with times in nanoseconds as text.
fn lines_of_stream(stream: &Value) -> Vec<Cow<'_, str>> {
    let values = stream.get("values").and_then(Value::as_array);
    let values = values.map(Vec::as_slice).unwrap_or_default();
    let time = |value: &Value| value.get(0)?.as_str()?.parse::<u64>().ok();
    let is_newest_first = values.first().and_then(time) > values.last().and_then(time);
    let lines = values.iter().filter_map(|value| Some(Cow::Borrowed(value.get(1)?.as_str()?)));
    oldest_first(lines.collect(), is_newest_first)
}

fn oldest_first(mut lines: Vec<Cow<'_, str>>, is_newest_first: bool) -> Vec<Cow<'_, str>> {
    if is_newest_first {
        lines.reverse();
    }
    lines
}
