//! Fingerprints: the short names of normalized statements.

use std::fmt;
use std::str::FromStr;

/// 64 bits of XXH3 over a [normalized](fn@super::normalize) statement, written as 16 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Fingerprint(u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is 16 hex digits")]
pub(crate) struct InvalidFingerprint;

impl Fingerprint {
    /// The hexadecimal digits of its text.
    pub(crate) const DIGITS: usize = 16;

    pub(crate) fn of_normalized(normalized: &str) -> Fingerprint {
        Fingerprint(xxhash_rust::xxh3::xxh3_64(normalized.as_bytes()))
    }

    /// Returns the same 64 bits as a signed number, which is how SQLite stores them.
    pub(crate) fn to_signed(self) -> i64 {
        self.0.cast_signed()
    }

    /// Returns the fingerprint that [`Fingerprint::to_signed`] gave these bits for.
    pub(crate) fn from_signed(bits: i64) -> Fingerprint {
        Fingerprint(bits.cast_unsigned())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl serde::Serialize for Fingerprint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromStr for Fingerprint {
    type Err = InvalidFingerprint;

    fn from_str(text: &str) -> Result<Fingerprint, InvalidFingerprint> {
        // `from_str_radix` accepts a sign as well.
        let is_hex =
            text.len() == Fingerprint::DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let bits = u64::from_str_radix(text, 16).map_err(|_| InvalidFingerprint)?;
        if is_hex { Ok(Fingerprint(bits)) } else { Err(InvalidFingerprint) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::normalize;
    use super::*;

    #[test]
    fn fingerprints_are_the_same_in_every_version() {
        let normalized = normalize("SELECT a FROM t WHERE b IN (1, 2)");
        let fingerprint = Fingerprint::of_normalized(&normalized);
        assert_eq!(fingerprint.to_string(), "af6035f278e1b724");
        assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
        assert_eq!(Fingerprint::from_signed(fingerprint.to_signed()), fingerprint);
        for wrong in ["", "123", "+123456789abcdef", "g123456789abcdef"] {
            assert_eq!(wrong.parse::<Fingerprint>(), Err(InvalidFingerprint));
        }
    }
}
