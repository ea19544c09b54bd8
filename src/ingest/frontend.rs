//! Polls a live frontend: its list of queries, and each profile once before the frontend forgets it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;

use super::{Pipeline, Source, WaitsFor};
use crate::domain::profile::Profile;
use crate::domain::record::{QueryId, QueryRecord};
use crate::domain::time::Zone;
use crate::formats::SkipReason;
use crate::formats::frontend::{Frontend, FrontendClient, FrontendError, List};
use crate::store::{Batch, Store, WriteError};

/// Profiles that are requested at the same time.
const CONCURRENT_PROFILES: usize = 4;
/// Polls in which a missing profile is requested: a frontend may list a query a moment before its profile exists.
const PROFILE_TRIES: u8 = 3;
/// The longest time between two tries at a frontend that does not answer.
const LONGEST_RETRY: Duration = Duration::from_secs(300);
/// Fetched profiles are written after this time, though the poll still fetches others.
const WRITE_INTERVAL: Duration = Duration::from_secs(1);
/// The least time of a lease: a frontend that is asked often is not passed from one annals to another for a short delay.
const LEAST_LEASE: Duration = Duration::from_secs(30);
/// How long the routes that a frontend knows are remembered: it may be upgraded.
const ROUTES_KEPT: Duration = Duration::from_secs(600);

/// Polls a frontend at this interval until the task is aborted. Of the annals that share a history, one polls; another takes
/// over if that one does not renew its lease for three intervals.
pub(crate) async fn poll_frontend(
    pipeline: Arc<Pipeline>,
    store: Store,
    frontend: Frontend,
    interval: Duration,
) {
    let name = format!("frontend {}", frontend.url);
    let source = pipeline.source(&name, frontend.cluster.clone());
    let client = match FrontendClient::new(frontend) {
        Ok(client) => client,
        Err(error) => {
            source.failed(&error);
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, source = name, "cannot poll the frontend");
            return;
        }
    };
    source.set_zone(client.zone());
    let mut poller = Poller::new(name, pipeline, store, source, client);
    let mut failures = 0;
    let lease_ms = i64::try_from((interval * 3).max(LEAST_LEASE).as_millis()).unwrap_or(i64::MAX);
    loop {
        let polled = match poller.store.holds(&poller.name, lease_ms).await {
            Ok(true) => {
                poller.source.set_waits_for(None);
                poller.poll().await
            }
            Ok(false) => {
                poller.source.set_waits_for(Some(WaitsFor::OtherAnnals));
                tokio::time::sleep(interval).await;
                continue;
            }
            Err(error) => Err(PollError::Read(error)),
        };
        let Err(error) = polled else {
            if failures > 0 {
                tracing::info!(source = poller.name, "the frontend answers again");
            }
            failures = 0;
            poller.source.succeeded();
            tokio::time::sleep(interval).await;
            continue;
        };
        poller.source.failed(&error);
        // Frontends that failed together are not tried together.
        let retry = retry_after(interval, failures).mul_f64(0.5 + fastrand::f64());
        if failures == 0 {
            let (source, retry_in_ms) = (&poller.name, retry.as_millis());
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, source, retry_in_ms, "the poll of a frontend failed");
        }
        poller.client.forget_routes();
        failures += 1;
        tokio::time::sleep(retry).await;
    }
}

/// Returns the time to the next try after some failures in a row: twice as long each time.
pub(super) fn retry_after(interval: Duration, failures: u32) -> Duration {
    LONGEST_RETRY.min(interval * (1 << failures.min(16)))
}

