//! Finds the user of a request by what the request carries.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::basic::{BasicAuth, account_name};
use super::passwords::VerifiedPasswords;
use super::principal::Principal;
use super::sessions::Sessions;
use super::verification::{Attempt, Verification};
use crate::domain::account::{Account, MAX_NAME_BYTES};
use crate::http::cache::Slot;
use crate::http::client::Client;
use crate::http::error::ApiError;
use crate::store::{Store, StoreError};

/// A change to an account takes effect after at most this time.
const ACCOUNTS_FRESH: Duration = Duration::from_secs(1);

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
    verification: Verification,
    sessions: Sessions,
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
    Accounts(#[from] StoreError),
    #[error("the system has no random numbers")]
    Random(#[from] getrandom::Error),
    #[error("no thread can be started to verify passwords")]
    Threads(#[source] std::io::Error),
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
        let mut authenticator = Authenticator {
            store,
            configured,
            is_enabled: false,
            accounts: Slot::default(),
            decoy: Account::without_password(&hash),
            verified: VerifiedPasswords::new(key),
            verification: Verification::start().map_err(AuthenticatorError::Threads)?,
            sessions: Sessions::default(),
        };
        let accounts = authenticator.read_accounts();
        let accounts = authenticator.accounts.get_or_load(Accounts::is_fresh, accounts).await?;
        authenticator.is_enabled = !accounts.by_name.is_empty();
        Ok(authenticator)
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
        client: Client,
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
            self.account(name, password, client).await.map(|account| Principal::of(&account))
        })
        .await
    }

    /// Returns the same if neither accounts need to be read nor a password to be verified.
    pub(crate) fn known_principal(&self, authorization: Option<&str>) -> Option<Principal> {
        let accounts = self.accounts.get().filter(|accounts| accounts.is_fresh())?;
        self.principal_among(&accounts, authorization)
    }

    /// Returns the sender of this `Authorization` header if it was verified before, and holds still. Errors if the accounts
    /// cannot be read.
    pub(crate) async fn verified_principal(
        &self,
        authorization: Option<&str>,
    ) -> Result<Option<Principal>, ApiError> {
        let accounts = self.accounts().await?;
        Ok(self.principal_among(&accounts, authorization))
    }

    fn principal_among(
        &self,
        accounts: &Accounts,
        authorization: Option<&str>,
    ) -> Option<Principal> {
        if self.is_open(accounts) {
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
    pub(crate) async fn log_in(
        &self,
        name: &str,
        password: &str,
        client: Client,
    ) -> Result<String, ApiError> {
        let account = self.account(name, password, client).await?;
        self.sessions.begin(account).map_err(|error| ApiError::Internal(error.into()))
    }

    /// Begins a session for the sender of this `Authorization` header, and returns its id, or `None` if annals has no
    /// users. Errors as [`Authenticator::principal`] does.
    pub(crate) async fn log_in_by(
        &self,
        authorization: Option<&str>,
        client: Client,
    ) -> Result<Option<String>, ApiError> {
        if self.is_open(&*self.accounts().await?) {
            return Ok(None);
        }
        let auth = BasicAuth::require(authorization)?;
        let (name, password) = auth.name_and_password();
        self.log_in(name, password, client).await.map(Some)
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
    async fn account(
        &self,
        name: &str,
        password: &str,
        client: Client,
    ) -> Result<Account, ApiError> {
        let wrong = || ApiError::Unauthorized("the user or the password is wrong".to_string());
        // No account has a longer name, so that nothing needs to be verified, counted or logged.
        if name.len() > MAX_NAME_BYTES {
            return Err(wrong());
        }
        let accounts = self.accounts().await?;
        let name = account_name(&accounts.by_name, name);
        let account = accounts.by_name.get(name);
        let digest = self.verified.digest(name, password);
        let is_known = account.is_some_and(|account| self.verified.contains(account, &digest));
        if !is_known {
            // A name without an account takes as long.
            let verified = account.unwrap_or(&self.decoy).clone();
            let attempt = Attempt { name, password, digest, client };
            let outcome = self.verification.is_right(attempt, verified).await;
            if !outcome.map_err(too_many)? {
                return Err(wrong());
            }
        }
        let account = account.ok_or_else(wrong)?;
        self.verified.insert(account, digest);
        Ok(account.clone())
    }

    /// Returns the accounts. While no server of the database answers, nobody changes an account in it, and the accounts that were
    /// read last count: an admin finds out by `/metrics` and the status what is wrong.
    async fn accounts(&self) -> Result<Arc<Accounts>, ApiError> {
        let read = self.accounts.get_or_load(Accounts::is_fresh, self.read_accounts());
        match (self.store.unless_away(read).await, self.accounts.get()) {
            (Err(StoreError::Unreachable(_)), Some(last)) => Ok(last),
            (read, _) => Ok(read?),
        }
    }

    async fn read_accounts(&self) -> Result<Accounts, StoreError> {
        let stored = self.store.accounts().await?;
        let all = stored.into_iter().chain(self.configured.iter().cloned());
        let by_name = all.map(|account| (account.name.clone(), account)).collect();
        self.verified.retain(&by_name);
        Ok(Accounts { read_at: Instant::now(), by_name })
    }
}

/// Returns the error for a client that tried too many passwords, and may try again after a time.
fn too_many(wait: Duration) -> ApiError {
    // Rounded up, so that the next try is not too early.
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    let sentence = format!("too many passwords were tried; try again in {seconds} s");
    ApiError::TooMany(sentence, Duration::from_secs(seconds))
}

impl Accounts {
    fn is_fresh(&self) -> bool {
        self.read_at.elapsed() < ACCOUNTS_FRESH
    }
}
