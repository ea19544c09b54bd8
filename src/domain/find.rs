//! A text that a person pastes or types to find a query or a statement, and what the text may be.

use super::record::QueryId;
use super::statement::{Fingerprint, normalize};

/// The shortest start of a label that is looked for.
const MIN_LABEL_START: usize = 3;
/// The longest trace id, session id and label that are looked for.
const MAX_ID_BYTES: usize = 256;
/// Marks around a text that a person copies with it.
const QUOTES: [(char, char); 6] =
    [('\'', '\''), ('"', '"'), ('`', '`'), ('“', '”'), ('‘', '’'), ('«', '»')];

/// A text that somebody looks for, without the blanks and quotes around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sought(String);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SoughtError {
    #[error("there is no text to find")]
    Empty,
    #[error("a text to find may have at most {max} characters", max = Sought::MAX_CHARS)]
    TooLong,
}

impl Sought {
    /// The most characters of a text. A statement of a page or two is looked for by its fingerprint.
    pub(crate) const MAX_CHARS: usize = 4000;
    /// The shortest start of a query id that is looked for: a shorter text begins too many ids, or is a word.
    pub(crate) const MIN_ID_START: usize = 6;
    /// The shortest start of a fingerprint that is looked for.
    const MIN_FINGERPRINT_START: usize = 4;

