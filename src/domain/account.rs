//! The domain: who may ask annals, and for what.

use std::fmt;
use std::str::FromStr;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Argon2, Params};
use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;

/// The fewest characters of a password.
const MIN_PASSWORD_CHARS: usize = 8;

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// See everybody's queries, and push.
    Admin,
    /// See their own queries.
    User,
    /// Push, and see their own queries.
    Writer,
}

/// A text that names no role.
#[derive(Debug, thiserror::Error)]
#[error("a role is one of admin, user and writer")]
pub struct NotARole;

impl Role {
    /// The name the store keeps.
    pub fn name(self) -> &'static str {
        match self {
            Role::Admin => "admin",
            Role::User => "user",
            Role::Writer => "writer",
        }
    }

    /// Whether they may add to the history.
    pub fn may_push(self) -> bool {
        matches!(self, Role::Admin | Role::Writer)
    }
}

impl FromStr for Role {
    type Err = NotARole;

    fn from_str(name: &str) -> Result<Role, NotARole> {
        let roles = [Role::Admin, Role::User, Role::Writer];
        roles.into_iter().find(|role| role.name() == name).ok_or(NotARole)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A hash that cannot be one.
#[derive(Debug, thiserror::Error)]
#[error("a password_hash is argon2id in the PHC form, as `annals user hash` prints it")]
pub struct NotAHash;

/// A name that cannot be one.
#[derive(Debug, thiserror::Error)]
#[error("a name must not be empty, nor hold a colon or a control character")]
pub struct NotAName;

/// Somebody who may ask.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// As Doris calls the user: their own queries are those of this user.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// argon2id, in the PHC form.
    pub password_hash: String,
}

impl fmt::Debug for Account {
    /// Without the hash.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.role, self.name)
    }
}

/// Why a password is not taken.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// It is easily guessed.
    #[error("a password must have at least {MIN_PASSWORD_CHARS} characters")]
    TooShort,
    /// It cannot be hashed.
    #[error("the password cannot be hashed: {0}")]
    NotHashed(String),
}

impl Account {
    /// An account of a new password.
    pub fn new(name: String, role: Role, password: &str) -> Result<Account, PasswordError> {
        if password.chars().count() < MIN_PASSWORD_CHARS {
            return Err(PasswordError::TooShort);
        }
        let password_hash = Argon2::default()
            .hash_password(password.as_bytes())
            .map_err(|error| PasswordError::NotHashed(error.to_string()))?
            .to_string();
        Ok(Account { name, role, password_hash })
    }

    /// An account without a name, of no password: a random `hash` takes as long to compare with as that of one,
    /// and no password has it.
    pub fn of_no_password(hash: &[u8; 32]) -> Account {
        let (m, t, p) = (Params::DEFAULT_M_COST, Params::DEFAULT_T_COST, Params::DEFAULT_P_COST);
        let [salt, hash] = [&hash[..16], hash].map(|bytes| BASE64_STANDARD_NO_PAD.encode(bytes));
        let password_hash = format!("$argon2id$v=19$m={m},t={t},p={p}${salt}${hash}");
        Account { name: String::new(), role: Role::User, password_hash }
    }

    /// An account of a password that was hashed before.
    pub fn of_hash(name: String, role: Role, password_hash: String) -> Result<Account, NotAHash> {
        match PasswordHash::new(&password_hash) {
            Ok(hash) if hash.algorithm.as_str() == "argon2id" => {
                Ok(Account { name, role, password_hash })
            }
            _ => Err(NotAHash),
        }
    }

    /// Refuses a name that HTTP Basic cannot carry: it puts a colon behind it.
    pub fn check_name(name: &str) -> Result<(), NotAName> {
        if name.is_empty() || name.contains(|c: char| c == ':' || c.is_control()) {
            return Err(NotAName);
        }
        Ok(())
    }

    /// Whether a password is theirs. Takes some tens of milliseconds, by design.
    pub fn verifies(&self, password: &str) -> bool {
        PasswordHash::new(&self.password_hash)
            .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
    }
}
