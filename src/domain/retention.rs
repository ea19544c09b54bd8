//! The domain: how long, and how much of it, a history is kept.

use std::time::Duration;

use bytesize::ByteSize;
use serde::{Deserialize, Deserializer};

/// What bounds a history. What is `None` bounds nothing.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Retention {
    /// Queries and loads whose start is longer ago go, with their profiles.
    #[serde(default, deserialize_with = "age")]
    pub keep_queries: Option<Duration>,
    /// Profiles of queries whose start is longer ago go.
    #[serde(default, deserialize_with = "age")]
    pub keep_profiles: Option<Duration>,
    /// The file and its write-ahead log are to stay within so many bytes: the oldest queries go, with
    /// their profiles.
    #[serde(default, deserialize_with = "size")]
    pub max_size: Option<u64>,
    /// The profiles together, as they are stored: those of the oldest queries go.
    #[serde(default, deserialize_with = "size")]
    pub profiles_max_size: Option<u64>,
}

impl Retention {
    /// Whether it bounds anything.
    pub(crate) fn is_bounded(&self) -> bool {
        *self != Retention::default()
    }

    /// Queries that started before this go; `None` where none go for their age.
    pub(crate) fn queries_from_ms(&self, now_ms: i64) -> Option<i64> {
        Some(before(now_ms, self.keep_queries?))
    }

    /// Profiles of queries that started before this go; `None` where none go for their age.
    pub(crate) fn profiles_from_ms(&self, now_ms: i64) -> Option<i64> {
        Some(before(now_ms, self.keep_profiles?))
    }
}

fn before(now_ms: i64, age: Duration) -> i64 {
    now_ms.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX))
}

/// The smallest size that a history can be kept within, in bytes.
pub(crate) const MIN_SIZE: u64 = 16 << 20;

/// Why a text is no bound.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub(crate) enum BoundError {
    #[error("an age is written like 90d, 12h or 2years")]
    Age,
    #[error("a size is written like 20GB or 512MiB, and is at least 16MiB")]
    Size,
}

/// Reads an age, like `90d`.
pub(crate) fn parse_age(text: &str) -> Result<Duration, BoundError> {
    let age = humantime::parse_duration(text).map_err(|_| BoundError::Age)?;
    if age.is_zero() { Err(BoundError::Age) } else { Ok(age) }
}

/// Reads a size, like `20GB`.
pub(crate) fn parse_size(text: &str) -> Result<u64, BoundError> {
    let size: ByteSize = text.parse().map_err(|_| BoundError::Size)?;
    if size.as_u64() < MIN_SIZE { Err(BoundError::Size) } else { Ok(size.as_u64()) }
}

fn age<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_age(&text).map(Some).map_err(serde::de::Error::custom)
}

fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_size(&text).map(Some).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_read() {
        let text = "keep_queries = '2years'\nkeep_profiles = '90d'\nmax_size = '20GB'";
        let retention: Retention = toml::from_str(text).unwrap();
        assert_eq!(retention.profiles_from_ms(90 * 86_400_000 + 5), Some(5));
        assert_eq!(retention.max_size, Some(20_000_000_000));
        assert_eq!(retention.profiles_max_size, None);
        assert!(retention.is_bounded() && !Retention::default().is_bounded());
        assert_eq!(parse_size("16MiB"), Ok(MIN_SIZE));
        for wrong in ["", "1MB", "-5GB", "many"] {
            assert_eq!(parse_size(wrong), Err(BoundError::Size), "{wrong}");
        }
        for wrong in ["", "90", "0d", "-5d", "soon"] {
            assert_eq!(parse_age(wrong), Err(BoundError::Age), "{wrong}");
        }
        assert!(toml::from_str::<Retention>("keep_records = '1d'").is_err());
    }
}
