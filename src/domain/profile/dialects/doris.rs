//! Doris since 2.0, whose pipelines hold operators beside each other: `ExecTime` is an operator's own time
//! (`PipelineXLocalStateBase` of the backend, `RuntimeProfile.java` of the frontend).

use super::{Dialect, bytes, find, kind, longest, read, rows, time_of_detail};
use crate::domain::profile::tree::Section;

pub(super) struct Doris;

impl Dialect for Doris {
    fn wrote(&self, _: &Section) -> bool {
        true
    }

    /// `(ExecTime: 40.8us)` behind the name of one instance up to 3.0, `ExecTime: avg 1ms, max 2ms, min 1ms` where
    /// instances are merged.
    fn time<'a>(&self, section: &'a Section) -> Option<&'a str> {
        let counter = || find(section, &["ExecTime", "TotalTime"]);
        time_of_detail(section).or_else(|| Some(longest(&counter()?.value)))
    }

    fn rows(&self, section: &Section) -> Option<u64> {
        let given = ["RowsProduced", "RowsReturned"];
        let taken = ["InputRows", "RowsProduced", "RowsReturned"];
        let is_sink = kind(&section.name).contains("_SINK");
        read(section, if is_sink { &taken } else { &given }, rows)
    }

    fn memory_bytes(&self, section: &Section) -> Option<u64> {
        read(section, &["MemoryUsagePeak", "PeakMemoryUsage", "MemoryUsage"], bytes)
    }
}
