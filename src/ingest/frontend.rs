//! Collects from a live frontend, again and again: its list of queries, and each profile once before the
//! frontend forgets it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;

use super::{Parcel, Pipeline, Source};
use crate::domain::profile::Profile;
use crate::domain::record::{QueryId, QueryRecord};
use crate::domain::time::Zone;
use crate::formats::SkipReason;
use crate::formats::frontend::{Frontend, FrontendClient, FrontendError};
use crate::store::{Store, WriteError};

/// Profiles that are asked for at the same time.
const AT_ONCE: usize = 4;
/// Looks at the list in which a missing profile is asked for: it may be there a moment after its query has
/// ended.
const TRIES: u8 = 3;
/// The longest time between two tries at a frontend that does not answer.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// Profiles that came are written after so long, though others of the same look are still on their source.
const WRITTEN_WITHIN: Duration = Duration::from_secs(1);
/// How often it is found out anew what a frontend knows, for it may have been upgraded.
const ROUTES_KEPT: Duration = Duration::from_secs(600);

/// Collects from a frontend for ever; one look at its list comes `every` so long after the one before.
pub(crate) async fn collect(
    pipeline: Arc<Pipeline>,
    store: Store,
    frontend: Frontend,
    every: Duration,
) {
    let name = format!("frontend {}", frontend.url);
    let source = pipeline.source(&name);
    let client = match FrontendClient::new(frontend) {
        Ok(client) => client,
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "{name} cannot be asked");
            source.failed(&error);
            return;
        }
    };
    let mut collector = Collector {
        name: name.clone(),
        pipeline,
        store,
        source: source.clone(),
        client,
        routes_found: Instant::now(),
        complete: HashSet::new(),
        running: HashSet::new(),
        tries: HashMap::new(),
        last_list: HashSet::new(),
        told_of_gap: false,
        told_of_rows: false,
    };
    let mut failures = 0;
    loop {
        match collector.look().await {
            Ok(()) => {
                if failures > 0 {
                    tracing::warn!("{name} works again");
                }
                failures = 0;
                source.succeeded();
                tokio::time::sleep(every).await;
            }
            Err(error) => {
                source.failed(&error);
                if failures == 0 {
                    tracing::warn!(error = &error as &dyn std::error::Error, "{name} fails");
                }
                collector.client.forget_routes();
                let pause = LONGEST_PAUSE.min(every * (1 << failures.min(16)));
                failures += 1;
                // Those who failed together do not come back together.
                tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64())).await;
            }
        }
    }
}

