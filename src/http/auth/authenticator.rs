//! Finds the user of a request by what the request carries.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::basic::account_name;
use super::claim::{Claim, Secret};
use super::passwords::VerifiedPasswords;
use super::principal::Principal;
use super::proxy_login::{ProxyLogin, ProxyUser};
use super::sessions::Sessions;
use super::verification::{Attempt, Verification};
use crate::domain::account::{Account, MAX_NAME_BYTES};
use crate::domain::time::now_ms;
use crate::domain::token::{Token, TokenHash};
use crate::http::cache::Slot;
use crate::http::client::Client;
use crate::http::error::ApiError;
use crate::ingest::TokenUses;
use crate::store::{Store, StoreError};

/// A change to an account or a token takes effect after at most this time.
const ACCOUNTS_FRESH: Duration = Duration::from_secs(1);

/// Finds the user of a request.
pub(crate) struct Authenticator {
    store: Store,
    /// The accounts of the configuration. They replace accounts of the same name in the store.
    configured: Vec<Account>,
    proxy_login: Option<ProxyLogin>,
    is_enabled: bool,
    accounts: Slot<Accounts>,
    /// Verified in place of an account that does not exist, so that both take the same time.
    decoy: Account,
    verified: VerifiedPasswords,
    verification: Verification,
    sessions: Sessions,
    token_uses: Arc<TokenUses>,
}

