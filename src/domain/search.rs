//! Search in statements: for a text, or for words.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::hash::{Hash, Hasher};

use aho_corasick::AhoCorasick;
use memchr::memmem;
use regex::bytes::{Regex, RegexBuilder};

use super::time::{Zone, format_duration_ms};

/// The length of a gram in bytes. Shorter grams occur in nearly every statement, for example all three-digit numbers.
/// Longer grams would not find short texts.
pub(crate) const GRAM_BYTES: usize = 5;

/// A search for a text or for words. The case of ASCII letters does not matter.
#[derive(Debug, Clone)]
pub(crate) struct Search {
    /// The longest of the text and the words: few statements contain it, and the search reads all other statements once.
    longest: Regex,
    /// The others, which are looked for together, so that a statement is not read again for each of them.
    others: Option<Together>,
    /// The texts that every matching statement contains, in lower case: the text, then the words.
    texts: Vec<String>,
    has_text: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SearchError {
    #[error("the search text is empty")]
    Empty,
    #[error("a search text may have at most {max} characters", max = Search::MAX_CHARS)]
    TooLong,
    #[error("a search may have at most {max} different words", max = Search::MAX_WORDS)]
    TooManyWords,
}

/// Texts and words, all of which a statement has to contain.
#[derive(Debug, Clone)]
struct Together {
    /// Words of only those characters that continue words. They are compared with whole words, so that a statement like
    /// `aaaa` does not match the words `a`, `aa` and `aaa` at each of its places.
    plain: Vec<String>,
    /// All other patterns.
    others: Option<(AhoCorasick, Vec<Edges>)>,
}

/// Where a pattern matches.
#[derive(Debug, Clone, Copy, Default)]
struct Edges {
    /// Only where a word begins.
    begins: bool,
    /// Only where a word ends.
    ends: bool,
}

impl Together {
    /// `patterns` are texts, each with whether it is a word.
    fn new(patterns: &[(&str, bool)]) -> Result<Together, SearchError> {
        let is_plain = |(text, is_word): &&(&str, bool)| {
            *is_word && text.bytes().all(|byte| continues_word(Some(&byte)))
        };
        let (plain, others): (Vec<_>, Vec<_>) = patterns.iter().partition(is_plain);
        let plain = plain.into_iter().map(|(text, _)| text.to_string()).collect();
        if others.is_empty() {
            return Ok(Together { plain, others: None });
        }
        let edges = |(text, is_word): &(&str, bool)| Edges {
            begins: *is_word && continues_word(text.as_bytes().first()),
            ends: *is_word && continues_word(text.as_bytes().last()),
        };
        let edges = others.iter().map(edges).collect();
        let texts = others.iter().map(|(text, _)| *text);
        let automaton = AhoCorasick::builder().ascii_case_insensitive(true).build(texts);
        // Texts of at most `MAX_CHARS` make a small automaton.
        let automaton = automaton.map_err(|_| SearchError::TooLong)?;
        Ok(Together { plain, others: Some((automaton, edges)) })
    }

    /// Returns whether a statement contains all, in at most two passes over the statement.
    fn are_in(&self, statement: &[u8]) -> bool {
        self.has_plain(statement)
            && self
                .others
                .as_ref()
                .is_none_or(|(automaton, edges)| has_all(automaton, edges, statement))
    }

