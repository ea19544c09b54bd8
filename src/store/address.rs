//! Where a history is: in a file, or in a database of PostgreSQL.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use serde::{Deserialize, Deserializer};

use super::error::OpenError;
pub(crate) use super::postgres::PostgresAddress;

/// The place of a history.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Address {
    /// A file of SQLite.
    File(PathBuf),
    Postgres(Box<PostgresAddress>),
}

/// What an address of PostgreSQL begins with.
const SCHEMES: [&str; 2] = ["postgres", "postgresql"];

/// The words before `=` by which PostgreSQL's own clients know an address in words: `host=db1 dbname=annals`.
const WORDS: [&str; 8] =
    ["host", "hostaddr", "port", "dbname", "user", "password", "service", "sslmode"];

/// Returns whether a text without `://` is meant as an address of PostgreSQL, and not as the name of a file.
fn is_meant_as_address(text: &str) -> bool {
    let is_scheme =
        |(start, _): (&str, &str)| SCHEMES.iter().any(|known| known.eq_ignore_ascii_case(start));
    let is_word = |(word, _): (&str, &str)| WORDS.contains(&word.trim());
    text.split_once(':').is_some_and(is_scheme) || text.split_once('=').is_some_and(is_word)
}

/// Returns whether a text where the name of a file belongs is an address, which may have a password.
pub(crate) fn is_address(text: &OsStr) -> bool {
    text.to_string_lossy().contains("://")
}

/// Why a text is no place of a history.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}; write postgres://USER@HOST:PORT/DATABASE, or the name of a file")]
pub(crate) struct AddressError(pub(super) String);

impl Address {
    /// Reads an address: a text with `://` is one of PostgreSQL, anything else the name of a file. Errors if the text before
    /// `://` is neither `postgres` nor `postgresql`, in any letter case, and if the text is an address in another form.
    pub(crate) fn parse(text: OsString) -> Result<Address, AddressError> {
        let url = text.to_string_lossy();
        let Some((scheme, _)) = url.split_once("://") else {
            // A mistyped address would be the name of a file, with its password.
            return match is_meant_as_address(&url) {
                true => Err(AddressError("an address of PostgreSQL is a URL".to_string())),
                false => Ok(Address::File(text.into())),
            };
        };
        if !SCHEMES.iter().any(|known| known.eq_ignore_ascii_case(scheme)) {
            // The text may be a password.
            return Err(AddressError(
                "an address of a history begins with postgres://".to_string(),
            ));
        }
        PostgresAddress::parse(&url).map(|address| Address::Postgres(Box::new(address)))
    }

    /// Returns the address of a history whose reads go to the replicas among the servers of another address.
    ///
    /// Errors if one of them is a file, or asks for other servers.
    pub(crate) fn with_reads_from(self, reads: Address) -> anyhow::Result<Address> {
        match (self, reads) {
            (Address::Postgres(address), Address::Postgres(reads)) => {
                Ok(Address::Postgres(Box::new(address.with_reads_from(*reads)?)))
            }
            (Address::File(path), _) => anyhow::bail!(
                "db_read names servers of PostgreSQL that answer reads, and the history {} is a file",
                path.display()
            ),
            (_, Address::File(_)) => anyhow::bail!(
                "db_read names servers of PostgreSQL that answer reads; write postgres://USER@HOST:PORT/DATABASE"
            ),
        }
    }

    /// Errors if the address names servers that annals could not write to.
    pub(crate) fn check_target(&self) -> Result<(), AddressError> {
        match self {
            Address::File(_) => Ok(()),
            Address::Postgres(address) => address.check_target(),
        }
    }

    /// Returns false if there is no history at the address. That of a server is only known once it is opened.
    pub(crate) fn may_exist(&self) -> bool {
        match self {
            Address::File(path) => path.exists(),
            Address::Postgres(_) => true,
        }
    }

    /// Errors if annals cannot write to the file, or cannot create it. Changes nothing, and asks no server.
    pub(crate) fn check_writable(&self) -> Result<(), OpenError> {
        let Address::File(path) = self else { return Ok(()) };
        if path.is_dir() {
            return Err(OpenError::IsAFolder(path.clone()));
        }
        let folder = folder_of(path);
        if !folder.is_dir() {
            return Err(OpenError::NoFolder(path.clone(), folder.to_path_buf()));
        }
        let is_writable = |path: &Path| access(path, Access::WRITE_OK).is_ok();
        match is_writable(folder) && (!path.exists() || is_writable(path)) {
            true => Ok(()),
            false => Err(OpenError::NotWritable(path.clone())),
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

/// Returns the folder of a file.
pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_with_a_scheme_is_an_address_and_never_a_file() {
        let parsed = |text: &str| Address::parse(text.into());
        for text in ["POSTGRES://u:s3cret@h/db", "PostgreSQL://u:s3cret@h/db"] {
            assert_eq!(parsed(text).unwrap().to_string(), "postgres://u@h/db");
        }
        for text in
            ["postgre://u:s3cret@h/db", "mysql://u:s3cret@h", " postgres://u:s3cret@h", "s3cret://"]
        {
            let error = parsed(text).unwrap_err().to_string();
            assert!(error.contains("postgres://") && !error.contains("s3cret"), "{error}");
        }
        for text in [
            "host=h user=u password=s3cret dbname=db",
            "password = s3cret",
            "postgres:/u:s3cret@h/db",
            "postgresql:u:s3cret@h",
        ] {
            let error = parsed(text).unwrap_err().to_string();
            assert!(error.contains("is a URL") && !error.contains("s3cret"), "{error}");
        }
        for name in ["a:b/c.db", "postgres.db", "./host=a", "year=2024.db"] {
            assert_eq!(parsed(name).unwrap(), Address::File(name.into()));
        }
    }
}
