//! Who asks. Clients of Doris send HTTP Basic with every request; a browser that logged in sends the id of
//! its session.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use blake2::{Blake2s256, Digest};
use tokio::sync::Semaphore;

use crate::domain::account::{Account, Role};
use crate::http::envelope::ApiError;
use crate::store::Store;

/// An account that was added or removed counts after so long.
const ACCOUNTS_KEPT: Duration = Duration::from_secs(1);
/// Passwords that are verified at the same time: each takes 19 MiB and a core.
const AT_ONCE: usize = 2;
/// Wrong passwords for a name that cost nothing more; each further one doubles the wait.
const FREE_TRIES: u32 = 5;
/// The wait before a password is looked at, at first and at most. Nobody is locked out.
const WAITS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3));
/// How long somebody who logged in stays so.
pub(crate) const SESSION_LASTS: Duration = Duration::from_secs(12 * 3600);
/// Sessions at the same time. Beyond that the one that would end first is ended.
const SESSIONS: usize = 10_000;
/// Names whose failures are remembered. Beyond that all are forgotten, which lets a guesser begin anew
/// at the price of so many requests.
const REMEMBERED_NAMES: usize = 10_000;

/// Who asks, and what they may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Principal {
    /// What they are called; `None` where nobody is asked.
    pub name: Option<String>,
    /// Whose queries they see; `None` for everybody's.
    pub sees_only: Option<String>,
    /// Whether they may add to the history.
    pub may_push: bool,
}

/// Somebody who logged in.
struct Session {
    /// As the account was then: a new password or role ends its sessions.
    account: Account,
    ends: Instant,
}

/// Accounts by name, and when they were read.
type ReadAccounts = (Instant, Arc<HashMap<String, Account>>);

/// Tells who asks by what they send.
pub(crate) struct Authenticator {
    store: Store,
    /// Those of the configuration, who go over those of the history.
    configured: Vec<Account>,
    /// Whether it was so from the start that only those with an account may ask.
    always: bool,
    accounts: Mutex<Option<ReadAccounts>>,
    /// Held by who reads them anew.
    reading: tokio::sync::Mutex<()>,
    /// Stands in for the account that a name has not, so that both take the same time.
    nobody: Account,
    /// What verified passwords are remembered by: of this process alone.
    key: [u8; 32],
    /// By name, the hash that a password was verified against, and what it is remembered by.
    verified: Mutex<HashMap<String, (String, [u8; 32])>>,
    failures: Mutex<HashMap<String, u32>>,
    /// By the hash of their id, so that ids are not found by how long a comparison takes.
    sessions: Mutex<HashMap<[u8; 32], Session>>,
    verifying: Semaphore,
}

impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authenticator").field("always", &self.always).finish_non_exhaustive()
    }
}

/// Why nobody can be let in.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum AuthenticatorError {
    #[error("the accounts cannot be read")]
    Accounts(#[from] crate::store::StoreError),
    #[error("the system gives no random numbers: {0}")]
    Random(getrandom::Error),
}

impl Authenticator {
    /// A authenticator of a history. Once it has accounts, or the configuration has, only they may ask, for as long
    /// as this authenticator is_enabled.
    pub(crate) async fn new(
        store: Store,
        configured: Vec<Account>,
    ) -> Result<Authenticator, AuthenticatorError> {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(AuthenticatorError::Random)?;
        let mut hash = [0; 32];
        getrandom::fill(&mut hash).map_err(AuthenticatorError::Random)?;
        let always = !configured.is_empty() || !store.accounts().await?.is_empty();
        Ok(Authenticator {
            store,
            configured,
            always,
            accounts: Mutex::default(),
            reading: tokio::sync::Mutex::default(),
            nobody: Account::of_no_password(&hash),
            key,
            verified: Mutex::default(),
            failures: Mutex::default(),
            sessions: Mutex::default(),
            verifying: Semaphore::new(AT_ONCE),
        })
    }

    /// Whether only those with an account may ask.
    pub(crate) fn is_enabled(&self) -> bool {
        self.always
    }

