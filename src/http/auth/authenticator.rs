//! Finds the user of a request by what the request carries.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::basic::{BasicAuth, account_name};
use super::passwords::VerifiedPasswords;
use super::principal::Principal;
use super::sessions::Sessions;
use super::throttle::Throttle;
use crate::domain::account::Account;
use crate::http::cache::Slot;
use crate::http::error::ApiError;
use crate::store::Store;

/// A change to an account takes effect after at most this time.
const ACCOUNTS_FRESH: Duration = Duration::from_secs(1);
/// Passwords that are verified at the same time: each takes 19 MiB and a core.
const MAX_VERIFICATIONS: usize = 2;

/// Finds the user of a request.
pub(crate) struct Authenticator {
    store: Store,
    /// The accounts of the configuration. They replace accounts of the same name in the store.
    configured: Vec<Account>,
    is_enabled: bool,
    accounts: Slot<Accounts>,
    /// Verified in place of an account that does not exist, so that both take the same time.
    decoy: Account,
    verified: VerifiedPasswords,
    throttle: Throttle,
    sessions: Sessions,
    verifications: Semaphore,
}

/// All accounts at one time.
struct Accounts {
    read_at: Instant,
    by_name: HashMap<String, Account>,
}

impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authenticator")
            .field("is_enabled", &self.is_enabled)
            .finish_non_exhaustive()
    }
}

/// Why no request can be authenticated.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuthenticatorError {
    #[error("the accounts cannot be read")]
    Accounts(#[from] crate::store::StoreError),
    #[error("the system has no random numbers")]
    Random(#[from] getrandom::Error),
}

impl Authenticator {
    /// Returns an authenticator for the accounts in the store and in the configuration. Errors if the store cannot be
    /// read, or if the system has no random numbers.
    pub(crate) async fn new(
        store: Store,
        configured: Vec<Account>,
    ) -> Result<Authenticator, AuthenticatorError> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        let mut hash = [0; 32];
        getrandom::fill(&mut hash)?;
        let is_enabled = !configured.is_empty() || !store.accounts().await?.is_empty();
        Ok(Authenticator {
            store,
            configured,
            is_enabled,
            accounts: Slot::default(),
            decoy: Account::without_password(&hash),
            verified: VerifiedPasswords::new(key),
            throttle: Throttle::default(),
            sessions: Sessions::default(),
            verifications: Semaphore::new(MAX_VERIFICATIONS),
        })
    }

    /// Returns whether annals had an account when it started. If so, every request needs one, even after the last
    /// account is removed.
    pub(crate) fn is_enabled(&self) -> bool {
        self.is_enabled
    }

    /// Returns the sender of this `Authorization` header. Errors if the password is wrong, or if there is no user and
    /// annals has some.
    pub(crate) async fn principal(
        &self,
        authorization: Option<&str>,
    ) -> Result<Principal, ApiError> {
        if let Some(principal) = self.known_principal(authorization) {
            return Ok(principal);
        }
        // Boxed, because few requests come here, and the state of all would hold this.
        Box::pin(async {
            if self.is_open(&*self.accounts().await?) {
                return Ok(Principal::ANYBODY);
            }
            let auth = BasicAuth::require(authorization)?;
            let (name, password) = auth.name_and_password();
            self.account(name, password).await.map(|account| Principal::of(&account))
        })
        .await
    }

    /// Returns the same if neither accounts need to be read nor a password to be verified.
    pub(crate) fn known_principal(&self, authorization: Option<&str>) -> Option<Principal> {
        let accounts = self.accounts.get().filter(|accounts| accounts.is_fresh())?;
        if self.is_open(&accounts) {
            return Some(Principal::ANYBODY);
        }
        let auth = BasicAuth::read(authorization?)?;
        let (name, password) = auth.name_and_password();
        let account = accounts.by_name.get(account_name(&accounts.by_name, name))?;
        let digest = self.verified.digest(&account.name, password);
        self.verified.contains(account, &digest).then(|| Principal::of(account))
    }

    /// Returns whether a request needs no account. Accounts that were added since annals started are needed, too.
    fn is_open(&self, accounts: &Accounts) -> bool {
        accounts.by_name.is_empty() && !self.is_enabled
    }

    /// Begins a session and returns its id. Errors if the name or the password is wrong.
    pub(crate) async fn log_in(&self, name: &str, password: &str) -> Result<String, ApiError> {
        let account = self.account(name, password).await?;
        self.sessions.begin(account).map_err(|error| ApiError::Internal(error.into()))
    }

    /// Begins a session for the sender of this `Authorization` header, and returns its id, or `None` if annals has no
    /// users. Errors as [`Authenticator::principal`] does.
    pub(crate) async fn log_in_by(
        &self,
        authorization: Option<&str>,
    ) -> Result<Option<String>, ApiError> {
        if self.is_open(&*self.accounts().await?) {
            return Ok(None);
        }
        let auth = BasicAuth::require(authorization)?;
        let (name, password) = auth.name_and_password();
        self.log_in(name, password).await.map(Some)
    }

    /// Returns the user of a session, or `None` if the session ended or never began. Errors if the accounts cannot be
    /// read.
    pub(crate) async fn principal_in_session(
        &self,
        id: &str,
    ) -> Result<Option<Principal>, ApiError> {
        let accounts = self.accounts().await?;
        let account = self.sessions.account(id, &accounts.by_name);
        Ok(account.as_ref().map(Principal::of))
    }

    pub(crate) fn log_out(&self, id: &str) {
        self.sessions.end(id);
    }

    /// Returns the account with this name and password. Errors if there is none.
    async fn account(&self, name: &str, password: &str) -> Result<Account, ApiError> {
        let accounts = self.accounts().await?;
        let name = account_name(&accounts.by_name, name);
        let account = accounts.by_name.get(name);
        let digest = self.verified.digest(name, password);
        let is_known = account.is_some_and(|account| self.verified.contains(account, &digest));
        let is_right = is_known || self.verify(name, password, account).await;
        let Some(account) = account.filter(|_| is_right) else {
            return Err(ApiError::Unauthorized("the user or the password is wrong".to_string()));
        };
        self.verified.insert(account, digest);
        Ok(account.clone())
    }

    async fn accounts(&self) -> Result<Arc<Accounts>, ApiError> {
        self.accounts.get_or_load(Accounts::is_fresh, self.read_accounts()).await
    }

    async fn read_accounts(&self) -> Result<Accounts, ApiError> {
        let stored = self.store.accounts().await?;
        let all = stored.into_iter().chain(self.configured.iter().cloned());
        let by_name = all.map(|account| (account.name.clone(), account)).collect();
        self.verified.retain(&by_name);
        Ok(Accounts { read_at: Instant::now(), by_name })
    }

    /// Returns whether a password is right, after a delay that grows with the wrong ones for this name. A name without
    /// an account takes as long.
    async fn verify(&self, name: &str, password: &str, account: Option<&Account>) -> bool {
        let delay = self.throttle.delay(name);
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let Ok(_permit) = self.verifications.acquire().await else {
            return false;
        };
        let is_right = tokio::task::block_in_place(|| {
            account.unwrap_or(&self.decoy).has_password(password) && account.is_some()
        });
        if is_right {
            self.throttle.succeeded(name);
        } else {
            let failures = self.throttle.failed(name);
            tracing::warn!(user = name, failures, "wrong password");
        }
        is_right
    }
}

impl Accounts {
    fn is_fresh(&self) -> bool {
        self.read_at.elapsed() < ACCOUNTS_FRESH
    }
}
