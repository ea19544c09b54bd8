//! The text of a statement, formatted and highlighted.

use maud::{Markup, html};

use super::format;
use crate::domain::statement::{SyntaxKind, format_sql, highlight};

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
                @for (kind, part) in highlight(shown) {
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

fn class(kind: SyntaxKind) -> Option<&'static str> {
    match kind {
        SyntaxKind::Keyword => Some("k"),
        SyntaxKind::Function => Some("f"),
        SyntaxKind::Literal => Some("l"),
        SyntaxKind::Comment => Some("c"),
        SyntaxKind::Name | SyntaxKind::Symbol | SyntaxKind::Space => None,
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