    fn has_plain(&self, statement: &[u8]) -> bool {
        let mut missing = all_of(self.plain.len());
        let mut words = statement.split(|byte| !continues_word(Some(byte)));
        while missing != 0 {
            let Some(word) = words.next() else { return false };
            for (at, plain) in self.plain.iter().enumerate() {
                if word.eq_ignore_ascii_case(plain.as_bytes()) {
                    missing &= !(1 << at);
                }
            }
        }
        true
    }
}

/// Returns a bit for each pattern: there are at most `MAX_WORDS` words and a text.
fn all_of(patterns: usize) -> u64 {
    (1 << patterns) - 1
}

fn has_all(automaton: &AhoCorasick, edges: &[Edges], statement: &[u8]) -> bool {
    let mut missing = all_of(edges.len());
    for found in automaton.find_overlapping_iter(statement) {
        let at = found.pattern().as_usize();
        let Edges { begins, ends } = edges.get(at).copied().unwrap_or_default();
        let before = found.start().checked_sub(1).and_then(|at| statement.get(at));
        let is_cut =
            begins && continues_word(before) || ends && continues_word(statement.get(found.end()));
        if !is_cut {
            missing &= !(1 << at);
            if missing == 0 {
                return true;
            }
        }
    }
    false
}

impl Search {
    /// The longest search text, in characters.
    pub(crate) const MAX_CHARS: usize = 1000;
    /// The most different words. Each word of a statement is compared with all, and nobody types more.
    pub(crate) const MAX_WORDS: usize = 32;
    /// The most grams of a search. Each rules out four of five runs of rows on its own, so that more rule out nothing
    /// else, and each is looked up in every segment of the index.
    const MAX_GRAMS: usize = 32;

    /// Returns a search for `text` anywhere in a statement, and for each of the `words`, which white space separates,
    /// as a whole word in any order. ASCII letters, digits and underscores continue a word.
    pub(crate) fn new(text: Option<&str>, words: Option<&str>) -> Result<Search, SearchError> {
        let given = || [text, words].into_iter().flatten();
        if given().any(|text| text.chars().count() > Search::MAX_CHARS) {
            return Err(SearchError::TooLong);
        }
        let mut texts: Vec<String> = text.iter().map(|text| text.to_ascii_lowercase()).collect();
        let mut known = HashSet::new();
        let words = words.map(str::to_ascii_lowercase);
        let words = words.as_deref().map(str::split_whitespace);
        texts.extend(words.into_iter().flatten().filter(|it| known.insert(*it)).map(String::from));
        let has_no_words = given().count() > usize::from(text.is_some()) && known.is_empty();
        if given().next().is_none() || text == Some("") || has_no_words {
            return Err(SearchError::Empty);
        }
        if known.len() > Search::MAX_WORDS {
            return Err(SearchError::TooManyWords);
        }
        let has_text = text.is_some();
        let mut patterns: Vec<(&str, bool)> = parts(&texts, has_text).collect();
        patterns.sort_by_key(|(text, _)| Reverse(text.len()));
        let (longest, is_word) = patterns.remove(0);
        let expression = if is_word { whole_word(longest) } else { regex::escape(longest) };
        let longest = RegexBuilder::new(&expression).unicode(false).case_insensitive(true).build();
        // An escaped text of at most `MAX_CHARS` compiles.
        let longest = longest.map_err(|_| SearchError::TooLong)?;
        let others = (!patterns.is_empty()).then(|| Together::new(&patterns)).transpose()?;
        Ok(Search { longest, others, texts, has_text })
    }

    /// Returns whether a statement contains the text and all words.
    pub(crate) fn matches(&self, statement: &[u8]) -> bool {
        self.longest.is_match(statement)
            && self.others.as_ref().is_none_or(|others| others.are_in(statement))
    }

    /// Returns the text and the words that a statement must have, in lower case, each with whether it is a word.
    pub(crate) fn parts(&self) -> impl Iterator<Item = (&str, bool)> {
        parts(&self.texts, self.has_text)
    }

    /// Returns the grams that a statement must have to match, sorted, or some of them if there are many. There are none
    /// if the text and all words are shorter than a gram.
    pub(crate) fn grams(&self) -> Vec<u64> {
        let mut all = Vec::new();
        for text in &self.texts {
            for_each_gram(text.as_bytes(), |gram| all.push(gram));
        }
        // Of all parts of the text and of all words.
        let step = all.len().div_ceil(Search::MAX_GRAMS).max(1);
        let mut some: Vec<u64> = all.into_iter().step_by(step).collect();
        some.sort_unstable();
        some.dedup();
        some
    }
}

impl PartialEq for Search {
    fn eq(&self, other: &Search) -> bool {
        self.texts == other.texts && self.has_text == other.has_text
    }
}

impl Eq for Search {}

impl Hash for Search {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.texts.hash(state);
        self.has_text.hash(state);
    }
}