    /// Reads a text. Errors if nothing is left of it, or if it is too long.
    pub(crate) fn new(text: &str) -> Result<Sought, SoughtError> {
        let text = unquoted(text);
        if text.is_empty() {
            return Err(SoughtError::Empty);
        }
        if text.chars().nth(Sought::MAX_CHARS).is_some() {
            return Err(SoughtError::TooLong);
        }
        Ok(Sought(text.to_string()))
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    /// Returns the text as one word, without what is around an id in a log or a list; None if it is several words.
    fn word(&self) -> Option<&str> {
        let around = |c: char| {
            matches!(c, ',' | ';' | '|' | '<' | '>')
                || QUOTES.iter().any(|(open, close)| [*open, *close].contains(&c))
        };
        let word = self.0.trim_matches(around);
        let word = ["query_id=", "QueryId="]
            .iter()
            .find_map(|name| word.strip_prefix(name))
            .unwrap_or(word);
        let is_word = !word.is_empty() && !word.contains(char::is_whitespace);
        is_word.then_some(word)
    }

    /// Returns the query id that the text may be.
    pub(crate) fn query_id(&self) -> Option<QueryId> {
        self.word()?.parse().ok()
    }

    /// Returns the start of a query id that the text may be.
    pub(crate) fn id_start(&self) -> Option<&str> {
        self.word().filter(|word| (Sought::MIN_ID_START..=MAX_ID_BYTES).contains(&word.len()))
    }

    /// Returns whether the text is too short to be the start of a query id.
    pub(crate) fn is_short(&self) -> bool {
        self.text().len() < Sought::MIN_ID_START
    }

    /// Returns the trace id that the text may be. Clients choose trace ids, so that any short text may be one.
    pub(crate) fn trace_id(&self) -> Option<&str> {
        (self.0.len() <= MAX_ID_BYTES).then_some(&*self.0)
    }

    /// Returns the session id that the text may be: the number of a connection, or a UUID. No index has sessions, so that
    /// not every text is looked for among them.
    pub(crate) fn session_id(&self) -> Option<&str> {
        let word = self.word()?;
        let is_number = word.len() <= 10 && word.bytes().all(|byte| byte.is_ascii_digit());
        let is_uuid = word.len() == 36
            && word.bytes().filter(|byte| *byte == b'-').count() == 4
            && word.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
        (is_number || is_uuid).then_some(word)
    }

    /// Returns the label of a load that the text may be, or its start.
    pub(crate) fn label_start(&self) -> Option<&str> {
        self.word().filter(|word| (MIN_LABEL_START..=MAX_ID_BYTES).contains(&word.len()))
    }

    /// Returns the fingerprints that the text may be: 16 hexadecimal digits, or the same bits as a number with or without a
    /// sign.
    pub(crate) fn fingerprints(&self) -> Vec<Fingerprint> {
        let Some(word) = self.word() else { return Vec::new() };
        let hexadecimal = word.strip_prefix("0x").unwrap_or(word).parse().ok();
        let signed = word.parse().ok();
        let unsigned = || word.parse().ok().map(u64::cast_signed);
        let number = signed.or_else(unsigned).map(Fingerprint::from_signed);
        let mut fingerprints: Vec<Fingerprint> = hexadecimal.into_iter().chain(number).collect();
        fingerprints.dedup();
        fingerprints
    }

    /// Returns the first and the last of the fingerprints that begin with the text, as signed numbers; None if the text is too short,
    /// no hexadecimal number, or a whole fingerprint.
    pub(crate) fn fingerprint_start(&self) -> Option<(i64, i64)> {
        let word = self.word()?;
        let digits = word.strip_prefix("0x").unwrap_or(word);
        if !(Sought::MIN_FINGERPRINT_START..Fingerprint::DIGITS).contains(&digits.len())
            || !digits.bytes().all(|byte| byte.is_ascii_hexdigit())
        {
            return None;
        }
        let end = |digit: &str| {
            let whole = format!("{digits}{}", digit.repeat(Fingerprint::DIGITS - digits.len()));
            whole.parse::<Fingerprint>().ok().map(Fingerprint::to_signed)
        };
        end("0").zip(end("f"))
    }

    /// Returns the fingerprint of the text as a statement.
    pub(crate) fn as_statement(&self) -> Fingerprint {
        Fingerprint::of_normalized(&normalize(&self.0))
    }
}

/// Returns a text without blanks and pairs of quotes around it. A text with a quote inside keeps both: it may be `'a' or 'b'`.
fn unquoted(text: &str) -> &str {
    let text = text.trim();
    let inside = QUOTES.iter().find_map(|(open, close)| {
        let inside = text.strip_prefix(*open)?.strip_suffix(*close)?;
        (!inside.contains([*open, *close])).then_some(inside)
    });
    inside.map_or(text, unquoted)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sought(text: &str) -> Sought {
        Sought::new(text).unwrap()
    }

    #[test]
    fn an_id_is_read_without_what_stands_around_it() {
        let id = "fbb2582c72884d29-9dd9de3b42b740e9";
        for text in [
            id.to_string(),
            format!(" {id}\n"),
            format!("'{id}'"),
            format!("\"  {id} \""),
            format!("“{id}”"),
            format!("{id},"),
            format!("\"{id}\","),
            format!("|QueryId={id}|"),
            format!("query_id={id}"),
            format!("<{id}>"),
        ] {
            let sought = sought(&text);
            assert_eq!(sought.query_id().unwrap().as_str(), id, "{text}");
            assert_eq!(sought.id_start(), Some(id), "{text}");
        }
        assert_eq!(sought("fbb25").id_start(), None);
        assert_eq!(sought("select 1").query_id(), None);
        assert_eq!(sought("select 1").id_start(), None);
    }

    #[test]
    fn a_statement_keeps_its_quotes() {
        assert_eq!(sought(" 'a' or 'b' ").text(), "'a' or 'b'");
        assert_eq!(sought("\"select 'x'\"").text(), "select 'x'");
        assert_eq!(sought("select 'x'").text(), "select 'x'");
        assert_eq!(sought("<b>").text(), "<b>");
    }

    #[test]
    fn a_fingerprint_is_read_in_each_form() {
        let fingerprint: Fingerprint = "af6035f278e1b724".parse().unwrap();
        let number = fingerprint.to_signed();
        for text in [
            "af6035f278e1b724".to_string(),
            "AF6035F278E1B724".to_string(),
            "0xaf6035f278e1b724".to_string(),
            number.to_string(),
            number.cast_unsigned().to_string(),
        ] {
            assert_eq!(sought(&text).fingerprints(), [fingerprint], "{text}");
        }
        // Sixteen digits are both.
        assert_eq!(sought("1234567812345678").fingerprints().len(), 2);
        assert!(sought("af60").fingerprints().is_empty());
        for text in ["af60", "AF6035F278E1B72", "0xaf60"] {
            let (first, last) = sought(text).fingerprint_start().unwrap();
            assert!((first..=last).contains(&number), "{text}");
        }
        for text in ["af6", "af61x", "af6035f278e1b724", "af60 35f2"] {
            assert_eq!(sought(text).fingerprint_start(), None, "{text}");
        }
    }

    #[test]
    fn sessions_are_numbers_or_uuids() {
        assert_eq!(sought(" 4711 ").session_id(), Some("4711"));
        let uuid = "0190d7a2-5b3c-7def-8a01-23456789abcd";
        assert_eq!(sought(uuid).session_id(), Some(uuid));
        assert_eq!(sought("orders").session_id(), None);
        assert_eq!(sought("12345678901").session_id(), None);
    }

    #[test]
    fn nothing_and_too_much_are_errors() {
        for text in ["", "  ", "''", "\" \""] {
            assert_eq!(Sought::new(text), Err(SoughtError::Empty), "{text:?}");
        }
        assert_eq!(Sought::new(&"x".repeat(4001)), Err(SoughtError::TooLong));
        assert!(Sought::new(&"订".repeat(4000)).is_ok());
    }

    proptest! {
        #[test]
        fn any_text_can_be_looked_for(text: String) {
            if let Ok(sought) = Sought::new(&text) {
                let _ = (sought.query_id(), sought.id_start(), sought.session_id(), sought.fingerprints());
                sought.fingerprint_start();
                sought.as_statement();
            }
        }
    }
}