    /// Who sent this `Authorization` header.
    pub(crate) async fn principal(
        &self,
        authorization: Option<&str>,
    ) -> Result<Principal, ApiError> {
        if let Some(principal) = self.known_principal(authorization) {
            return Ok(principal);
        }
        // Of each request this would be a large part, and few come so far.
        Box::pin(async {
            if self.asks_nobody(&*self.accounts().await?) {
                return Ok(Principal::ANYBODY);
            }
            let (name, password) = sent(authorization)?;
            self.account(name, &password).await.map(|account| Principal::of(&account))
        })
        .await
    }

    /// The same where it is known already, without reading accounts or verifying a password.
    pub(crate) fn known_principal(&self, authorization: Option<&str>) -> Option<Principal> {
        let accounts = self.fresh_accounts()?;
        if self.asks_nobody(&accounts) {
            return Some(Principal::ANYBODY);
        }
        let (name, password) = basic(authorization?)?;
        let account = accounts.get(known_name(&accounts, &name))?;
        self.remembers(account, &self.memory(&account.name, &password))
            .then(|| Principal::of(account))
    }

    fn asks_nobody(&self, accounts: &HashMap<String, Account>) -> bool {
        accounts.is_empty() && !self.always
    }

    /// Begins a session of those whose password this is; gives its id.
    pub(crate) async fn log_in(&self, name: String, password: &str) -> Result<String, ApiError> {
        let account = self.account(name, password).await?;
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(|error| ApiError::Internal(error.into()))?;
        let id = BASE64_URL_SAFE_NO_PAD.encode(random);
        let now = Instant::now();
        let mut sessions = unpoisoned(&self.sessions);
        if sessions.len() >= SESSIONS {
            sessions.retain(|_, session| session.ends > now);
        }
        if sessions.len() >= SESSIONS
            && let Some(first) = sessions.iter().min_by_key(|(_, session)| session.ends)
        {
            let first = *first.0;
            sessions.remove(&first);
        }
        sessions.insert(hash(&id), Session { account, ends: now + SESSION_LASTS });
        Ok(id)
    }

    /// Begins a session of those who sent this `Authorization` header; gives its id, or `None` where annals asks
    /// nobody who they are.
    pub(crate) async fn log_in_by(
        &self,
        authorization: Option<&str>,
    ) -> Result<Option<String>, ApiError> {
        if self.asks_nobody(&*self.accounts().await?) {
            return Ok(None);
        }
        let (name, password) = sent(authorization)?;
        self.log_in(name, &password).await.map(Some)
    }

    /// Whose session this is; `None` where it ended or never was.
    pub(crate) async fn principal_in_session(
        &self,
        id: &str,
    ) -> Result<Option<Principal>, ApiError> {
        let accounts = self.accounts().await?;
        let sessions = unpoisoned(&self.sessions);
        let session = sessions.get(&hash(id)).filter(|session| session.ends > Instant::now());
        let account = session.map(|session| &session.account);
        let account = account.filter(|account| accounts.get(&account.name) == Some(account));
        Ok(account.map(Principal::of))
    }

    /// Ends a session.
    pub(crate) fn log_out(&self, id: &str) {
        unpoisoned(&self.sessions).remove(&hash(id));
    }

    /// The account of a name and its password.
    async fn account(&self, name: String, password: &str) -> Result<Account, ApiError> {
        let accounts = self.accounts().await?;
        let name = known_name(&accounts, &name).to_string();
        let account = accounts.get(&name);
        let memory = self.memory(&name, password);
        let remembered = account.is_some_and(|account| self.remembers(account, &memory));
        if !remembered && !self.verify(&name, password, account).await {
            return Err(ApiError::Unauthorized("the user or the password is wrong".to_string()));
        }
        let Some(account) = account else {
            return Err(ApiError::Unauthorized("the user or the password is wrong".to_string()));
        };
        unpoisoned(&self.verified).insert(name, (account.password_hash.clone(), memory));
        Ok(account.clone())
    }

    /// Whether a password was verified before, by what it is remembered by.
    fn remembers(&self, account: &Account, memory: &[u8; 32]) -> bool {
        unpoisoned(&self.verified)
            .get(&account.name)
            .is_some_and(|(hash, known)| *hash == account.password_hash && known == memory)
    }

    /// The accounts, as they were read a short time ago.
    fn fresh_accounts(&self) -> Option<Arc<HashMap<String, Account>>> {
        let kept = unpoisoned(&self.accounts);
        let (_, accounts) = kept.as_ref().filter(|(read, _)| read.elapsed() < ACCOUNTS_KEPT)?;
        Some(accounts.clone())
    }

