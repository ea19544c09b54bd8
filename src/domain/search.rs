//! Search in statements: for a text, or for words.

use regex::bytes::{Regex, RegexBuilder};

/// The length of a gram in bytes. Shorter grams occur in nearly every statement, for example all three-digit numbers.
/// Longer grams would not find short texts.
pub(crate) const GRAM_BYTES: usize = 5;

/// A search for a text or for words. The case of ASCII letters does not matter.
#[derive(Debug, Clone)]
pub(crate) struct Search {
    /// A statement matches if all patterns match.
    patterns: Vec<Regex>,
    /// The texts that every matching statement contains.
    texts: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SearchError {
    #[error("the search text is empty")]
    Empty,
    #[error("a search text may have at most {max} characters", max = Search::MAX_CHARS)]
    TooLong,
}

impl Search {
    /// The longest search text, in characters.
    pub(crate) const MAX_CHARS: usize = 1000;

    /// Returns a search for `text` anywhere in a statement, and for each of the `words`, which white space separates,
    /// as a whole word in any order. ASCII letters, digits and underscores continue a word.
    pub(crate) fn new(text: Option<&str>, words: Option<&str>) -> Result<Search, SearchError> {
        let given = || [text, words].into_iter().flatten();
        if given().any(|text| text.chars().count() > Search::MAX_CHARS) {
            return Err(SearchError::TooLong);
        }
        let has_no_words = words.is_some_and(|words| words.trim().is_empty());
        if given().next().is_none() || text == Some("") || has_no_words {
            return Err(SearchError::Empty);
        }
        let mut search = Search { patterns: Vec::new(), texts: Vec::new() };
        if let Some(text) = text {
            search.add(text, regex::escape(text))?;
        }
        for word in words.unwrap_or("").split_whitespace() {
            search.add(word, whole_word(word))?;
        }
        Ok(search)
    }

    fn add(&mut self, text: &str, expression: String) -> Result<(), SearchError> {
        let pattern = RegexBuilder::new(&expression).unicode(false).case_insensitive(true).build();
        // An escaped text of at most `MAX_CHARS` compiles.
        self.patterns.push(pattern.map_err(|_| SearchError::TooLong)?);
        self.texts.push(text.to_string());
        Ok(())
    }

    /// Returns whether a statement contains the text and all words.
    pub(crate) fn matches(&self, statement: &[u8]) -> bool {
        self.patterns.iter().all(|pattern| pattern.is_match(statement))
    }

    /// Returns the grams that a statement must have to match, sorted. There are none if the text and all words are
    /// shorter than a gram.
    pub(crate) fn grams(&self) -> Vec<u64> {
        let mut all = Vec::new();
        for text in &self.texts {
            for_each_gram(text.as_bytes(), |gram| all.push(gram));
        }
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// Returns an expression that matches a whole word. A word that begins or ends with another character than those that
/// continue words may stand next to any character there.
fn whole_word(word: &str) -> String {
    let is_word =
        |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    let begins = if is_word(word.as_bytes().first()) { r"\b" } else { "" };
    let ends = if is_word(word.as_bytes().last()) { r"\b" } else { "" };
    format!("{begins}{}{ends}", regex::escape(word))
}

/// Calls `visit` with each gram of a text: each sequence of [`GRAM_BYTES`] bytes as a number, with ASCII letters in
/// lower case.
pub(crate) fn for_each_gram(text: &[u8], mut visit: impl FnMut(u64)) {
    const MASK: u64 = (1 << (8 * GRAM_BYTES)) - 1;
    let mut gram = 0;
    for (at, byte) in text.iter().enumerate() {
        gram = (gram << 8 | u64::from(byte.to_ascii_lowercase())) & MASK;
        if at + 1 >= GRAM_BYTES {
            visit(gram);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_are_found_as_they_are() {
        let text = |text| Search::new(Some(text), None).unwrap();
        assert!(text("ORDERS where").matches(b"select 1 from orders WHERE a"));
        assert!(!text("a.c").matches(b"abc"));
        assert!(text("100%_\\(").matches(b"x 100%_\\( y"));
        assert!(text("订单").matches("select '订单'".as_bytes()));
        assert!(!text("Ä").matches("ä".as_bytes()));
        for (text, words) in [(None, None), (Some(""), Some("a")), (Some("a"), Some(" \u{3000}"))] {
            assert_eq!(Search::new(text, words).unwrap_err(), SearchError::Empty);
        }
        assert!(Search::new(Some(&"Ω".repeat(1001)), None).is_err());
        assert!(Search::new(Some(&"Ω".repeat(1000)), Some(&"x ".repeat(500))).is_ok());
    }

    #[test]
    fn words_are_whole_and_in_any_order() {
        let words = |words| Search::new(None, Some(words)).unwrap();
        assert!(words("lineitem orders").matches(b"from Orders o join lineitem l"));
        assert!(!words("order").matches(b"from orders"));
        assert!(words("o.id =").matches(b"on o.id=l.oid"));
        assert!(!words("from missing").matches(b"from orders"));
        assert!(words("订单").matches("表订单表".as_bytes()));
    }

    proptest! {
        #[test]
        fn what_matches_has_the_grams(
            before in ".{0,20}", text in "[a-cA-C订 ]{1,12}", after in ".{0,20}",
        ) {
            let statement = format!("{before}{}{after}", text.to_ascii_uppercase());
            let search = Search::new(Some(&text), None).unwrap();
            prop_assert!(search.matches(statement.as_bytes()));
            let mut had = Vec::new();
            for_each_gram(statement.as_bytes(), |gram| had.push(gram));
            prop_assert!(search.grams().iter().all(|gram| had.contains(gram)));
        }
    }
}
