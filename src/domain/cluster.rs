//! The names of clusters.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

use crate::domain::account::is_control;

/// The longest name, in bytes.
const MAX_NAME_BYTES: usize = 128;

/// The name of a cluster, as people call it: Doris and StarRocks write none into what they report of a query.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct ClusterName(String);

#[derive(Debug, thiserror::Error)]
#[error(
    "the name of a cluster must have 1 to {MAX_NAME_BYTES} bytes, and must hold neither a comma nor a control character, \
     nor a space at an end"
)]
pub(crate) struct InvalidClusterName;

impl ClusterName {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ClusterName {
    type Err = InvalidClusterName;

    fn from_str(name: &str) -> Result<ClusterName, InvalidClusterName> {
        // Options and the list of an account have commas between names.
        let is_valid = !name.is_empty()
            && name.len() <= MAX_NAME_BYTES
            && name.trim() == name
            && !name.contains(|c: char| c == ',' || is_control(c));
        is_valid.then(|| ClusterName(name.to_string())).ok_or(InvalidClusterName)
    }
}

impl TryFrom<String> for ClusterName {
    type Error = InvalidClusterName;

    fn try_from(name: String) -> Result<ClusterName, InvalidClusterName> {
        name.parse()
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_that_lists_and_terminals_can_show() {
        for name in ["prod", "eu west 1", "生产", "a:b/c", &"x".repeat(128)] {
            assert_eq!(name.parse::<ClusterName>().unwrap().as_str(), name);
        }
        for name in ["", " prod", "prod ", "a,b", "a\nb", "a\u{202e}b", &"x".repeat(129)] {
            assert!(name.parse::<ClusterName>().is_err(), "{name:?}");
        }
    }
}
