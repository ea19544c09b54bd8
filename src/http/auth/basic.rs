//! HTTP Basic, and the forms in which Doris lets a user write their name.

use std::collections::HashMap;

use headers::authorization::{Authorization, Basic};
use headers::{Header, HeaderValue};

use crate::domain::account::Account;
use crate::http::error::ApiError;

/// A name and a password from an `Authorization` header.
#[derive(Debug)]
pub(in crate::http) struct BasicAuth(Authorization<Basic>);

impl BasicAuth {
    /// Returns `None` if the header is not HTTP Basic.
    pub(in crate::http) fn read(authorization: &str) -> Option<BasicAuth> {
        let header = HeaderValue::from_str(authorization).ok()?;
        Authorization::decode(&mut std::iter::once(&header)).ok().map(BasicAuth)
    }

    /// Errors if the header is missing, or is not HTTP Basic.
    pub(in crate::http) fn require(authorization: Option<&str>) -> Result<BasicAuth, ApiError> {
        let Some(authorization) = authorization else {
            return Err(ApiError::Unauthorized(
                "this needs a user and a password (HTTP Basic)".to_string(),
            ));
        };
        BasicAuth::read(authorization).ok_or_else(|| {
            ApiError::Unauthorized("the Authorization header is not HTTP Basic".to_string())
        })
    }

    /// Returns the name and the password. Up to Doris 1.1 a name may begin with its cluster, as in
    /// `default_cluster:alice`.
    pub(in crate::http) fn name_and_password(&self) -> (&str, &str) {
        let (name, password) = (self.0.username(), self.0.password());
        let in_cluster = (name == "default_cluster").then(|| password.split_once(':')).flatten();
        in_cluster.unwrap_or((name, password))
    }
}

/// Returns the name of the account that a user means. Doris logs `alice` in as `alice@default_cluster`, too, and drops
/// everything from the `@` on. An account whose own name has an `@` is meant by its whole name.
pub(in crate::http) fn account_name<'n>(
    accounts: &HashMap<String, Account>,
    name: &'n str,
) -> &'n str {
    match name.split_once('@') {
        Some((bare, _)) if !accounts.contains_key(name) && accounts.contains_key(bare) => bare,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;

    use super::*;
    use crate::domain::account::Role;

    fn read(header: &str) -> Option<(String, String)> {
        let auth = BasicAuth::read(header)?;
        let (name, password) = auth.name_and_password();
        Some((name.to_string(), password.to_string()))
    }

    #[test]
    fn the_name_ends_at_the_first_colon_behind_the_cluster() {
        for (text, expected) in [
            ("alice:secret", Some(("alice", "secret"))),
            ("alice:with:colons", Some(("alice", "with:colons"))),
            ("alice:", Some(("alice", ""))),
            (":secret", Some(("", "secret"))),
            ("jürgen:geheim ", Some(("jürgen", "geheim "))),
            ("default_cluster:alice:with:colons", Some(("alice", "with:colons"))),
            ("default_cluster:secret", Some(("default_cluster", "secret"))),
            ("no colon", None),
        ] {
            let encoded = BASE64_STANDARD.encode(text);
            let expected = expected.map(|(name, word)| (name.to_string(), word.to_string()));
            for header in [format!("Basic {encoded}"), format!("bASIC  {encoded}")] {
                assert_eq!(read(&header), expected, "{text}");
            }
            assert_eq!(read(&format!("Bearer {encoded}")), None);
            assert_eq!(read(&format!("Basic{encoded}")), None);
        }
        for header in ["", "Basic", "Basic ", "Basic %%%", "Basic /w==", "Basic YTpi=", "é"] {
            assert_eq!(read(header), None, "{header}");
        }
    }

    #[test]
    fn a_name_with_its_cluster_is_an_account_unless_another_has_the_whole_name() {
        let account = |name: &str| {
            let name = name.to_string();
            (
                name.clone(),
                Account { name, role: Role::User, password_hash: String::new(), clusters: None },
            )
        };
        let accounts = HashMap::from([account("alice"), account("alice@example.org")]);
        for (sent, meant) in [
            ("alice", "alice"),
            ("alice@default_cluster", "alice"),
            ("alice@example.org", "alice@example.org"),
            ("bob@default_cluster", "bob@default_cluster"),
        ] {
            assert_eq!(account_name(&accounts, sent), meant);
        }
    }
}
