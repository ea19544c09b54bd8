//! Where a history is: in a file, or in a database of PostgreSQL.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer};

pub(crate) use super::postgres::PostgresAddress;

/// The place of a history.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Address {
    /// A file of SQLite.
    File(PathBuf),
    Postgres(Box<PostgresAddress>),
}

/// Why a text is no place of a history.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}; write postgres://USER@HOST:PORT/DATABASE, or the name of a file")]
pub(crate) struct AddressError(pub(super) String);

impl Address {
    /// Reads an address: what begins with `postgres://` or `postgresql://` is one of PostgreSQL, anything else the name of a
    /// file.
    pub(crate) fn parse(text: OsString) -> Result<Address, AddressError> {
        match text.to_str() {
            Some(url) if url.starts_with("postgres://") || url.starts_with("postgresql://") => {
                PostgresAddress::parse(url).map(|address| Address::Postgres(Box::new(address)))
            }
            _ => Ok(Address::File(PathBuf::from(text))),
        }
    }

    /// Returns false if there is no history at the address. That of a server is only known once it is opened.
    pub(crate) fn may_exist(&self) -> bool {
        match self {
            Address::File(path) => path.exists(),
            Address::Postgres(_) => true,
        }
    }

    /// Errors if the history would have a bound of size that its engine cannot keep.
    pub(crate) fn check_bound(&self, max_size: Option<u64>) -> anyhow::Result<()> {
        match self {
            Address::Postgres(address) if max_size.is_some() => anyhow::bail!(
                "max_size bounds a file, and the history {address} is in PostgreSQL; bound it with keep_queries, \
                 keep_profiles and profiles_max_size, and its disk with a tablespace of its own"
            ),
            _ => Ok(()),
        }
    }

    /// Returns the file of a history that is in one. Errors with a sentence for the user: `instead` says what PostgreSQL has
    /// for the same purpose.
    pub(crate) fn file(self, instead: &str) -> anyhow::Result<PathBuf> {
        match self {
            Address::File(path) => Ok(path),
            Address::Postgres(address) => {
                anyhow::bail!("the history {address} is in PostgreSQL, not in a file; {instead}")
            }
        }
    }
}

impl fmt::Display for Address {
    /// Writes the address without a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::File(path) => write!(f, "{}", path.display()),
            Address::Postgres(address) => write!(f, "{address}"),
        }
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Address, D::Error> {
        let text = String::deserialize(deserializer)?;
        Address::parse(text.into()).map_err(serde::de::Error::custom)
    }
}