/// Why a look did not come to its end.
#[derive(Debug, thiserror::Error)]
enum LookError {
    #[error(transparent)]
    Frontend(#[from] FrontendError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("the history cannot be read")]
    Read(#[from] crate::store::StoreError),
}

struct Collector {
    name: String,
    pipeline: Arc<Pipeline>,
    store: Store,
    source: Arc<Source>,
    client: FrontendClient,
    routes_found: Instant,
    /// What needs nothing more, of those in the list.
    complete: HashSet<QueryId>,
    /// What is stored as running.
    running: HashSet<QueryId>,
    /// How often a profile was missing.
    tries: HashMap<QueryId, u8>,
    last_list: HashSet<QueryId>,
    told_of_gap: bool,
    told_of_rows: bool,
}

impl Collector {
    /// Takes in what is new in the list.
    async fn look(&mut self) -> Result<(), LookError> {
        if self.routes_found.elapsed() > ROUTES_KEPT {
            self.client.forget_routes();
            self.routes_found = Instant::now();
        }
        let list = self.client.list().await?;
        if list.not_understood > 0 && !self.told_of_rows {
            self.told_of_rows = true;
            tracing::warn!(
                rows = list.not_understood,
                "{} lists rows that annals does not understand",
                self.name
            );
        }
        self.forget_all_but(&list.queries, list.is_short);
        let list = list.queries;
        let unknown: Vec<QueryId> = list
            .iter()
            .map(|record| &record.query_id)
            .filter(|id| !self.complete.contains(id) && !self.tries.contains_key(id))
            .cloned()
            .collect();
        self.complete.extend(self.store.complete(&unknown).await?);

        let mut parcel = self.pipeline.parcel();
        let mut ended = Vec::new();
        // Newest first is how frontends list; those that are forgotten first are fetched first.
        for record in list.into_iter().rev() {
            if self.complete.contains(&record.query_id) {
                continue;
            }
            if self.pipeline.excludes(&record) {
                if !record.is_running() {
                    self.complete.insert(record.query_id.clone());
                    parcel.record(record);
                }
            } else if !record.is_running() {
                ended.push(record);
            } else if self.running.insert(record.query_id.clone()) {
                parcel.record(record);
            }
        }
        if !parcel.is_empty() {
            self.pipeline.write(&self.source, parcel).await?;
        }
        self.fetch(ended).await
    }

    /// Keeps in mind only what the frontend does, so that memory stays bounded.
    fn forget_all_but(&mut self, list: &[QueryRecord], is_short: bool) {
        let listed: HashSet<QueryId> = list.iter().map(|record| record.query_id.clone()).collect();
        self.complete.retain(|id| listed.contains(id));
        self.running.retain(|id| listed.contains(id));
        self.tries.retain(|id, _| listed.contains(id));
        let turned_over = !self.last_list.is_empty() && self.last_list.is_disjoint(&listed);
        if turned_over && !is_short && !listed.is_empty() && !self.told_of_gap {
            self.told_of_gap = true;
            tracing::warn!(
                "the list of a frontend turned over between two looks, so queries may be missing; look \
                 more often with every_seconds, or follow its audit log too"
            );
        }
        self.last_list = listed;
    }

    /// Takes in the profiles of queries that have ended, and their rows.
    async fn fetch(&mut self, ended: Vec<QueryRecord>) -> Result<(), LookError> {
        let mut missing = ended.len() as u64;
        self.source.lag(missing);
        let mut parcel = self.pipeline.parcel();
        let mut taken = Vec::new();
        let mut first_route = None;
        let mut failed = None;
        let mut written = Instant::now();
        let client = &self.client;
        let mut answers = futures_util::stream::iter(ended)
            .map(|record| async move {
                let profile = client.profile(&record.query_id).await;
                (record, profile)
            })
            .buffer_unordered(AT_ONCE);
        while let Some((record, profile)) = answers.next().await {
            missing -= 1;
            let id = record.query_id.clone();
            let found = match profile {
                Ok(Some((text, route))) => {
                    first_route = Some(route);
                    tokio::task::block_in_place(|| {
                        add_profile(client.zone(), &self.source, &mut parcel, &id, text)
                    })
                }
                Ok(None) => false,
                Err(error) => {
                    let single = matches!(
                        error,
                        FrontendError::TooLarge(_) | FrontendError::Failed(_)
                    ) || matches!(&error, FrontendError::NoAnswer(error) if error.is_timeout());
                    self.source.failed(&error);
                    if !single {
                        failed = Some(error);
                        break;
                    }
                    false
                }
            };
            let tries = self.tries.entry(id.clone()).or_default();
            *tries += 1;
            if *tries == 1 || found {
                parcel.record(record);
            }
            if found || *tries >= TRIES {
                taken.push(id);
            }
            if parcel.is_full() || written.elapsed() > WRITTEN_WITHIN {
                let full = std::mem::replace(&mut parcel, self.pipeline.parcel());
                self.pipeline.write(&self.source, full).await?;
                self.complete.extend(taken.drain(..));
                self.source.lag(missing);
                written = Instant::now();
            }
        }
        drop(answers);
        if !parcel.is_empty() {
            self.pipeline.write(&self.source, parcel).await?;
        }
        self.complete.extend(taken);
        self.source.lag(missing);
        if let Some(route) = first_route {
            self.client.prefer_profile_route(route);
        }
        failed.map_or(Ok(()), |error| Err(error.into()))
    }
}

/// Adds a profile to a parcel; `false` where the text is not one of this query.
fn add_profile(
    zone: Zone,
    source: &Source,
    parcel: &mut Parcel,
    asked: &QueryId,
    text: Vec<u8>,
) -> bool {
    match Profile::parse(text, zone) {
        Ok(profile) if profile.summary.query_id == *asked => {
            parcel.profile(profile);
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
