//! Reading: groups of queries with the percentiles of their durations.

use std::collections::{HashMap, HashSet};

use rusqlite::types::ValueRef;

use super::Store;
use super::scan::{Counted, OWN, Scan};
use crate::domain::filter::QueryFilter;
use crate::domain::statement::Fingerprint;
use crate::domain::statistics::Durations;
use crate::domain::time::Zone;
use crate::store::error::StoreError;

/// What queries are put together by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupBy {
    /// The shape of the statement.
    Statement,
    /// Whoever ran it.
    User,
    /// The database it ran in.
    Db,
    /// The hour it started in, of a zone's clock.
    Hour(Zone),
}

/// Queries together.
#[derive(Debug, Default)]
pub struct Group {
    /// The shape's fingerprint, where they are put together by it.
    pub fingerprint: Option<Fingerprint>,
    /// What else they are put together by; `None` where nobody said.
    pub name: Option<String>,
    /// How many they are.
    pub count: i64,
    /// How many failed.
    pub errors: i64,
    /// All durations together, in milliseconds.
    pub total_ms: i64,
    /// The durations that are known.
    pub durations: Durations,
    /// Rows scanned.
    pub scan_rows: i64,
    /// Bytes scanned.
    pub scan_bytes: i64,
    /// Whoever ran them, each by a number.
    pub users: foldhash::HashSet<usize>,
    /// The first start.
    pub first_ms: Option<i64>,
    /// The last start.
    pub last_ms: Option<i64>,
}

impl Store {
    /// The selected queries in groups, in no order, of those of `owner` alone where one is named; `limit` and
    /// `after` are not heeded, nor are queries without a shape, or a start, where they are put together by it.
    /// Memory grows with the number of groups and of different durations, not of queries.
    ///
    /// Around sqlx's macros: each row is only counted, and handing it from one thread to another takes longer
    /// than that; and with window functions SQLite sorts all rows by group and duration.
    pub async fn top(
        &self,
        filter: &QueryFilter,
        by: GroupBy,
        owner: Option<&str>,
    ) -> Result<Vec<Group>, StoreError> {
        let filter = filter.clone();
        let owner = owner.map(str::to_string);
        self.report_raw(move |sqlite, given_up| {
            let (mut groups, mut users) = (Groups::default(), Names::default());
            let mut hour = (i64::MIN, String::new());
            let (filter, owner) = (&filter, owner.as_deref());
            let selected = Scan { sqlite, filter, owner, given_up };
            selected.each(", fingerprint, user, db", |row| {
                let query = Counted::of(row)?;
                let user = text(row.get_ref(OWN + 1)?);
                let group = match by {
                    GroupBy::Statement => match row.get::<_, Option<i64>>(OWN)? {
                        Some(fingerprint) => groups.shape(fingerprint),
                        None => return Ok(()),
                    },
                    GroupBy::User => groups.named(user),
                    GroupBy::Db => groups.named(text(row.get_ref(OWN + 2)?)),
                    GroupBy::Hour(zone) => {
                        let Some(started_ms) = query.started_ms else { return Ok(()) };
                        // Offsets of zones are whole quarters of an hour; rows come by start, mostly.
                        let quarter = started_ms.div_euclid(900_000);
                        if quarter != hour.0 {
                            let start = zone.text(quarter * 900_000);
                            hour = (quarter, format!("{}:00", start.get(..13).unwrap_or("N/A")));
                        }
                        groups.named(Some(&hour.1))
                    }
                };
                group.count += 1;
                group.errors += query.errors;
                if let Some(ms) = query.duration_ms {
                    group.total_ms = group.total_ms.saturating_add(ms);
                    group.durations.add(ms);
                }
                group.scan_rows = group.scan_rows.saturating_add(query.scan_rows);
                group.scan_bytes = group.scan_bytes.saturating_add(query.scan_bytes);
                group.first_ms = query.started_ms.into_iter().chain(group.first_ms).min();
                group.last_ms = query.started_ms.max(group.last_ms);
                if let Some(user) = user {
                    group.users.insert(number_of(&mut users, user));
                }
                Ok(())
            })?;
            groups.all.iter_mut().for_each(|group| group.durations.settle());
            Ok(groups.all)
        })
        .await
    }

    /// The shapes of fingerprints, as far as they are known, each its first 64 KiB.
    pub async fn shapes(
        &self,
        fingerprints: &HashSet<Fingerprint>,
    ) -> Result<HashMap<Fingerprint, String>, StoreError> {
        let list: Vec<i64> = fingerprints.iter().map(|it| it.to_signed()).collect();
        let list = serde_json::json!(list).to_string();
        let shapes = sqlx::query!(
            "SELECT fingerprint, shape FROM statement
             WHERE fingerprint IN (SELECT value FROM json_each(?))",
            list
        )
        .fetch_all(&self.readers)
        .await?;
        Ok(shapes
            .into_iter()
            .map(|row| (Fingerprint::from_signed(row.fingerprint), row.shape))
            .collect())
    }
}

fn text(value: ValueRef<'_>) -> Option<&str> {
    value.as_str_or_null().ok().flatten()
}

/// Names with a number each. What they are hashed by was an eighth of the time that counting takes with the hash
/// of the standard library.
type Names = foldhash::HashMap<String, usize>;

/// The number of a name, a new one where it was not met before.
fn number_of(names: &mut Names, name: &str) -> usize {
    match names.get(name) {
        Some(number) => *number,
        None => {
            let number = names.len();
            names.insert(name.to_string(), number);
            number
        }
    }
}

#[derive(Default)]
struct Groups {
    all: Vec<Group>,
    shapes: foldhash::HashMap<i64, usize>,
    names: Names,
    unnamed: Option<usize>,
}

impl Groups {
    fn shape(&mut self, fingerprint: i64) -> &mut Group {
        let at = *self.shapes.entry(fingerprint).or_insert_with(|| {
            let fingerprint = Some(Fingerprint::from_signed(fingerprint));
            self.all.push(Group { fingerprint, ..Group::default() });
            self.all.len() - 1
        });
        &mut self.all[at]
    }

    fn named(&mut self, name: Option<&str>) -> &mut Group {
        let known = name.map_or(self.unnamed, |name| self.names.get(name).copied());
        let at = known.unwrap_or_else(|| {
            let at = self.all.len();
            match name {
                Some(name) => {
                    self.names.insert(name.to_string(), at);
                }
                None => self.unnamed = Some(at),
            }
            self.all.push(Group { name: name.map(str::to_string), ..Group::default() });
            at
        });
        &mut self.all[at]
    }
}
