//! The commands of the command line, one file each.

pub mod args;
pub mod backup;
pub mod check;
pub mod diff;
pub mod export;
pub mod generated;
pub mod import;
pub mod list;
pub mod merge;
pub mod output;
pub mod profile;
pub mod prune;
pub mod serve;
pub mod show;
pub mod stats;
pub mod top;
pub mod user;

use std::path::PathBuf;

use clap::Args;

use crate::config::{Config, ConfigError};
use crate::domain::time::Zone;
use crate::store::{ReparseSummary, Store};

/// What every command is told in the same source.
#[derive(Debug, Args)]
pub struct Common {
    /// The configuration file; without it, annals.toml of the working folder where there is one
    #[arg(long, env = "ANNALS_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// The file that holds the history, made where there is none [default: annals.db]
    #[arg(long, env = "ANNALS_DB", value_name = "FILE")]
    db: Option<PathBuf>,
    /// The zone of times that name none, as Doris writes them: an IANA name like Asia/Shanghai.
    /// Without it, the machine's own. A time that came twice as a clock was set back is taken as the
    /// first; one that was skipped is read with the offset before the change
    #[arg(long, env = "ANNALS_TIME_ZONE", value_name = "ZONE")]
    time_zone: Option<Zone>,
}

impl Common {
    /// The configuration file, with what the environment and the command line say over it.
    fn configured(self) -> Result<Config, ConfigError> {
        let mut config = Config::read(self.config.as_deref())?;
        config.db = self.db.or(config.db);
        config.time_zone = self.time_zone.or(config.time_zone);
        Ok(config)
    }
}

/// Tells a person what was done to a history of an older annals as it was opened.
fn report_healed(store: &Store) {
    let ReparseSummary { records, mixed } = store.reparsed();
    if records > 0 {
        eprintln!(
            "annals: the history is of an older annals; {records} queries were read again as they are read today"
        );
    }
    if mixed > 0 {
        eprintln!(
            "annals: {mixed} rows mix several statements that had no id; import their logs again to have each by itself"
        );
    }
}
