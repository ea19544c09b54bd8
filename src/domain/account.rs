//! Accounts: who may read the history and push to it, and with which password.

use std::fmt;
use std::str::FromStr;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Argon2, Params};
use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;

use crate::domain::cluster::ClusterName;

/// The minimum length of a password, in characters.
const MIN_PASSWORD_CHARS: usize = 8;

/// The maximum length of a name, in bytes: longer than any name in Doris, and short enough to count and to log.
pub(crate) const MAX_NAME_BYTES: usize = 256;

/// What an account may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// May read the queries of all users, and push.
    Admin,
    /// May read the user's own queries.
    User,
    /// May read the queries of all users.
    Viewer,
    /// May read the user's own queries, and push.
    Writer,
}

#[derive(Debug, thiserror::Error)]
#[error("a role is one of admin, viewer, user and writer")]
pub(crate) struct UnknownRole;

impl Role {
    /// Returns the name that the store and the configuration use.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Role::Admin => "admin",
            Role::User => "user",
            Role::Viewer => "viewer",
            Role::Writer => "writer",
        }
    }

    /// Returns whether the queries of all users may be read, and the state of annals.
    pub(crate) fn sees_all(self) -> bool {
        matches!(self, Role::Admin | Role::Viewer)
    }

    /// Returns whether the account may add queries and profiles to the history.
    pub(crate) fn may_push(self) -> bool {
        matches!(self, Role::Admin | Role::Writer)
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(name: &str) -> Result<Role, UnknownRole> {
        let roles = [Role::Admin, Role::User, Role::Viewer, Role::Writer];
        roles.into_iter().find(|role| role.name() == name).ok_or(UnknownRole)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[derive(Debug, thiserror::Error)]
#[error("a password_hash is argon2id in the PHC form, as `annals user hash` prints it")]
pub(crate) struct InvalidPasswordHash;

#[derive(Debug, thiserror::Error)]
#[error(
    "a name must have 1 to {MAX_NAME_BYTES} bytes, must not be blank, must not begin or end with a space, and must not hold a \
     colon, a control character, or one that changes the direction of text"
)]
pub(crate) struct InvalidName;

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Account {
    /// The name of the user in Doris. The account's own queries are the queries of this user.
    pub name: String,
    pub role: Role,
    /// argon2id in the PHC form.
    pub password_hash: String,
    /// The clusters whose queries alone the account may see and push; none for all queries.
    pub clusters: Option<Vec<String>>,
}

impl fmt::Debug for Account {
    /// Omits the hash, which must not get into logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.role, self.name)
    }
}

/// Whether a character controls a terminal, or changes the direction of text.
pub(crate) fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Returns the names of clusters, each once; none if there are none.
pub(crate) fn names_of(clusters: Vec<ClusterName>) -> Option<Vec<String>> {
    let mut names: Vec<String> = clusters.iter().map(ToString::to_string).collect();
    names.sort();
    names.dedup();
    (!names.is_empty()).then_some(names)
}

/// Returns clusters as they are stored: a JSON array.
pub(crate) fn clusters_json(clusters: Option<&[String]>) -> Option<String> {
    clusters.map(|clusters| serde_json::json!(clusters).to_string())
}

/// Returns the clusters of the stored text. A text that is no array allows none.
pub(crate) fn clusters_of_json(text: Option<&str>) -> Option<Vec<String>> {
    text.map(|text| serde_json::from_str(text).unwrap_or_default())
}

/// Why a password is rejected.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PasswordError {
    #[error("a password must have at least {MIN_PASSWORD_CHARS} characters")]
    TooShort,
    #[error("the password cannot be hashed: {0}")]
    HashFailed(String),
}

impl Account {
    /// Returns an account with a new password, which is hashed here.
    pub(crate) fn new(name: String, role: Role, password: &str) -> Result<Account, PasswordError> {
        if password.chars().count() < MIN_PASSWORD_CHARS {
            return Err(PasswordError::TooShort);
        }
        let password_hash = Argon2::default()
            .hash_password(password.as_bytes())
            .map_err(|error| PasswordError::HashFailed(error.to_string()))?
            .to_string();
        Ok(Account { name, role, password_hash, clusters: None })
    }

    /// Returns an account that no password opens: the user logs in by a proxy.
    pub(crate) fn of_proxy(name: String, role: Role) -> Account {
        // Nobody knows a password whose hash is zero.
        Account { name, role, ..Account::without_password(&[0; 32]) }
    }

    /// Returns whether no password opens the account.
    pub(crate) fn has_no_password(&self) -> bool {
        self.password_hash == Account::without_password(&[0; 32]).password_hash
    }

    /// Returns a nameless account that no password opens. Verifying a password against its random `hash` takes as long
    /// as for any account, so the time does not reveal whether an account exists.
    pub(crate) fn without_password(hash: &[u8; 32]) -> Account {
        let (m, t, p) = (Params::DEFAULT_M_COST, Params::DEFAULT_T_COST, Params::DEFAULT_P_COST);
        let [salt, hash] = [&hash[..16], hash].map(|bytes| BASE64_STANDARD_NO_PAD.encode(bytes));
        let password_hash = format!("$argon2id$v=19$m={m},t={t},p={p}${salt}${hash}");
        Account { name: String::new(), role: Role::User, password_hash, clusters: None }
    }

    /// Returns an account with a hashed password. Errors if the hash is not argon2id in the PHC form.
    pub(crate) fn with_hash(
        name: String,
        role: Role,
        password_hash: String,
    ) -> Result<Account, InvalidPasswordHash> {
        match PasswordHash::new(&password_hash) {
            Ok(hash) if hash.algorithm.as_str() == "argon2id" => {
                Ok(Account { name, role, password_hash, clusters: None })
            }
            _ => Err(InvalidPasswordHash),
        }
    }

    /// Returns the account that may see the queries of some clusters alone; all if there are none.
    pub(crate) fn in_clusters(self, clusters: Vec<ClusterName>) -> Account {
        Account { clusters: names_of(clusters), ..self }
    }

    /// Returns the clusters as they are stored.
    pub(crate) fn clusters_json(&self) -> Option<String> {
        clusters_json(self.clusters.as_deref())
    }

    /// Rejects a name that HTTP Basic cannot transmit, because a colon separates name and password there; and one that
    /// looks like another name.
    pub(crate) fn check_name(name: &str) -> Result<(), InvalidName> {
        if name.is_empty()
            || name.trim() != name
            || name.len() > MAX_NAME_BYTES
            || name.contains(|c: char| c == ':' || is_control(c))
        {
            return Err(InvalidName);
        }
        Ok(())
    }

    /// Returns whether the account has this password. Takes some tens of milliseconds by design.
    pub(crate) fn has_password(&self, password: &str) -> bool {
        PasswordHash::new(&self.password_hash)
            .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
    }
}
