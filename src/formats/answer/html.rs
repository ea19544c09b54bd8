//! Profiles as HTML: of a frontend's answer, or of a page that a browser saved.

use std::borrow::Cow;

use memchr::memmem;

use crate::domain::profile::Profile;
use crate::formats::frontend::html::html_to_text;

/// How far before `Summary:` a tag counts as one of the page, in bytes.
const REACH_BEFORE_BYTES: usize = 1 << 16;
/// How far after `Summary:` a tag counts as one of the page, in bytes.
const REACH_AFTER_BYTES: usize = 200;

/// Returns whether a text that begins with `head` is a profile as HTML.
pub(in crate::formats) fn is_html(head: &[u8]) -> bool {
    const TAGS: [&[u8]; 7] =
        [b"</br>", b"<br>", b"<br/>", b"<br />", b"&nbsp;", b"<pre", b"</html>"];
    memmem::find(head, b"Summary:").is_some_and(|at| {
        // A statement may hold such tags, too. The page's own tags are near its first lines, or open it.
        let from = at.saturating_sub(REACH_BEFORE_BYTES);
        let around = &head[from..head.len().min(at + REACH_AFTER_BYTES)];
        let opens = head.trim_ascii_start().starts_with(b"<");
        !Profile::sniff(head)
            && (opens || TAGS.iter().any(|tag| memmem::find(around, tag).is_some()))
    })
}

/// Returns the text of HTML: of a frontend's answer, which escapes nothing, or of a whole page.
pub(in crate::formats) fn text_of_html(html: &str) -> String {
    let is_page = ["<html", "<HTML", "<!DOCTYPE", "<!doctype", "<body", "<pre", "<div", "<table"]
        .iter()
        .any(|tag| memmem::find(html.as_bytes(), tag.as_bytes()).is_some());
    let html = match is_page {
        true => Cow::Owned(without_tags(html)),
        false => Cow::Borrowed(html),
    };
    html_to_text(&html)
}

/// Returns a page without its tags and scripts. A tag that begins a line becomes a line end.
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
        let end = name.find(|char: char| !char.is_ascii_alphanumeric()).unwrap_or(name.len());
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
