//! Audit tables in the configuration.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::Deserialize;
use toml::Spanned;

use super::{Config, Password, file_name};
use crate::domain::cluster::ClusterName;
use crate::domain::time::{Zone, now_ms, parse_typed_time_ms};
use crate::formats::audit_table::{AuditTableSettings, AuditTableUrl, TableName};
use crate::ingest::audit_table::AuditTableSource;

/// An audit table in the configuration file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuditTableConfig {
    pub url: AuditTableUrl,
    /// The name of the source; without it, the frontends of the URL.
    pub name: Option<String>,
    pub table: Option<TableName>,
    #[serde(default, deserialize_with = "file_name")]
    pub password_file: Option<Spanned<PathBuf>>,
    pub password_env: Option<Spanned<String>>,
    pub time_zone: Option<Zone>,
    pub cluster: Option<ClusterName>,
    #[serde(default)]
    pub interval_seconds: Interval,
    #[serde(default)]
    pub page_size: PageSize,
    /// A day or a time.
    pub since: Option<String>,
}

/// The time from one look for new rows to the next, from 1 to 3600 seconds.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "u64")]
pub(crate) struct Interval(u64);

impl Default for Interval {
    fn default() -> Interval {
        Interval(10)
    }
}

impl TryFrom<u64> for Interval {
    type Error = &'static str;

    fn try_from(seconds: u64) -> Result<Interval, &'static str> {
        match seconds {
            1..=3600 => Ok(Interval(seconds)),
            _ => Err("interval_seconds must be from 1 to 3600"),
        }
    }
}

/// About how many rows one statement reads, from 100 to 1,000,000.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "u64")]
pub(crate) struct PageSize(u64);

impl Default for PageSize {
    fn default() -> PageSize {
        PageSize(10_000)
    }
}

impl TryFrom<u64> for PageSize {
    type Error = &'static str;

    fn try_from(rows: u64) -> Result<PageSize, &'static str> {
        match rows {
            100..=1_000_000 => Ok(PageSize(rows)),
            _ => Err("page_size must be from 100 to 1000000"),
        }
    }
}

impl AuditTableConfig {
    /// Returns the configuration of an audit table on the command line.
    ///
    /// Errors if the text is no address. The message does not repeat the text, which may hold a password.
    pub(crate) fn of_text(text: &str) -> anyhow::Result<AuditTableConfig> {
        Ok(AuditTableConfig {
            url: text.parse()?,
            name: None,
            table: None,
            password_file: None,
            password_env: None,
            time_zone: None,
            cluster: None,
            interval_seconds: Interval::default(),
            page_size: PageSize::default(),
            since: None,
        })
    }

    /// Returns the table with its password. Errors if the password or a file of TLS cannot be read.
    fn source(&self, config: &Config) -> anyhow::Result<AuditTableSource> {
        for (parameter, file) in self.url.files() {
            std::fs::read(file).with_context(|| {
                format!("{}, which {parameter} names, cannot be read", file.display())
            })?;
        }
        let name = self.name.clone().unwrap_or_else(|| self.url.to_string());
        let password = Password {
            file: self.password_file.as_ref(),
            variable: self.password_env.as_ref(),
            default_variable: "ANNALS_AUDIT_TABLE_PASSWORD",
        };
        let password = password.read(config, &self.url)?;
        // The cluster names the zone, unless a person does.
        let zone = self.time_zone.or(config.time_zone);
        let since_ms = match &self.since {
            Some(since) => {
                let zone = zone.unwrap_or_else(|| config.zone());
                let ms = parse_typed_time_ms(since, zone, now_ms());
                Some(ms.with_context(|| format!("since of the audit table {name} is no time"))?)
            }
            None => None,
        };
        // Older rows would be removed as soon as they are stored.
        let kept_ms = config
            .retention
            .keep_queries
            .map(|age| now_ms().saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX)));
        let since_ms = since_ms.max(kept_ms);
        Ok(AuditTableSource {
            settings: AuditTableSettings {
                url: self.url.clone(),
                password,
                table: self.table.clone(),
                zone,
            },
            name,
            cluster: self.cluster.clone().or_else(|| config.cluster.clone()),
            interval: Duration::from_secs(self.interval_seconds.0),
            page_rows: self.page_size.0,
            since_ms,
        })
    }
}

impl Config {
    /// Returns the audit tables with their passwords: those of the texts, which the command line has, else those of the file.
    ///
    /// Errors if a text is no address, a password cannot be read, or two tables have one name.
    pub(crate) fn audit_tables(&self, texts: &[String]) -> anyhow::Result<Vec<AuditTableSource>> {
        let named = texts.iter().map(|text| AuditTableConfig::of_text(text));
        let named = named.collect::<anyhow::Result<Vec<_>>>()?;
        let tables = if named.is_empty() { &self.audit_table } else { &named };
        let mut sources: Vec<AuditTableSource> = Vec::new();
        for table in tables {
            let source = table.source(self)?;
            if sources.iter().any(|other| other.name == source.name) {
                bail!("two audit tables are called {}; give each a name of its own", source.name);
            }
            sources.push(source);
        }
        Ok(sources)
    }
}
