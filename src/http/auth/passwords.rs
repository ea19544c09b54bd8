//! Passwords that were verified before. To verify one takes tens of milliseconds by design, and clients send theirs
//! with every request.

use std::collections::HashMap;
use std::sync::Mutex;

use blake2::{Blake2s256, Digest};

use crate::domain::account::Account;
use crate::http::lock;

/// A name and a password, hashed with the key of this process.
pub(super) type PasswordDigest = [u8; 32];

/// The last password of each account that was verified, as a digest.
pub(super) struct VerifiedPasswords {
    key: [u8; 32],
    /// By the name of the account. The hash is the one that the password was verified against.
    by_name: Mutex<HashMap<String, (String, PasswordDigest)>>,
}

impl VerifiedPasswords {
    pub(super) fn new(key: [u8; 32]) -> VerifiedPasswords {
        VerifiedPasswords { key, by_name: Mutex::default() }
    }

    pub(super) fn digest(&self, name: &str, password: &str) -> PasswordDigest {
        let mut hash = Blake2s256::new();
        hash.update(self.key);
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name);
        hash.update(password);
        hash.finalize().into()
    }

    /// Returns whether this password was verified for the account, and the account has the same password hash still.
    pub(super) fn contains(&self, account: &Account, digest: &PasswordDigest) -> bool {
        lock(&self.by_name)
            .get(&account.name)
            .is_some_and(|(hash, known)| *hash == account.password_hash && known == digest)
    }

    pub(super) fn insert(&self, account: &Account, digest: PasswordDigest) {
        let entry = (account.password_hash.clone(), digest);
        lock(&self.by_name).insert(account.name.clone(), entry);
    }

    /// Forgets the passwords of all other accounts.
    pub(super) fn retain(&self, accounts: &HashMap<String, Account>) {
        lock(&self.by_name).retain(|name, _| accounts.contains_key(name));
    }
}
