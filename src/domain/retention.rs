//! Retention: how long queries and profiles are stored, and how large the store may become.

use std::time::Duration;

use bytesize::ByteSize;
use serde::{Deserialize, Deserializer};

/// The limits of a history. A limit of `None` deletes nothing.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Retention {
    /// The longest age of queries and loads since their start. Older ones are deleted with their profiles.
    #[serde(default, deserialize_with = "deserialize_age")]
    pub keep_queries: Option<Duration>,
    /// The longest age of profiles since the start of their query. Older profiles are deleted.
    #[serde(default, deserialize_with = "deserialize_age")]
    pub keep_profiles: Option<Duration>,
    /// The largest size of the file with its write-ahead log, in bytes. The oldest queries are deleted with their
    /// profiles.
    #[serde(default, deserialize_with = "deserialize_size")]
    pub max_size: Option<u64>,
    /// The largest size of all profiles as they are stored, in bytes. The profiles of the oldest queries are deleted.
    #[serde(default, deserialize_with = "deserialize_size")]
    pub profiles_max_size: Option<u64>,
}

impl Retention {
    /// Returns whether any limit is set.
    pub(crate) fn is_bounded(&self) -> bool {
        *self != Retention::default()
    }

    /// Returns the time before which a query must have started to be deleted for its age, in Unix milliseconds.
    pub(crate) fn queries_cutoff_ms(&self, now_ms: i64) -> Option<i64> {
        Some(before(now_ms, self.keep_queries?))
    }

    /// Returns the time before which a query must have started for its profile to be deleted, in Unix milliseconds.
    pub(crate) fn profiles_cutoff_ms(&self, now_ms: i64) -> Option<i64> {
        Some(before(now_ms, self.keep_profiles?))
    }
}

fn before(now_ms: i64, age: Duration) -> i64 {
    now_ms.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX))
}

/// How long a label of a stream load is remembered. Doris forgets a label after three days; a client that sends a batch
/// again after a longer fault is still recognized.
const LABELS_KEPT_MS: i64 = 30 * 24 * 3600 * 1000;
/// The largest size of all labels, in bytes: some 200,000 of the usual length. Doris keeps 2,000 of each database.
const LABELS_MAX_BYTES: u64 = 32 << 20;
/// The part of a bound of size that labels may take. The history is what the bound is for.
const LABELS_PART: u64 = 8;

impl Retention {
    /// Returns the time before which a label must have been loaded to be forgotten, in Unix milliseconds.
    pub(crate) fn labels_cutoff_ms(now_ms: i64) -> i64 {
        now_ms.saturating_sub(LABELS_KEPT_MS)
    }

    /// Returns the largest size of all labels, in bytes. The oldest beyond it are forgotten.
    pub(crate) fn labels_max_bytes(&self) -> u64 {
        self.max_size.map_or(LABELS_MAX_BYTES, |bound| LABELS_MAX_BYTES.min(bound / LABELS_PART))
    }
}

/// The smallest limit of a size that a store can keep, in bytes.
const MIN_SIZE_BYTES: u64 = 16 << 20;

/// Why a text is not a limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LimitError {
    #[error("an age is written like 90d, 12h or 2years")]
    Age,
    #[error("a size is written like 20GB or 512MiB, and is at least 16MiB")]
    Size,
}

/// Reads an age like `90d`. Errors if it is zero.
pub(crate) fn parse_age(text: &str) -> Result<Duration, LimitError> {
    let age = humantime::parse_duration(text).map_err(|_| LimitError::Age)?;
    if age.is_zero() { Err(LimitError::Age) } else { Ok(age) }
}

/// Reads a size like `20GB`, in bytes. Errors if it is smaller than 16 MiB.
pub(crate) fn parse_size(text: &str) -> Result<u64, LimitError> {
    let size: ByteSize = text.parse().map_err(|_| LimitError::Size)?;
    if size.as_u64() < MIN_SIZE_BYTES { Err(LimitError::Size) } else { Ok(size.as_u64()) }
}

fn deserialize_age<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_age(&text).map(Some).map_err(serde::de::Error::custom)
}

fn deserialize_size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_size(&text).map(Some).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read() {
        let text = "keep_queries = '2years'\nkeep_profiles = '90d'\nmax_size = '20GB'";
        let retention: Retention = toml::from_str(text).unwrap();
        assert_eq!(retention.profiles_cutoff_ms(90 * 86_400_000 + 5), Some(5));
        assert_eq!(retention.max_size, Some(20_000_000_000));
        assert_eq!(retention.profiles_max_size, None);
        assert!(retention.is_bounded() && !Retention::default().is_bounded());
        assert_eq!(parse_size("16MiB"), Ok(MIN_SIZE_BYTES));
        for wrong in ["", "1MB", "-5GB", "many"] {
            assert_eq!(parse_size(wrong), Err(LimitError::Size), "{wrong}");
        }
        for wrong in ["", "90", "0d", "-5d", "soon"] {
            assert_eq!(parse_age(wrong), Err(LimitError::Age), "{wrong}");
        }
        assert!(toml::from_str::<Retention>("keep_records = '1d'").is_err());
        assert_eq!(retention.labels_max_bytes(), LABELS_MAX_BYTES);
        let small = Retention { max_size: Some(MIN_SIZE_BYTES), ..Retention::default() };
        assert_eq!(small.labels_max_bytes(), 2 << 20);
    }
}
