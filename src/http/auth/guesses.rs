//! Slows down whoever guesses passwords, one after another or many at once. A password that was verified before never
//! comes here, so nobody is locked out.
//!
//! A guess counts in three ways: for the name and the client together, for the name, and for the client. All counts are
//! kept in tables of a fixed size that forget what was used least recently.

mod lines;
mod recent;
mod tokens;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use self::lines::Lines;
use self::recent::Recent;
use self::tokens::Tokens;
use crate::http::client::Client;
use crate::http::lock;

/// Wrong passwords of a client for a name without a delay. Each further one doubles the delay.
const FREE_FAILURES: u32 = 5;
/// The first delay before a password is verified.
const MIN_DELAY: Duration = Duration::from_millis(100);
const MAX_DELAY: Duration = Duration::from_secs(3);
/// Names and clients whose failures are counted: 6 MB with the longest names.
const MAX_KEYS: usize = 10_000;
/// Passwords that all clients together may try for a name at once, and then each second. One client gets a third of a
/// try each second, so that it leaves most of them to others.
const NAME_TOKENS: (u32, u32) = (20, 1);
/// Passwords that one client may try at once for all names, and then each second: far less than two cores verify.
const CLIENT_TOKENS: (u32, u32) = (30, 2);
/// Wrong passwords of a client are logged at most this often.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Counts passwords that were tried.
#[derive(Default)]
pub(super) struct Guesses {
    counts: Mutex<Counts>,
}

struct Counts {
    all_lines: Lines,
    by_name_and_client: Recent<(String, Client), Failures>,
    by_name: Recent<String, Tokens>,
    by_client: Recent<Client, OfClient>,
}

/// Wrong passwords of one client for one name.
#[derive(Default)]
struct Failures {
    /// Wrong passwords, and passwords that are being verified.
    count: u32,
    /// When the next one may be verified.
    next: Option<Instant>,
}

/// All passwords that one client tried.
struct OfClient {
    tokens: Tokens,
    /// Wrong and rejected ones since the last line in the log.
    unlogged: Unlogged,
    logged: Option<Instant>,
}

/// What a line in the log stands for.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unlogged {
    pub wrong: u32,
    pub rejected: u32,
    /// Lines about other clients that were not written before, because there were too many.
    pub omitted_lines: u32,
}

/// A password that may be verified. It counts as wrong unless it turns out to be right.
pub(super) struct Guess {
    guesses: Arc<Guesses>,
    name: String,
    client: Client,
    /// How long to wait before the password is verified.
    pub(super) delay: Duration,
}

impl Default for Counts {
    fn default() -> Counts {
        Counts {
            all_lines: Lines::default(),
            by_name_and_client: Recent::new(MAX_KEYS),
            by_name: Recent::new(MAX_KEYS),
            by_client: Recent::new(MAX_KEYS),
        }
    }
}

impl OfClient {
    fn new(now: Instant) -> OfClient {
        let (most, each_second) = CLIENT_TOKENS;
        let tokens = Tokens::new(most, each_second, now);
        OfClient { tokens, unlogged: Unlogged::default(), logged: None }
    }

    /// Returns what to log, if a line is due.
    fn take_unlogged(&mut self, all_lines: &mut Lines, now: Instant) -> Option<Unlogged> {
        if self.logged.is_some_and(|logged| now - logged < LOG_INTERVAL) {
            return None;
        }
        self.logged = Some(now);
        let unlogged = std::mem::take(&mut self.unlogged);
        let omitted_lines = all_lines.admit(now)?;
        Some(Unlogged { omitted_lines, ..unlogged })
    }
}

/// Returns the delay after so many wrong passwords.
fn delay_after(failures: u32) -> Duration {
    match failures.checked_sub(FREE_FAILURES) {
        None => Duration::ZERO,
        Some(doublings) => MAX_DELAY.min(MIN_DELAY * (1 << doublings.min(10))),
    }
}

