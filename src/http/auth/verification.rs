//! Passwords on their way to the [`Verifier`]: slowed down by [`Guesses`], logged if they are wrong, and verified once if
//! a client sends the same one many times at once.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};

use super::guesses::{Guesses, Unlogged};
use super::passwords::PasswordDigest;
use super::verifier::Verifier;
use crate::domain::account::Account;
use crate::http::client::Client;
use crate::http::lock;

/// The time to wait while too many passwords are verified.
const WAIT_IF_FULL: Duration = Duration::from_secs(1);

/// The name under which wrong tokens are counted, which no user has.
const TOKENS: &str = ":token";

/// Whether a password is right, or how long to wait before another try.
type Outcome = Result<bool, Duration>;

/// A password that a client sent.
pub(super) struct Attempt<'a> {
    pub(super) name: &'a str,
    pub(super) password: &'a str,
    /// The hash of both.
    pub(super) digest: PasswordDigest,
    pub(super) client: Client,
}

pub(super) struct Verification {
    guesses: Arc<Guesses>,
    verifier: Arc<Verifier>,
    /// What is verified at the moment, by client and digest.
    running: Mutex<foldhash::HashMap<(Client, PasswordDigest), WeakOutcome>>,
}

type WeakOutcome = WeakShared<BoxFuture<'static, Outcome>>;

impl Verification {
    /// Starts the threads that verify. Errors if the system has none.
    pub(super) fn start() -> std::io::Result<Verification> {
        let verifier = Arc::new(Verifier::start()?);
        Ok(Verification { guesses: Arc::default(), verifier, running: Mutex::default() })
    }

    /// Returns whether a password is that of `account`, after a delay that grows with the wrong ones. Errors with the time
    /// to wait if there were too many wrong ones, or if too many are verified.
    pub(super) async fn is_right(&self, attempt: Attempt<'_>, account: Account) -> Outcome {
        self.running(attempt, account).await
    }

    /// Counts a wrong token, after a delay that grows with the wrong ones. Errors with the time to wait if there were too many.
    pub(super) async fn reject_token(&self, client: Client) -> Result<(), Duration> {
        let guess = match self.guesses.begin(TOKENS, client, Instant::now()) {
            Ok(guess) => guess,
            Err(wait) => {
                log_tokens(self.guesses.rejected(client, Instant::now()), client);
                return Err(wait);
            }
        };
        if !guess.delay.is_zero() {
            tokio::time::sleep(guess.delay).await;
        }
        log_tokens(guess.failed(Instant::now()), client);
        Ok(())
    }

    fn running(
        &self,
        attempt: Attempt<'_>,
        account: Account,
    ) -> Shared<BoxFuture<'static, Outcome>> {
        let key = (attempt.client, attempt.digest);
        let mut running = lock(&self.running);
        if let Some(outcome) = running.get(&key).and_then(WeakShared::upgrade) {
            return outcome;
        }
        running.retain(|_, outcome| outcome.upgrade().is_some());
        let (guesses, verifier) = (self.guesses.clone(), self.verifier.clone());
        let (name, password) = (attempt.name.to_string(), attempt.password.to_string());
        let client = attempt.client;
        let outcome =
            async move { verify(&guesses, &verifier, &name, password, client, account).await };
        let outcome = outcome.boxed().shared();
        running.extend(outcome.downgrade().map(|outcome| (key, outcome)));
        outcome
    }
}

async fn verify(
    guesses: &Arc<Guesses>,
    verifier: &Verifier,
    name: &str,
    password: String,
    client: Client,
    account: Account,
) -> Outcome {
    let reject = |wait: Duration| {
        log(guesses.rejected(client, Instant::now()), name, client);
        Err(wait)
    };
    let guess = match guesses.begin(name, client, Instant::now()) {
        Ok(guess) => guess,
        Err(wait) => return reject(wait),
    };
    if !guess.delay.is_zero() {
        tokio::time::sleep(guess.delay).await;
    }
    match verifier.is_right(account, password, client).await {
        Err(_) => {
            guess.withdrawn();
            reject(WAIT_IF_FULL)
        }
        Ok(true) => {
            guess.succeeded();
            Ok(true)
        }
        Ok(false) => {
            log(guess.failed(Instant::now()), name, client);
            Ok(false)
        }
    }
}

/// Logs wrong passwords: how many they were, and the last name.
fn log(unlogged: Option<Unlogged>, name: &str, client: Client) {
    if let Some(Unlogged { wrong, rejected, omitted_lines }) = unlogged {
        tracing::warn!(user = name, %client, wrong, rejected, omitted_lines, "wrong passwords");
    }
}

/// Logs wrong tokens: how many they were, with the wrong passwords of the client.
fn log_tokens(unlogged: Option<Unlogged>, client: Client) {
    if let Some(Unlogged { wrong, rejected, omitted_lines }) = unlogged {
        tracing::warn!(%client, wrong, rejected, omitted_lines, "wrong tokens");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::account::Role;

    #[tokio::test]
    async fn the_same_password_at_once_is_verified_once() {
        let verification = Verification::start().unwrap();
        let account = Account::new("alice".to_string(), Role::User, "right-password").unwrap();
        let try_all = |password: &'static str| {
            let tries = (0..50).map(|_| {
                let client = Client::UNKNOWN;
                let digest = [password.len() as u8; 32];
                let attempt = Attempt { name: "alice", password, digest, client };
                verification.is_right(attempt, account.clone())
            });
            futures_util::future::join_all(tries)
        };
        assert_eq!(try_all("wrong").await, [Ok(false); 50]);
        assert_eq!(try_all("right-password").await, [Ok(true); 50]);
        // The five free ones are not used up.
        for _ in 0..4 {
            assert_eq!(try_all("wrong").await, [Ok(false); 50]);
        }
    }
}
