//! The text of a statement, formatted and highlighted.

use maud::{Markup, html};

use super::format;
use crate::domain::statement::{Kind, format_sql, tokens};

/// Longer statements are not highlighted.
const HIGHLIGHTED_BYTES: usize = 64 << 10;
/// A page shows this much of a statement. The download has all of it.
const SHOWN_BYTES: usize = 256 << 10;

/// Returns a statement as a block of formatted SQL.
pub(super) fn block(statement: &str) -> Markup {
    let text = format_sql(statement);
    let shown = &text[..text.floor_char_boundary(SHOWN_BYTES)];
    html! {
        pre.sql #statement tabindex="0" dir="auto" {
            @if text.len() <= HIGHLIGHTED_BYTES {
                @for (kind, part) in tokens(shown) {
                    @match class(kind) {
                        Some(class) => span class=(class) { (part) },
                        None => (part),
                    }
                }
            } @else { (shown) }
        }
        @if shown.len() < text.len() {
            p.note {
                "Showing the first " (format::bytes(Some(shown.len()))) " of "
                (format::bytes(Some(text.len()))) ". Download the statement to read all of it."
            }
        }
    }
}

fn class(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Keyword => Some("k"),
        Kind::Function => Some("f"),
        Kind::Literal => Some("l"),
        Kind::Comment => Some("c"),
        Kind::Name | Kind::Symbol | Kind::Space => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_escaped_and_bounded() {
        let markup = block("select '</pre><script>alert(1)</script>'").into_string();
        assert!(!markup.contains("<script>"), "{markup}");
        assert!(block(&"x ".repeat(2_500_000)).into_string().len() < 300_000);
    }
}