impl Guesses {
    /// Counts a password that a client tries for a name. Errors with the time to wait if there were too many.
    pub(super) fn begin(
        self: &Arc<Guesses>,
        name: &str,
        client: Client,
        now: Instant,
    ) -> Result<Guess, Duration> {
        let name = counted_name(name).to_string();
        let mut counts = lock(&self.counts);
        let Counts { by_name_and_client, by_name, by_client, .. } = &mut *counts;
        let key = (name, client);
        // Nothing is counted before all three agree: what is rejected costs a guesser nothing, and tells nothing.
        let next = by_name_and_client.get(&key).and_then(|failures| failures.next);
        let delay = next.map_or(Duration::ZERO, |next| next.saturating_duration_since(now));
        let for_name = by_name.get(&key.0).map_or(Duration::ZERO, |tokens| tokens.wait(now));
        let for_client =
            by_client.get(&client).map_or(Duration::ZERO, |of_client| of_client.tokens.wait(now));
        let too_long = if delay > MAX_DELAY { delay } else { Duration::ZERO };
        let wait = too_long.max(for_name).max(for_client);
        if !wait.is_zero() {
            return Err(wait);
        }
        let (most, each_second) = NAME_TOKENS;
        by_name.entry(&key.0, || Tokens::new(most, each_second, now)).take(now);
        by_client.entry(&client, || OfClient::new(now)).tokens.take(now);
        let failures = by_name_and_client.entry(&key, Failures::default);
        failures.count = failures.count.saturating_add(1);
        failures.next = Some(now + delay + delay_after(failures.count));
        let (name, client) = key;
        Ok(Guess { guesses: self.clone(), name, client, delay })
    }

    /// Notes that a password was rejected without being verified. Returns what to log, if a line is due.
    pub(super) fn rejected(&self, client: Client, now: Instant) -> Option<Unlogged> {
        let mut counts = lock(&self.counts);
        let counts = &mut *counts;
        let of_client = counts.by_client.entry(&client, || OfClient::new(now));
        of_client.unlogged.rejected = of_client.unlogged.rejected.saturating_add(1);
        of_client.take_unlogged(&mut counts.all_lines, now)
    }
}

impl Guess {
    /// The password is wrong. Returns what to log, if a line is due.
    pub(super) fn failed(self, now: Instant) -> Option<Unlogged> {
        let mut counts = lock(&self.guesses.counts);
        let Counts { by_name_and_client, by_client, all_lines, .. } = &mut *counts;
        let key = (self.name.clone(), self.client);
        let failures = by_name_and_client.entry(&key, Failures::default);
        let next = now + delay_after(failures.count);
        failures.next = Some(failures.next.map_or(next, |reserved| reserved.max(next)));
        let of_client = by_client.entry(&self.client, || OfClient::new(now));
        of_client.unlogged.wrong = of_client.unlogged.wrong.saturating_add(1);
        of_client.take_unlogged(all_lines, now)
    }

    /// The password is right: the client may try others for the name as if none had been wrong.
    pub(super) fn succeeded(self) {
        let mut counts = lock(&self.guesses.counts);
        counts.by_name_and_client.remove(&(self.name.clone(), self.client));
        self.give_back(&mut counts);
    }

    /// The password was not verified.
    pub(super) fn withdrawn(self) {
        let mut counts = lock(&self.guesses.counts);
        let key = (self.name.clone(), self.client);
        let failures = counts.by_name_and_client.entry(&key, Failures::default);
        failures.count = failures.count.saturating_sub(1);
        self.give_back(&mut counts);
    }

    fn give_back(&self, counts: &mut Counts) {
        if let Some(tokens) = counts.by_name.get_mut(&self.name) {
            tokens.give_back();
        }
        if let Some(of_client) = counts.by_client.get_mut(&self.client) {
            of_client.tokens.give_back();
        }
    }
}

/// Returns the name that is counted: what is before an `@`. An account is also meant by its name with a cluster behind
/// it, and a name without an account must be counted alike.
fn counted_name(name: &str) -> &str {
    name.split_once('@').map_or(name, |(bare, _)| bare)
}

#[cfg(test)]
mod tests;
