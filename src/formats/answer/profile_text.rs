//! Profiles among other text: after headings, in code fences, in quotes.

use crate::domain::profile::Profile;

/// How many first lines tell a profile from other texts: its root, `Summary:` below it, and one entry.
const FIRST_LINES: usize = 3;

/// How long the first lines of a profile may be, in bytes.
const FIRST_BYTES: usize = 4096;

/// Returns whether a text holds the beginning of a profile.
pub(in crate::formats) fn has_profile(text: &[u8]) -> bool {
    Profile::sniff(text) || beginnings(text).next().is_some()
}

/// Returns the profiles in a text, in their order: each from its beginning to that of the next one, or to the end of the
/// code fence or the quote around it.
pub(in crate::formats) fn profiles(text: Vec<u8>) -> impl Iterator<Item = Vec<u8>> {
    let starts: Vec<Beginning> = beginnings(&text).collect();
    let mut ranges = Vec::new();
    match starts.as_slice() {
        [] if Profile::sniff(&text) => ranges.push(0..text.len()),
        // A text that is one profile is kept byte for byte.
        [one] if one.fence.is_none() && !one.is_quoted && Profile::sniff(&text) => {
            ranges.push(0..text.len());
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
                ranges.push(start.at..start.at + length.unwrap_or(within.len()));
            }
        }
    }
    let mut text = Some(text);
    let last = ranges.len();
    let is_quoted: Vec<bool> = starts.iter().map(|start| start.is_quoted).collect();
    ranges.into_iter().enumerate().map(move |(number, range)| {
        if is_quoted.get(number) == Some(&true) {
            let quoted = text.as_deref().and_then(|text| text.get(range)).unwrap_or_default();
            return without_quote(quoted);
        }
        match text.take_if(|text| number + 1 == last && range.len() == text.len()) {
            Some(whole) => whole,
            None => text.as_deref().and_then(|text| text.get(range)).unwrap_or_default().to_vec(),
        }
    })
}

/// Where a profile begins.
#[derive(Debug, Clone, Copy)]
struct Beginning {
    at: usize,
    /// The character of the code fence directly before the profile.
    fence: Option<u8>,
    /// Whether the profile is in a quote, as in Markdown and mails: `> ` before each line.
    is_quoted: bool,
}

/// Returns where profiles begin, as [`Profile::find_start`] knows them.
fn beginnings(text: &[u8]) -> impl Iterator<Item = Beginning> + '_ {
    let mut at = 0;
    let mut fence = None;
    let mut is_inner = false;
    text.split_inclusive(|byte| *byte == b'\n').filter_map(move |line| {
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
        // A line of a client's table ends with a bar.
        let bare = trimmed.strip_suffix(b"|").unwrap_or(trimmed).trim_ascii_end();
        let is_outer = bare.ends_with(b"Query:") || bare.ends_with(b"Load:");
        let was_inner = std::mem::replace(&mut is_inner, is_outer);
        if !is_outer && (!bare.ends_with(b"Summary:") || was_inner) {
            return None;
        }
        let found =
            Profile::find_start(first_lines(&text[start..])).filter(|at| *at < line.len())?;
        Some(Beginning { at: start + found, fence: before, is_quoted })
    })
}

/// Returns the first lines of a text that are not blank.
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

/// Returns a line without white space, byte-order mark and no-break spaces around it.
fn trimmed(line: &[u8]) -> &[u8] {
    let mut line = line.trim_ascii();
    while let Some(rest) = line.strip_prefix(b"\xef\xbb\xbf").or(line.strip_prefix(b"\xc2\xa0")) {
        line = rest.trim_ascii_start();
    }
    line
}

/// Returns the character of the code fence, or None if the line is no code fence.
fn fence_of(line: &[u8]) -> Option<u8> {
    let fence = *line.first().filter(|byte| matches!(**byte, b'`' | b'~'))?;
    line.starts_with(&[fence; 3]).then_some(fence)
}

/// Returns where the quote ends: at its first line that is not quoted, or at the code fence within it.
fn end_of_quote(text: &[u8]) -> Option<usize> {
    start_of_line(text, |line| {
        let inner = line.trim_ascii().strip_prefix(b">");
        inner.is_none_or(|inner| fence_of(inner.trim_ascii_start()).is_some())
    })
}

/// Returns where the closing fence begins.
fn end_of_fence(text: &[u8], fence: u8) -> Option<usize> {
    start_of_line(text, |line| fence_of(line.trim_ascii()) == Some(fence))
}

/// Returns where the first line begins for which `is_line` is true.
fn start_of_line(text: &[u8], is_line: impl Fn(&[u8]) -> bool) -> Option<usize> {
    let mut at = 0;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        if is_line(line) {
            return Some(at);
        }
        at += line.len();
    }
    None
}

/// Returns the lines of a quote without its `> `.
fn without_quote(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let inner = line.trim_ascii_start();
        let inner = inner.strip_prefix(b">").unwrap_or(line);
        plain.extend_from_slice(inner.strip_prefix(b" ").unwrap_or(inner));
    }
    plain
}
