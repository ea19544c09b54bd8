//! The sessions of users who logged in. They end with the process.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use blake2::{Blake2s256, Digest};

use crate::domain::account::Account;
use crate::http::lock;

/// A session ends this long after the log-in.
pub(super) const SESSION_LIFETIME: Duration = Duration::from_secs(12 * 3600);
/// The most sessions at the same time. One more ends the session that would end first.
const MAX_SESSIONS: usize = 10_000;
/// The same of one account, so that nobody can end the sessions of others. A script that logs in for each request has
/// many.
const MAX_SESSIONS_EACH: usize = 100;

struct Session {
    /// The account at the time of the log-in: a new password or role ends the session.
    account: Account,
    ends: Instant,
}

/// Sessions by the hash of their id, so that the time of a lookup tells nothing about the ids.
pub(super) struct Sessions {
    max: usize,
    max_each: usize,
    by_hash: Mutex<HashMap<[u8; 32], Session>>,
}

impl Default for Sessions {
    fn default() -> Sessions {
        Sessions { max: MAX_SESSIONS, max_each: MAX_SESSIONS_EACH, by_hash: Mutex::default() }
    }
}

impl Sessions {
    /// Begins a session and returns its id. Errors if the system has no random numbers.
    pub(super) fn begin(&self, account: Account) -> Result<String, getrandom::Error> {
        let mut random = [0; 32];
        getrandom::fill(&mut random)?;
        let id = BASE64_URL_SAFE_NO_PAD.encode(random);
        let now = Instant::now();
        let mut sessions = lock(&self.by_hash);
        if sessions.len() >= self.max {
            sessions.retain(|_, session| session.ends > now);
        }
        let own = || sessions.iter().filter(|(_, session)| session.account.name == account.name);
        let first = if own().count() >= self.max_each {
            own().min_by_key(|(_, session)| session.ends)
        } else if sessions.len() >= self.max {
            sessions.iter().min_by_key(|(_, session)| session.ends)
        } else {
            None
        };
        if let Some(first) = first.map(|(hash, _)| *hash) {
            sessions.remove(&first);
        }
        sessions.insert(hash(&id), Session { account, ends: now + SESSION_LIFETIME });
        Ok(id)
    }

    /// Returns the account of a session, or `None` if `accounts` has changed it since the log-in, or if the session
    /// ended or never began.
    pub(super) fn account(&self, id: &str, accounts: &HashMap<String, Account>) -> Option<Account> {
        let sessions = lock(&self.by_hash);
        let session = sessions.get(&hash(id)).filter(|session| session.ends > Instant::now())?;
        let account = &session.account;
        (accounts.get(&account.name) == Some(account)).then(|| account.clone())
    }

    pub(super) fn end(&self, id: &str) {
        lock(&self.by_hash).remove(&hash(id));
    }
}

fn hash(id: &str) -> [u8; 32] {
    Blake2s256::digest(id).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::account::Role;

    fn account(name: &str) -> Account {
        Account {
            name: name.to_string(),
            role: Role::User,
            password_hash: String::new(),
            clusters: None,
        }
    }

    #[test]
    fn a_session_ends_with_its_account_as_it_was() {
        let sessions = Sessions::default();
        let id = sessions.begin(account("alice")).unwrap();
        let mut accounts = HashMap::from([("alice".to_string(), account("alice"))]);
        assert_eq!(sessions.account(&id, &accounts), Some(account("alice")));
        assert_eq!(sessions.account("other", &accounts), None);
        accounts.get_mut("alice").unwrap().role = Role::Admin;
        assert_eq!(sessions.account(&id, &accounts), None);
        accounts.clear();
        assert_eq!(sessions.account(&id, &accounts), None);
        accounts.insert("alice".to_string(), account("alice"));
        sessions.end(&id);
        assert_eq!(sessions.account(&id, &accounts), None);
    }

    /// Returns how many sessions there are, and how many of these ids name one.
    fn counts(sessions: &Sessions, ids: &[String]) -> (usize, usize) {
        let by_hash = lock(&sessions.by_hash);
        (by_hash.len(), ids.iter().filter(|id| by_hash.contains_key(&hash(id))).count())
    }

    fn few() -> Sessions {
        Sessions { max: 10, max_each: 3, ..Sessions::default() }
    }

    #[test]
    fn one_session_too_many_ends_the_oldest() {
        let sessions = few();
        let begin = |number: usize| sessions.begin(account(&format!("u{number}"))).unwrap();
        let ids: Vec<_> = (0..11).map(begin).collect();
        assert_eq!(counts(&sessions, &ids[..1]), (10, 0));
        assert_eq!(counts(&sessions, &ids[1..]), (10, 10));
    }

    #[test]
    fn an_account_ends_its_own_sessions_only() {
        let sessions = few();
        let other = [sessions.begin(account("bob")).unwrap()];
        let ids: Vec<_> = (0..4).map(|_| sessions.begin(account("alice")).unwrap()).collect();
        assert_eq!(counts(&sessions, &ids), (4, 3));
        assert_eq!(counts(&sessions, &ids[..1]).1, 0);
        assert_eq!(counts(&sessions, &other).1, 1);
    }
}