    async fn accounts(&self) -> Result<Arc<HashMap<String, Account>>, ApiError> {
        if let Some(accounts) = self.fresh_accounts() {
            return Ok(accounts);
        }
        let _reading = self.reading.lock().await;
        if let Some(accounts) = self.fresh_accounts() {
            return Ok(accounts);
        }
        let accounts = self.store.accounts().await?;
        let all = accounts.into_iter().chain(self.configured.iter().cloned());
        let accounts: HashMap<String, Account> =
            all.map(|account| (account.name.clone(), account)).collect();
        unpoisoned(&self.verified).retain(|name, _| accounts.contains_key(name));
        let accounts = Arc::new(accounts);
        *unpoisoned(&self.accounts) = Some((Instant::now(), accounts.clone()));
        Ok(accounts)
    }

    /// Looks at a password, the slower the more were wrong for this name. Takes as long for a name that has
    /// no account.
    async fn verify(&self, name: &str, password: &str, account: Option<&Account>) -> bool {
        let failures = unpoisoned(&self.failures).get(name).copied().unwrap_or(0);
        if let Some(doublings) = failures.checked_sub(FREE_TRIES) {
            tokio::time::sleep(WAITS.1.min(WAITS.0 * (1 << doublings.min(10)))).await;
        }
        let Ok(_permit) = self.verifying.acquire().await else {
            return false;
        };
        let right = tokio::task::block_in_place(|| {
            account.unwrap_or(&self.nobody).verifies(password) && account.is_some()
        });
        let mut failures = unpoisoned(&self.failures);
        if right {
            failures.remove(name);
        } else {
            if failures.len() >= REMEMBERED_NAMES {
                failures.clear();
            }
            let count = failures.entry(name.to_string()).or_default();
            *count = count.saturating_add(1);
            tracing::warn!("a wrong password was sent for {name:?}, {count} times by now");
        }
        right
    }

    /// What a password that was verified is remembered by.
    fn memory(&self, name: &str, password: &str) -> [u8; 32] {
        let mut hash = Blake2s256::new();
        hash.update(self.key);
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name);
        hash.update(password);
        hash.finalize().into()
    }
}

impl Principal {
    /// Whoever asks where nobody is asked who they are.
    const ANYBODY: Principal = Principal { name: None, sees_only: None, may_push: true };

    fn of(account: &Account) -> Principal {
        Principal {
            name: Some(account.name.clone()),
            sees_only: (account.role != Role::Admin).then(|| account.name.clone()),
            may_push: account.role.may_push(),
        }
    }
}

fn hash(id: &str) -> [u8; 32] {
    Blake2s256::digest(id).into()
}

/// The name that an account has of those by which Doris lets its user log in: `alice`, or `alice@default_cluster`,
/// of which Doris takes off what is_enabled behind the `@`. An account whose own name has one goes by all of it.
fn known_name<'n>(accounts: &HashMap<String, Account>, name: &'n str) -> &'n str {
    match name.split_once('@') {
        Some((bare, _)) if !accounts.contains_key(name) && accounts.contains_key(bare) => bare,
        _ => name,
    }
}

/// The name and the password in an `Authorization` header, or why there are none.
fn sent(authorization: Option<&str>) -> Result<(String, String), ApiError> {
    let missing = || ApiError::Unauthorized("say who asks, with HTTP Basic".to_string());
    basic(authorization.ok_or_else(missing)?).ok_or_else(|| {
        ApiError::Unauthorized("the Authorization header is not HTTP Basic".to_string())
    })
}

/// Reads `Basic` and the Base64 of `name:password`. Up to Doris 1.1 a name could begin with its cluster,
/// `default_cluster:alice`.
fn basic(authorization: &str) -> Option<(String, String)> {
    let (scheme, encoded) = authorization.split_once(' ')?;
    let decoded = BASE64_STANDARD.decode(encoded.trim()).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let in_cluster = text.strip_prefix("default_cluster:").and_then(|text| text.split_once(':'));
    let (name, password) = in_cluster.or_else(|| text.split_once(':'))?;
    scheme.eq_ignore_ascii_case("Basic").then(|| (name.to_string(), password.to_string()))
}

fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
