//! The HTML form in which a Doris frontend answers profiles and in which its page holds them.

/// The marks of line ends and spaces, with the text that they stand for. A longer mark precedes its own prefix.
const MARKS: [(&str, &str); 6] = [
    ("</br>", "\n"),
    ("<br>", "\n"),
    ("<br/>", "\n"),
    ("<br />", "\n"),
    ("&nbsp;&nbsp;", " "),
    ("&nbsp;", " "),
];

/// Escapes of characters that are markup, in the order in which they are replaced.
const ESCAPES: [(&str, &str); 5] =
    [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];

/// Returns the text of a profile from its HTML form.
///
/// Doris writes `</br>` for each line end and `&nbsp;&nbsp;` for each space, and escapes nothing else, so `&lt;` is part
/// of a statement. annals and browsers that save a page do escape. Their HTML has no bare `<` or `>` besides line ends,
/// and only in such HTML the escapes are replaced.
pub(crate) fn html_to_text(html: &str) -> String {
    let mut text = String::with_capacity(html.len() / 2);
    let mut has_bare_less_than = false;
    let mut rest = html;
    while let Some(at) = rest.find(['<', '&']) {
        let (before, behind) = rest.split_at(at);
        text.push_str(before);
        match MARKS.iter().find_map(|(mark, plain)| Some((behind.strip_prefix(mark)?, plain))) {
            Some((behind, plain)) => {
                text.push_str(plain);
                rest = behind;
            }
            None => {
                has_bare_less_than |= behind.starts_with('<');
                text.push_str(&behind[..1]);
                rest = &behind[1..];
            }
        }
    }
    text.push_str(rest);
    let is_escaped = !has_bare_less_than && !text.contains('>');
    if is_escaped && text.contains('&') {
        for (escape, plain) in ESCAPES {
            text = text.replace(escape, plain);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_html_of_doris_reads_back(text in "[a-z<>&\"; \n-]{0,60}") {
            let html = text.replace('\n', "</br>").replace(' ', "&nbsp;&nbsp;");
            // Doris escapes nothing, so a text that holds a mark itself does not read back.
            let marks = ["&lt;", "&gt;", "&quot;", "&amp;", "&nbsp;", "</br>", "<br>"];
            if !marks.iter().any(|mark| text.contains(mark)) {
                prop_assert_eq!(html_to_text(&html), text);
            }
        }

        #[test]
        fn any_html_gives_a_text(html: String) {
            html_to_text(&html);
        }
    }
}
