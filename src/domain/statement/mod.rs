//! Statement fingerprints: statements that differ only in their values, comments, white space, or the
//! letter case of keywords and functions are of one shape.
//!
//! The shape of a statement is the same in every version of annals of one major number, so this is a
//! tokenizer of our own: another's would change under us. It takes any text, also a statement that was cut.

mod compare;
mod escape;
mod keyword;
mod layout;
mod shape;
mod token;

use std::fmt;
use std::str::FromStr;

pub(crate) use compare::{same, says_more};
pub(crate) use escape::as_sent;
pub(crate) use layout::{Kind, format_sql, tokens};
use shape::is_left_open;
pub(crate) use shape::{SHAPE_VERSION, shape, shape_into};

/// The name of a shape: 64 bits of XXH3 over [`shape()`], in hex.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(u64);

/// Why a text is not a fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is 16 hex digits")]
pub struct NotAFingerprint;

impl Fingerprint {
    /// The fingerprint of a shape.
    pub fn of_shape(shape: &str) -> Fingerprint {
        Fingerprint(xxhash_rust::xxh3::xxh3_64(shape.as_bytes()))
    }

    /// As SQLite keeps it: the same 64 bits with a sign.
    pub fn to_signed(self) -> i64 {
        self.0.cast_signed()
    }

    /// From what SQLite keeps.
    pub fn from_signed(bits: i64) -> Fingerprint {
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
    type Err = NotAFingerprint;

    fn from_str(text: &str) -> Result<Fingerprint, NotAFingerprint> {
        let digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let bits = u64::from_str_radix(text, 16).map_err(|_| NotAFingerprint)?;
        if digits { Ok(Fingerprint(bits)) } else { Err(NotAFingerprint) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprint(statement: &str) -> Fingerprint {
        Fingerprint::of_shape(&shape(statement))
    }

    #[test]
    fn fingerprints_are_the_same_in_every_version() {
        let fingerprint = fingerprint("SELECT a FROM t WHERE b IN (1, 2)");
        assert_eq!(fingerprint.to_string(), "af6035f278e1b724");
        assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
        assert_eq!(Fingerprint::from_signed(fingerprint.to_signed()), fingerprint);
        for wrong in ["", "123", "+123456789abcdef", "g123456789abcdef"] {
            assert_eq!(wrong.parse::<Fingerprint>(), Err(NotAFingerprint));
        }
    }
}
