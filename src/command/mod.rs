//! The commands of the command line, one file each.

pub mod import;
pub mod serve;

use std::path::PathBuf;

use clap::Args;

use crate::time::Zone;

/// Where the history is, for every command.
#[derive(Debug, Args)]
pub struct Database {
    /// The file that holds the history; made where there is none
    #[arg(long, env = "ANNALS_DB", value_name = "FILE", default_value = "annals.db")]
    pub db: PathBuf,
}

/// Which zone times without one are in.
#[derive(Debug, Args)]
pub struct TimeZone {
    /// The zone of times that name none, as Doris writes them: an IANA name like Asia/Shanghai.
    /// Without it, the machine's own. A time that came twice as a clock was set back is taken as the
    /// first; one that was skipped is read with the offset before the change
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<Zone>,
}

impl TimeZone {
    /// The zone named, or the machine's own.
    pub fn zone(&self) -> Zone {
        self.time_zone.unwrap_or_else(Zone::of_machine)
    }
}
