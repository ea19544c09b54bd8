use std::borrow::Cow;
use std::ops::Deref;
use std::str::FromStr;
use std::{fmt, iter};

/// The name of a query: an opaque token. Doris writes two hex numbers
/// (`fbb2582c72884d29-9dd9de3b42b740e9`), StarRocks a UUID, load jobs a decimal number.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct QueryId(String);

/// Why a text is not a query id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub(crate) enum QueryIdError {
    /// The text is empty, or a placeholder that frontends write in place of an id.
    #[error("the query id is missing")]
    Missing,
    #[error("the query id is longer than {max} characters", max = QueryId::MAX_CHARS)]
    TooLong,
    #[error("the query id holds white space or a control character")]
    NotAToken,
}

impl QueryId {
    /// The longest id that annals accepts, in characters; Doris' own have at most 33.
    pub(crate) const MAX_CHARS: usize = 128;

    /// Returns an id for a record whose cluster gave it none. The same parts always give the same id, in every
    /// version of annals: 128 bits of XXH3 over the parts, in the form of Doris' ids.
    pub(crate) fn derived(parts: &[&str]) -> QueryId {
        let mut hash = xxhash_rust::xxh3::Xxh3::new();
        for part in parts {
            hash.update(part.as_bytes());
            // No UTF-8 text holds this byte, so the parts can't run into each other.
            hash.update(&[0xff]);
        }
        let hash = hash.digest128();
        QueryId(format!("{:x}-{:x}", (hash >> 64) as u64, hash as u64))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the ids that may be meant: see [`spellings`].
    pub(crate) fn spellings(&self) -> impl Iterator<Item = Cow<'_, QueryId>> {
        spellings(&self.0).map(|spelling| match spelling {
            Cow::Borrowed(_) => Cow::Borrowed(self),
            Cow::Owned(text) => Cow::Owned(QueryId(text)),
        })
    }

    /// Returns whether the id is the number of a job, which each cluster counts for itself. All other ids are random, or of
    /// what a record says.
    pub(crate) fn is_number(&self) -> bool {
        self.0.bytes().all(|byte| byte.is_ascii_digit())
    }

    /// Returns the id of a stored row. An older annals may have stored a text that is no longer accepted as an id.
    pub(crate) fn of_stored(text: String) -> QueryId {
        QueryId(text)
    }
}

impl Deref for QueryId {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl FromStr for QueryId {
    type Err = QueryIdError;

    fn from_str(text: &str) -> Result<QueryId, QueryIdError> {
        let text = text.trim();
        match text.len() {
            0 => Err(QueryIdError::Missing),
            _ if is_placeholder(text) => Err(QueryIdError::Missing),
            _ if text.chars().nth(QueryId::MAX_CHARS).is_some() => Err(QueryIdError::TooLong),
            _ if text.contains(|c: char| c.is_whitespace() || c.is_control()) => {
                Err(QueryIdError::NotAToken)
            }
            _ => Ok(QueryId(text.to_string())),
        }
    }
}

/// Returns an id, or the start of one, and the same in lower case if it has capitals. Engines write lower case, and other
/// programs show ids in capitals.
pub(crate) fn spellings(id: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let has_capitals = id.bytes().any(|byte| byte.is_ascii_uppercase());
    let lower_case = has_capitals.then(|| Cow::Owned(id.to_ascii_lowercase()));
    iter::once(Cow::Borrowed(id)).chain(lower_case)
}

/// Returns whether frontends write this text in place of an id: `NaN` (Doris 1.2 to 4.x, for a statement without an
/// id), `N/A`, `null`, `0-0` (an id that was never set), a UUID of zeros.
fn is_placeholder(text: &str) -> bool {
    ["null", "nan", "n/a", "unknown", "none", "-1"]
        .iter()
        .any(|word| text.eq_ignore_ascii_case(word))
        || text.contains('-') && text.bytes().all(|byte| matches!(byte, b'0' | b'-'))
}

impl fmt::Display for QueryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_tokens_of_bounded_length() {
        assert_eq!(" 1a-2b ".parse::<QueryId>().unwrap().as_str(), "1a-2b");
        assert_eq!("".parse::<QueryId>(), Err(QueryIdError::Missing));
        assert_eq!("null".parse::<QueryId>(), Err(QueryIdError::Missing));
        assert_eq!("a b".parse::<QueryId>(), Err(QueryIdError::NotAToken));
        assert_eq!("a\0b".parse::<QueryId>(), Err(QueryIdError::NotAToken));
        assert!("é".repeat(128).parse::<QueryId>().is_ok());
        assert_eq!("x".repeat(129).parse::<QueryId>(), Err(QueryIdError::TooLong));
    }

    #[test]
    fn derived_ids_are_the_same_in_every_version() {
        let id = QueryId::derived(&["stream_load", "db1", "label"]);
        assert_eq!(id.as_str(), "dde2ed46c07bc173-a419b01c8a6964a8");
        assert_ne!(id, QueryId::derived(&["stream_load", "db", "1label"]));
    }
}