/// All accounts and tokens at one time.
struct Accounts {
    read_at: Instant,
    by_name: HashMap<String, Account>,
    tokens: HashMap<TokenHash, Token>,
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
    /// Returns an authenticator for the accounts and tokens in the store and those of the configuration. Errors if the store cannot be
    /// read, or if the system has no random numbers.
    pub(crate) async fn new(
        store: Store,
        configured: Vec<Account>,
        proxy_login: Option<ProxyLogin>,
    ) -> Result<Authenticator, AuthenticatorError> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        let mut hash = [0; 32];
        getrandom::fill(&mut hash)?;
        let mut authenticator = Authenticator {
            store,
            configured,
            proxy_login,
            is_enabled: false,
            accounts: Slot::default(),
            decoy: Account::without_password(&hash),
            verified: VerifiedPasswords::new(key),
            verification: Verification::start().map_err(AuthenticatorError::Threads)?,
            sessions: Sessions::default(),
            token_uses: Arc::default(),
        };
        let accounts = authenticator.read_accounts();
        let accounts = authenticator.accounts.get_or_load(Accounts::is_fresh, accounts).await?;
        authenticator.is_enabled = !accounts.is_empty() || authenticator.proxy_login.is_some();
        Ok(authenticator)
    }

    /// Returns whether annals had an account or a token when it started, or users are logged in by a proxy. If so, every
    /// request needs one, even after the last is removed.
    pub(crate) fn is_enabled(&self) -> bool {
        self.is_enabled
    }

    /// Returns which proxies name users, if any.
    pub(crate) fn proxy_login(&self) -> Option<&ProxyLogin> {
        self.proxy_login.as_ref()
    }

    /// Returns where uses of tokens are noted.
    pub(crate) fn token_uses(&self) -> Arc<TokenUses> {
        self.token_uses.clone()
    }

    /// Returns the sender of a request. Errors if the password or the token is wrong, if the proxy names a user whom annals
    /// does not know, or if the request names no user and annals has some.
    pub(crate) async fn principal(
        &self,
        claim: Claim<'_>,
        client: Client,
    ) -> Result<Principal, ApiError> {
        if let Some(principal) = self.known_principal(claim) {
            return Ok(principal);
        }
        // Boxed, because few requests come here, and the state of all would hold this.
        Box::pin(async {
            let accounts = self.accounts().await?;
            if let Some(user) = claim.proxied {
                return self.proxied_principal(&accounts, user);
            }
            if self.is_open(&accounts) {
                return Ok(Principal::ANYBODY);
            }
            match Secret::require(claim.authorization)? {
                Secret::Token(token) => self.token_principal(&accounts, token, client).await,
                Secret::Password(auth) => {
                    let (name, password) = auth.name_and_password();
                    self.account(name, password, client).await.map(|it| Principal::of(&it))
                }
            }
        })
        .await
    }

    /// Returns the same if neither accounts need to be read nor a password to be verified.
    pub(crate) fn known_principal(&self, claim: Claim<'_>) -> Option<Principal> {
        let accounts = self.accounts.get().filter(|accounts| accounts.is_fresh())?;
        self.principal_among(&accounts, claim)
    }

    /// Returns the sender of a request if its password was verified before, and what it proves holds still. Errors if the
    /// accounts cannot be read.
    pub(crate) async fn verified_principal(
        &self,
        claim: Claim<'_>,
    ) -> Result<Option<Principal>, ApiError> {
        let accounts = self.accounts().await?;
        Ok(self.principal_among(&accounts, claim))
    }

    fn principal_among(&self, accounts: &Accounts, claim: Claim<'_>) -> Option<Principal> {
        if let Some(user) = claim.proxied {
            return self.proxied_principal(accounts, user).ok();
        }
        if self.is_open(accounts) {
            return Some(Principal::ANYBODY);
        }
        match Secret::read(claim.authorization?)? {
            Secret::Token(token) => {
                let now_ms = now_ms();
                let token = accounts.tokens.get(&token).filter(|it| !it.has_expired(now_ms))?;
                self.token_uses.note(token, now_ms);
                Some(Principal::of_token(token))
            }
            Secret::Password(auth) => {
                let (name, password) = auth.name_and_password();
                let account = accounts.by_name.get(account_name(&accounts.by_name, name))?;
                let digest = self.verified.digest(&account.name, password);
                self.verified.contains(account, &digest).then(|| Principal::of(account))
            }
        }
    }

    /// Returns the user whom a trusted proxy names. Errors if annals does not know the user. The name counts as it is: one with
    /// an `@` is no other user's, because a proxy may log in users of several domains.
    fn proxied_principal(
        &self,
        accounts: &Accounts,
        user: &ProxyUser,
    ) -> Result<Principal, ApiError> {
        let unknown = |name: &str| {
            let sentence = format!(
                "annals does not know the user {name}, whom the proxy has logged in; `annals user add` adds one"
            );
            ApiError::Forbidden(sentence)
        };
        let Some(proxy_login) = &self.proxy_login else { return Err(unknown("")) };
        let name = proxy_login.name(user)?;
        let principal = match (accounts.by_name.get(name), proxy_login.default_role) {
            (Some(account), _) => Principal::of(account),
            (None, Some(role)) => Principal::without_account(name, role),
            (None, None) => return Err(unknown(name)),
        };
        Ok(principal.through_proxy(proxy_login.log_out_url()))
    }

    /// Returns the program that has a token. Errors if no token has this hash, after a delay that grows with the wrong ones, or
    /// if the token has expired.
    async fn token_principal(
        &self,
        accounts: &Accounts,
        token: TokenHash,
        client: Client,
    ) -> Result<Principal, ApiError> {
        let Some(token) = accounts.tokens.get(&token) else {
            let waited = self.verification.reject_token(client).await;
            waited.map_err(|wait| too_many("tokens", wait))?;
            let sentence = "the token is wrong, or was removed".to_string();
            return Err(ApiError::Unauthorized(sentence));
        };
        let now_ms = now_ms();
        if token.has_expired(now_ms) {
            return Err(ApiError::Unauthorized(format!("the token {} has expired", token.name)));
        }
        self.token_uses.note(token, now_ms);
        Ok(Principal::of_token(token))
    }

    /// Returns whether a request needs no account. Accounts and tokens that were added since annals started are needed, too.
    fn is_open(&self, accounts: &Accounts) -> bool {
        accounts.is_empty() && !self.is_enabled
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

    /// Begins a session for the sender of a request, and returns its id. Returns `None` if no session is needed: annals has no
    /// users, or a proxy names the user of each request. Errors as [`Authenticator::principal`] does, and for a token.
    pub(crate) async fn log_in_by(
        &self,
        claim: Claim<'_>,
        client: Client,
    ) -> Result<Option<String>, ApiError> {
        let accounts = self.accounts().await?;
        if let Some(user) = claim.proxied {
            return self.proxied_principal(&accounts, user).map(|_| None);
        }
        if self.is_open(&accounts) {
            return Ok(None);
        }
        match Secret::require(claim.authorization)? {
            // The session would go on after the token is removed.
            Secret::Token(_) => Err(ApiError::Unauthorized(
                "a token begins no session; send it with each request".to_string(),
            )),
            Secret::Password(auth) => {
                let (name, password) = auth.name_and_password();
                self.log_in(name, password, client).await.map(Some)
            }
        }
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
            if !outcome.map_err(|wait| too_many("passwords", wait))? {
                return Err(wrong());
            }
        }
        let account = account.ok_or_else(wrong)?;
        self.verified.insert(account, digest);
        Ok(account.clone())
    }

    /// Returns the accounts and tokens. While no server of the database answers, nobody changes one in it, and those that were
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
        let tokens = self.store.tokens().await?;
        let all = stored.into_iter().chain(self.configured.iter().cloned());
        let by_name = all.map(|account| (account.name.clone(), account)).collect();
        self.verified.retain(&by_name);
        let tokens = tokens.into_iter().map(|token| (token.hash, token)).collect();
        Ok(Accounts { read_at: Instant::now(), by_name, tokens })
    }
}

/// Returns the error for a client that tried too many passwords or tokens, and may try again after a time.
fn too_many(what: &str, wait: Duration) -> ApiError {
    // Rounded up, so that the next try is not too early.
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    let sentence = format!("too many {what} were tried; try again in {seconds} s");
    ApiError::TooMany(sentence, Duration::from_secs(seconds))
}

impl Accounts {
    fn is_empty(&self) -> bool {
        self.by_name.is_empty() && self.tokens.is_empty()
    }

    fn is_fresh(&self) -> bool {
        self.read_at.elapsed() < ACCOUNTS_FRESH
    }
}
