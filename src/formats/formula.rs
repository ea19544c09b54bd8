//! Texts that a spreadsheet would run as a formula. An export writes an apostrophe before them, as OWASP recommends, and an import
//! takes it off.

use std::borrow::Cow;

/// Returns whether a text begins as a formula does, perhaps behind apostrophes.
fn is_formula(text: &str) -> bool {
    const STARTS: [char; 11] =
        ['=', '+', '-', '@', '\t', '\r', '\n', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'];
    text.trim_start_matches('\'').starts_with(STARTS)
}

/// Returns a text as a cell that no spreadsheet runs. Numbers stay numbers.
pub(crate) fn guarded(text: &str) -> Cow<'_, str> {
    let is_number = || text.parse::<f64>().is_ok() && text.ends_with(|c: char| c.is_ascii_digit());
    match is_formula(text) && !is_number() {
        true => Cow::Owned(format!("'{text}")),
        false => Cow::Borrowed(text),
    }
}

/// Returns the text of a cell that [`guarded`] made.
pub(super) fn unguarded(cell: &str) -> &str {
    cell.strip_prefix('\'').filter(|_| is_formula(cell)).unwrap_or(cell)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_guarded_text_comes_back(text in "'{0,3}[=+\\-a\t]{0,3}[0-9]{0,2}") {
            let cell = guarded(&text).into_owned();
            prop_assert_eq!(unguarded(&cell), text.as_str());
        }
    }
}
