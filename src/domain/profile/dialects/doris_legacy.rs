//! Doris 0.8 to 1.2, and StarRocks 2.x without its pipeline engine. An operator's children are indented below it, and
//! its time includes theirs: `NAME (id=3):(Active: 11.306ms, % non-child: 61.11%)`. The known source of the format is
//! `RuntimeProfile.prettyPrint`.

use super::{Dialect, bytes, read, rows, time_of_detail};
use crate::domain::profile::tree::Section;
use crate::domain::time::parse_duration_ns;

pub(super) struct DorisLegacy;

impl Dialect for DorisLegacy {
    fn is_written_in(&self, section: &Section<'_>) -> bool {
        let detail = &section.detail;
        !detail.is_empty() && (detail.contains("Active: ") || detail.contains("non-child"))
    }

    fn time<'a>(&self, section: &'a Section<'_>) -> Option<&'a str> {
        time_of_detail(section)
    }

    fn is_inclusive(&self) -> bool {
        true
    }

    fn rows(&self, section: &Section<'_>) -> Option<u64> {
        read(section, &["RowsReturned", "RowsProduced", "RowsInserted"], rows)
    }

    fn memory_bytes(&self, section: &Section<'_>) -> Option<u64> {
        read(section, &["PeakMemoryUsage", "MemoryUsed", "MemoryUsage"], bytes)
    }
}

/// How to read a profile of Doris 0.8. The first child of a node is in the node's own column, and only the others are
/// indented, so the tree is ambiguous. An operator's own time is therefore computed from the share that is printed
/// beside it and the time of the whole execution.
#[derive(Debug, Clone, Copy)]
pub(in crate::domain::profile) struct FlatChildren {
    total_ns: u64,
}

impl FlatChildren {
    /// Returns how to read a profile of Doris 0.8; None for other profiles. Only in Doris 0.8 an instance has several
    /// nodes side by side.
    pub(crate) fn of(profile: &Section<'_>) -> Option<FlatChildren> {
        let (is_flat, total_ns) = find_flat_instance(profile);
        is_flat.then_some(FlatChildren { total_ns })
    }

    /// Returns the own time of a node in nanoseconds; None for a sink, whose time includes no other.
    pub(crate) fn own_ns(self, section: &Section<'_>) -> Option<u64> {
        if !super::kind(&section.name).ends_with("_NODE") {
            return None;
        }
        let (_, share) = section.detail.split_once("% non-child: ")?;
        let percent = share.split('%').next()?.trim();
        let (whole, part) = percent.split_once('.').unwrap_or((percent, "0"));
        let part = part.bytes().chain(*b"00").take(2);
        let part =
            part.fold(0, |number, digit| number * 10 + u128::from(digit.wrapping_sub(b'0') % 10));
        let share = whole.parse::<u128>().ok()?.saturating_mul(100).saturating_add(part);
        u64::try_from(u128::from(self.total_ns).saturating_mul(share.min(10_000)) / 10_000).ok()
    }
}

/// Returns whether an instance within a section has several nodes side by side, and the longest time within the section
/// in nanoseconds.
fn find_flat_instance(section: &Section<'_>) -> (bool, u64) {
    let is_node = |child: &&Section<'_>| {
        super::kind(&child.name).ends_with("_NODE") && DorisLegacy.is_written_in(child)
    };
    let mut is_flat = section.name.starts_with("Instance ")
        && section.children.iter().filter(is_node).count() > 1;
    let mut longest_ns = 0;
    if DorisLegacy.is_written_in(section) {
        longest_ns = time_of_detail(section).and_then(parse_duration_ns).unwrap_or(0);
    }
    for child in &section.children {
        let (is_child_flat, child_ns) = find_flat_instance(child);
        is_flat |= is_child_flat;
        longest_ns = longest_ns.max(child_ns);
    }
    (is_flat, longest_ns)
}