/// A search for a text in all that a list writes of a query, letter case included.
#[derive(Debug, Clone)]
pub(crate) struct CellSearch {
    text: String,
    finder: memmem::Finder<'static>,
    zone: Zone,
    /// Whether the text may be a part of a time or of a duration.
    is_like_a_time: bool,
}

impl CellSearch {
    /// Returns a search for `text`, with times as lists write them in `zone`.
    pub(crate) fn new(text: String, zone: Zone) -> Result<CellSearch, SearchError> {
        if text.is_empty() {
            return Err(SearchError::Empty);
        }
        if text.chars().count() > Search::MAX_CHARS {
            return Err(SearchError::TooLong);
        }
        let is_of_time =
            |sign: char| sign.is_ascii_digit() || "-: .hourminsecdayNA/".contains(sign);
        let is_like_a_time = text.chars().all(is_of_time);
        let finder = memmem::Finder::new(text.as_bytes()).into_owned();
        Ok(CellSearch { text, finder, zone, is_like_a_time })
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Returns whether the text may be a part of a time or of a duration.
    pub(crate) fn is_like_a_time(&self) -> bool {
        self.is_like_a_time
    }

    pub(crate) fn is_in(&self, text: &[u8]) -> bool {
        self.finder.find(text).is_some()
    }

    /// Returns whether the text is in a time as lists write it.
    pub(crate) fn is_in_time(&self, ms: Option<i64>) -> bool {
        self.is_like_a_time && self.is_in_known(ms.map(|ms| self.zone.format_ms(ms)))
    }

    /// Returns whether the text is in a duration as lists write it.
    pub(crate) fn is_in_duration(&self, ms: Option<i64>) -> bool {
        self.is_like_a_time && self.is_in_known(ms.map(format_duration_ms))
    }

    fn is_in_known(&self, text: Option<String>) -> bool {
        self.is_in(text.as_deref().unwrap_or("N/A").as_bytes())
    }
}

impl PartialEq for CellSearch {
    fn eq(&self, other: &CellSearch) -> bool {
        self.text == other.text && self.zone == other.zone
    }
}

impl Eq for CellSearch {}

impl Hash for CellSearch {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

/// Returns each text with whether it is a word.
fn parts(texts: &[String], has_text: bool) -> impl Iterator<Item = (&str, bool)> {
    texts.iter().enumerate().map(move |(at, text)| (text.as_str(), at > 0 || !has_text))
}

fn continues_word(byte: Option<&u8>) -> bool {
    byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

/// Returns an expression that matches a whole word. A word that begins or ends with another character than those that
/// continue words may stand next to any character there.
fn whole_word(word: &str) -> String {
    let begins = if continues_word(word.as_bytes().first()) { r"\b" } else { "" };
    let ends = if continues_word(word.as_bytes().last()) { r"\b" } else { "" };
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
        let different = |count| (0..count).map(|word| format!("w{word} ")).collect::<String>();
        assert!(Search::new(None, Some(&different(32))).is_ok());
        assert_eq!(Search::new(None, Some(&different(33))).unwrap_err(), SearchError::TooManyWords);
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
        /// Words that are looked for together are found as each of them is alone.
        #[test]
        fn words_together_are_found_as_alone(
            statement in "[abAB_.= 订]{0,40}", words in "[abB_.=订]{1,3}( [abB_.=订]{1,3}){0,5}",
        ) {
            let alone = words.split(' ').all(|word| {
                let one = Regex::new(&format!("(?i-u){}", whole_word(word))).unwrap();
                one.is_match(statement.as_bytes())
            });
            let together = Search::new(None, Some(&words)).unwrap().matches(statement.as_bytes());
            prop_assert_eq!(together, alone);
        }

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
