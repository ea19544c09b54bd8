//! The doorways to what reads requests.
#![allow(clippy::unwrap_used)] // A doorway panics where a promise is broken.

use std::collections::HashMap;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, ReadBuf};
use warp::host::Authority;
use warp::http::HeaderMap;
use warp::http::header::{AUTHORIZATION, HeaderName, HeaderValue, IF_NONE_MATCH};
use xxhash_rust::xxh3::xxh3_64;

use super::auth::SessionCookie;
use super::auth::basic::{BasicAuth, account_name};
#[cfg(test)]
use super::doris::profile_html::write_html_json;
use super::doris::stream_load::headers::Load;
use super::query_parameters::{
    ListParameters, NoParameters, address, cursor, read_all, read_known,
};
use super::raw_head::{self, RawHeads};
use super::route::Parameters;
use super::{etag, label, reject_cross_site, same_site};
use crate::domain::search::{Search, for_each_gram};
use crate::domain::time::Zone;

/// Writes a profile's text as HTML, as Doris' REST interface answers it.
#[cfg(test)]
pub(crate) fn profile_html(text: &[u8]) -> usize {
    let mut html = Vec::new();
    write_html_json(&String::from_utf8_lossy(text), &mut html);
    html.len()
}

/// Reads the part of an address behind the question mark as the parameters of a list, and searches.
pub fn queries(input: &[u8]) -> usize {
    let text = &*String::from_utf8_lossy(input);
    let (path, query) = text.split_once('?').unwrap_or(("", text));
    label(path);
    let mut parameters: Parameters = parse(query);
    // To prepare a search takes a hundred times as long as all else.
    if !xxh3_64(input).is_multiple_of(16) {
        parameters.retain(|name, _| name != "search" && name != "words");
    }
    let _ = read_all::<NoParameters>(&parameters);
    let _ = read_all::<ListParameters>(&parameters);
    let filter = read_known::<ListParameters>(&parameters).and_then(|it| it.filter(Zone::UTC));
    if let Ok(filter) = filter {
        if let Some(after) = filter.after {
            let read = Parameters::from_iter([("cursor".to_string(), cursor(&filter, after))]);
            let cursor = read_known::<ListParameters>(&read).unwrap().cursor.unwrap();
            assert_eq!(cursor.place, after);
        }
        filter.starts();
        filter.page_start();
        filter.is_from_page_on((filter.from_ms, 1));
    }
    search(
        parameters.get("search").map(String::as_str),
        parameters.get("words").map(String::as_str),
    );
    // An address that annals links to means the same parameters, but for the empty ones.
    let address = address("/", &parameters, &[]);
    let mut linked: Parameters = parse(address.strip_prefix("/").unwrap().trim_start_matches('?'));
    linked.retain(|_, value| !value.is_empty());
    let mut given = parameters;
    given.retain(|_, value| !value.is_empty());
    assert_eq!(linked, given);
    address.len()
}

fn parse(query: &str) -> Parameters {
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

fn search(text: Option<&str>, words: Option<&str>) {
    let Ok(search) = Search::new(text, words) else { return };
    // The statement that has just what is searched for is found, by the text and by the index.
    let statement = format!("{} {}", text.unwrap_or_default(), words.unwrap_or_default());
    assert!(search.matches(statement.as_bytes()), "{statement:?}");
    let mut grams = Vec::new();
    for_each_gram(statement.as_bytes(), |gram| grams.push(gram));
    assert!(search.grams().iter().all(|gram| grams.contains(gram)));
}

/// Reads the head of a request. The first byte is the size of a read in bytes.
pub fn headers(input: &[u8]) -> usize {
    let Some((size, sent)) = input.split_first() else { return 0 };
    let received = through_raw_heads(sent, usize::from(*size).max(1));
    let mut headers = HeaderMap::new();
    for line in received.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            let _ = headers.try_append(name, value);
        }
    }
    for value in headers.values() {
        if let Some(text) = raw_head::value(value) {
            assert!(text.is_ascii() && text.len() == value.len());
        }
    }
    let mut bytes = 0;
    if let Ok(load) = Load::of(&headers) {
        bytes += load.label.len() + load.comment.len();
        crate::fuzzing::rows_of(sent, &load.format);
    }
    let _ = reject_cross_site(&headers);
    if let Some(host) = headers.get("host").and_then(|host| host.to_str().ok()) {
        let host: Option<Authority> = host.parse().ok();
        let _ = same_site::check_host(host.as_ref());
    }
    for cookie in [SessionCookie::DORIS, SessionCookie::PAGES] {
        bytes += cookie.read(&headers).map_or(0, |id| id.len());
    }
    let authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    if let Ok(basic) = BasicAuth::require(authorization) {
        let (name, password) = basic.name_and_password();
        bytes += account_name(&HashMap::new(), name).len() + password.len();
    }
    // A debug assertion in `headers` 0.4 rejects the spaces that its release build accepts in a tag, and that it puts
    // between several headers itself.
    let has_spaces = |tags: &HeaderValue| tags.as_bytes().iter().any(u8::is_ascii_whitespace);
    let sent_tags = headers.get_all(IF_NONE_MATCH);
    if sent_tags.iter().count() > 1 || sent_tags.iter().any(has_spaces) {
        headers.remove(IF_NONE_MATCH);
    }
    let tag = etag::of_body(sent);
    if let (Some(known), Some(tag)) = (etag::if_none_match(&headers), tag) {
        etag::is_known(&known, &tag);
    }
    assert!(bytes <= 2 * input.len() + 64);
    bytes
}

/// Returns what hyper gets of bytes that arrive in reads of `size` bytes.
fn through_raw_heads(sent: &[u8], size: usize) -> Vec<u8> {
    let mut stream = RawHeads::new(sent);
    let mut context = Context::from_waker(Waker::noop());
    let mut received = Vec::new();
    loop {
        let mut buffer = vec![0; size];
        let mut buffer = ReadBuf::new(&mut buffer);
        let read = Pin::new(&mut stream).poll_read(&mut context, &mut buffer);
        assert!(matches!(read, Poll::Ready(Ok(()))));
        if buffer.filled().is_empty() {
            break;
        }
        received.extend_from_slice(buffer.filled());
    }
    assert_eq!(received.len(), sent.len());
    let is_kept = |(received, sent): (&u8, &u8)| received & 0x7f == sent & 0x7f;
    assert!(received.iter().zip(sent).all(is_kept));
    received
}