/// Why a poll did not complete.
#[derive(Debug, thiserror::Error)]
enum PollError {
    #[error(transparent)]
    Frontend(#[from] FrontendError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("the history cannot be read")]
    Read(#[from] crate::store::StoreError),
}

struct Poller {
    name: String,
    pipeline: Arc<Pipeline>,
    store: Store,
    source: Arc<Source>,
    client: FrontendClient,
    routes_found: Instant,
    /// Listed queries that have ended and need nothing more.
    complete: HashSet<QueryId>,
    /// Listed queries that are stored as running.
    running: HashSet<QueryId>,
    tries: Tries,
    last_list: HashSet<QueryId>,
    gap_is_logged: bool,
    rows_are_logged: bool,
}

impl Poller {
    fn new(
        name: String,
        pipeline: Arc<Pipeline>,
        store: Store,
        source: Arc<Source>,
        client: FrontendClient,
    ) -> Poller {
        Poller {
            name,
            pipeline,
            store,
            source,
            client,
            routes_found: Instant::now(),
            complete: HashSet::new(),
            running: HashSet::new(),
            tries: Tries::default(),
            last_list: HashSet::new(),
            gap_is_logged: false,
            rows_are_logged: false,
        }
    }

    /// Writes what is new in the frontend's list.
    async fn poll(&mut self) -> Result<(), PollError> {
        if self.routes_found.elapsed() > ROUTES_KEPT {
            self.client.forget_routes();
            self.routes_found = Instant::now();
        }
        let list = self.client.list().await?;
        self.log_oddities(&list);
        self.forget_unlisted(&list.queries);
        let unknown: Vec<QueryId> = list
            .queries
            .iter()
            .map(|record| &record.query_id)
            .filter(|id| !self.complete.contains(id) && !self.tries.contains(id))
            .cloned()
            .collect();
        self.complete.extend(self.store.complete(&unknown).await?);

        let mut batch = self.pipeline.batch(&self.source);
        let mut ended = Vec::new();
        // Frontends list the newest first, and forget the oldest first.
        for record in list.queries.into_iter().rev() {
            if self.complete.contains(&record.query_id) {
                continue;
            }
            if batch.excludes(&record) {
                if !record.is_running() {
                    self.complete.insert(record.query_id.clone());
                    batch.record(record);
                }
            } else if !record.is_running() {
                ended.push(record);
            } else if self.running.insert(record.query_id.clone()) {
                batch.record(record);
            }
        }
        if !batch.is_empty() {
            self.pipeline.write(&self.source, batch).await?;
        }
        self.fetch_profiles(ended).await
    }

    /// Logs, once each, what a person can do something about.
    fn log_oddities(&mut self, list: &List) {
        let source = &self.name;
        if list.not_understood > 0 && !std::mem::replace(&mut self.rows_are_logged, true) {
            let rows = list.not_understood;
            tracing::error!(source, rows, "annals does not understand rows of a frontend's list");
        }
        let turned_over = !self.last_list.is_empty()
            && !list.queries.is_empty()
            && !list.queries.iter().any(|record| self.last_list.contains(&record.query_id));
        if turned_over && !list.is_short && !std::mem::replace(&mut self.gap_is_logged, true) {
            tracing::error!(
                source,
                "two lists of a frontend have no query in common, so queries may be missing; lower \
                 poll_interval_seconds, or follow the audit log too"
            );
        }
    }

    /// Forgets what the frontend does not list any more, so that memory stays bounded.
    fn forget_unlisted(&mut self, list: &[QueryRecord]) {
        let listed: HashSet<QueryId> = list.iter().map(|record| record.query_id.clone()).collect();
        self.complete.retain(|id| listed.contains(id));
        self.running.retain(|id| listed.contains(id));
        self.tries.0.retain(|id, _| listed.contains(id));
        self.last_list = listed;
    }

    /// Fetches the profiles of queries that have ended, and writes them with their records.
    async fn fetch_profiles(&mut self, ended: Vec<QueryRecord>) -> Result<(), PollError> {
        let mut lag = ended.len() as u64;
        self.source.set_lag(lag);
        let mut batch = self.pipeline.batch(&self.source);
        let (mut done, mut failed, mut route_found) = (Vec::new(), None, None);
        let mut written = Instant::now();
        let client = &self.client;
        let mut answers = futures_util::stream::iter(ended)
            .map(|record| async move {
                let profile = client.profile(&record.query_id).await;
                (record, profile)
            })
            .buffer_unordered(CONCURRENT_PROFILES);
        while let Some((record, answer)) = answers.next().await {
            lag -= 1;
            let id = record.query_id.clone();
            let is_found = match answer {
                Ok(None) => false,
                Ok(Some((text, route))) => {
                    route_found = Some(route);
                    tokio::task::block_in_place(|| {
                        add_profile(client.zone(), &self.source, &mut batch, &id, text)
                    })
                }
                Err(error) => {
                    self.source.failed(&error);
                    if !is_of_one_profile(&error) {
                        failed = Some(error);
                        break;
                    }
                    false
                }
            };
            let tries = self.tries.count(&id);
            if tries == 1 || is_found {
                batch.record(record);
            }
            if is_found || tries >= PROFILE_TRIES {
                done.push(id);
            }
            if batch.is_full() || written.elapsed() > WRITE_INTERVAL {
                self.pipeline.write(&self.source, batch.take()).await?;
                self.complete.extend(done.drain(..));
                self.source.set_lag(lag);
                written = Instant::now();
            }
        }
        drop(answers);
        if !batch.is_empty() {
            self.pipeline.write(&self.source, batch).await?;
        }
        self.complete.extend(done);
        self.source.set_lag(lag);
        if let Some(route) = route_found {
            self.client.prefer_profile_route(route);
        }
        failed.map_or(Ok(()), |error| Err(error.into()))
    }
}

/// How often each profile was requested.
#[derive(Default)]
struct Tries(HashMap<QueryId, u8>);

impl Tries {
    fn contains(&self, id: &QueryId) -> bool {
        self.0.contains_key(id)
    }

    /// Counts a try, and returns how many there were.
    fn count(&mut self, id: &QueryId) -> u8 {
        let tries = self.0.entry(id.clone()).or_default();
        *tries += 1;
        *tries
    }
}

/// Whether an error says nothing about the other profiles of the frontend.
fn is_of_one_profile(error: &FrontendError) -> bool {
    match error {
        FrontendError::TooLarge(_) | FrontendError::Failed(_) => true,
        FrontendError::NoAnswer(error) => error.is_timeout(),
        _ => false,
    }
}

/// Adds a profile to a batch. Returns false, and counts the text as rejected, if it is no profile of this query.
fn add_profile(
    zone: Zone,
    source: &Source,
    batch: &mut Batch,
    query_id: &QueryId,
    text: Vec<u8>,
) -> bool {
    match Profile::parse(text, zone) {
        Ok(profile) if profile.summary.query_id == *query_id => {
            batch.profile(profile);
            true
        }
        Ok(_) => {
            source.rejected(SkipReason::OtherProfile);
            false
        }
        Err(error) => {
            source.rejected(error.into());
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_come_later_with_each_failure_but_never_more_than_minutes() {
        let every = Duration::from_secs(5);
        assert_eq!(retry_after(every, 0), every);
        assert_eq!(retry_after(every, 3), Duration::from_secs(40));
        assert_eq!(retry_after(every, 6), LONGEST_RETRY);
        assert_eq!(retry_after(Duration::from_secs(3600), u32::MAX), LONGEST_RETRY);
    }

    #[test]
    fn a_profile_of_another_query_is_rejected() {
        let source = Source::default();
        let mut batch = Batch::default();
        let id: QueryId = "1-2".parse().unwrap();
        let text = b"Summary:\n  - Profile ID: 3-4\n  - Task State: EOF\n".to_vec();
        assert!(!add_profile(Zone::UTC, &source, &mut batch, &id, text.clone()));
        assert!(!add_profile(Zone::UTC, &source, &mut batch, &id, b"nothing".to_vec()));
        assert!(batch.is_empty());
        assert_eq!(source.report().rejected.values().sum::<u64>(), 2);
        let id: QueryId = "3-4".parse().unwrap();
        assert!(add_profile(Zone::UTC, &source, &mut batch, &id, text));
        assert!(!batch.is_empty());
    }
}
