//! Doris since 2.0. A pipeline lists its operators side by side, and `ExecTime` is an operator's own time. Known
//! sources of the format are `PipelineXLocalStateBase` in the backend and `RuntimeProfile.java` in the frontend.

use super::{Dialect, behind, bytes, find, kind, longest, read, rows, time_of_detail};
use crate::domain::profile::tree::Section;

pub(super) struct Doris;

impl Dialect for Doris {
    fn is_written_in(&self, _: &Section<'_>) -> bool {
        true
    }

    /// The name of an instance has `(ExecTime: 40.8us)` behind it up to 3.0. Merged instances have a counter
    /// `ExecTime: avg 1ms, max 2ms, min 1ms`.
    fn time<'a>(&self, section: &'a Section<'_>) -> Option<&'a str> {
        let counter = || find(section, &["ExecTime", "TotalTime"]);
        time_of_detail(section).or_else(|| Some(longest(&counter()?.value)))
    }

    fn average<'a>(&self, section: &'a Section<'_>) -> Option<&'a str> {
        let average = behind(&find(section, &["ExecTime", "TotalTime"])?.value, "avg ")?;
        average.split(',').next().map(str::trim)
    }

    fn rows(&self, section: &Section<'_>) -> Option<u64> {
        let returned = ["RowsProduced", "RowsReturned"];
        let received = ["InputRows", "RowsProduced", "RowsReturned"];
        let is_sink = kind(&section.name).contains("_SINK");
        read(section, if is_sink { &received } else { &returned }, rows)
    }

    fn memory_bytes(&self, section: &Section<'_>) -> Option<u64> {
        read(section, &["MemoryUsagePeak", "PeakMemoryUsage", "MemoryUsage"], bytes)
    }
}
