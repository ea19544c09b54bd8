//! Followed audit logs in the configuration.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::Config;
use crate::domain::cluster::ClusterName;
use crate::ingest::follow::FollowedLogs;

/// Audit logs to follow: a path, or a table with a path.
#[derive(Debug, Clone)]
pub(crate) struct FollowConfig {
    /// A name, or a pattern with * and ?.
    pub path: String,
    pub cluster: Option<ClusterName>,
}

impl From<String> for FollowConfig {
    fn from(path: String) -> FollowConfig {
        FollowConfig { path, cluster: None }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    path: String,
    cluster: Option<ClusterName>,
}

struct PathOrTable;

impl<'de> Visitor<'de> for PathOrTable {
    type Value = FollowConfig;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a path, or a table with path and cluster")
    }

    fn visit_str<E: Error>(self, path: &str) -> Result<FollowConfig, E> {
        not_empty(path.to_string()).map(FollowConfig::from)
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<FollowConfig, A::Error> {
        let Table { path, cluster } = Table::deserialize(MapAccessDeserializer::new(table))?;
        Ok(FollowConfig { path: not_empty(path)?, cluster })
    }
}

fn not_empty<E: Error>(path: String) -> Result<String, E> {
    if path.trim().is_empty() { Err(E::custom(EMPTY_PATH)) } else { Ok(path) }
}

/// The message about a name without a character.
pub(crate) const EMPTY_PATH: &str = "follow takes the names of files, and one of them is empty";

impl<'de> Deserialize<'de> for FollowConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<FollowConfig, D::Error> {
        deserializer.deserialize_any(PathOrTable)
    }
}

impl Config {
    /// Returns the audit logs to follow, each with its cluster.
    pub(crate) fn followed_logs(&self) -> Vec<FollowedLogs> {
        let logs = self.follow.iter().map(|follow| FollowedLogs {
            pattern: follow.path.clone(),
            cluster: follow.cluster.clone().or_else(|| self.cluster.clone()),
        });
        logs.collect()
    }
}
