//! Doris 0.8 to 1.2 and StarRocks 2.x without its pipeline engine, whose operators hang below each other:
//! `NAME (id=3):(Active: 11.306ms, % non-child: 61.11%)`, where the time holds that of what is below
//! (`RuntimeProfile.prettyPrint`).

use super::{Dialect, bytes, read, rows, time_of_detail};
use crate::domain::profile::tree::Section;
use crate::domain::time::parse_duration_ns;

pub(super) struct DorisLegacy;

impl Dialect for DorisLegacy {
    fn wrote(&self, section: &Section) -> bool {
        section.detail.contains("Active: ") || section.detail.contains("non-child")
    }

    fn time<'a>(&self, section: &'a Section) -> Option<&'a str> {
        time_of_detail(section)
    }

    fn is_inclusive(&self) -> bool {
        true
    }

    fn rows(&self, section: &Section) -> Option<u64> {
        read(section, &["RowsReturned", "RowsProduced", "RowsInserted"], rows)
    }

    fn memory_bytes(&self, section: &Section) -> Option<u64> {
        read(section, &["PeakMemoryUsage", "MemoryUsed", "MemoryUsage"], bytes)
    }
}

/// A profile of Doris 0.8, where the first child of a node stands in the node's own column and only the others are
/// further in. What hangs below what is ambiguous there, so an operator's own time is the share that is printed
/// beside it, of the time of the whole execution.
#[derive(Debug, Clone, Copy)]
pub(in crate::domain::profile) struct FlatChildren {
    total_ns: u64,
}

impl FlatChildren {
    /// Returns how a profile is to be read if it is such a one: an instance holds several nodes beside each other.
    pub(crate) fn of(profile: &Section) -> Option<FlatChildren> {
        let mut found = (false, 0);
        look(profile, &mut found);
        let (is_flat, total_ns) = found;
        is_flat.then_some(FlatChildren { total_ns })
    }

    /// A node's own time in nanoseconds; that of a sink holds nothing else, so it is not asked for here.
    pub(crate) fn own_ns(self, section: &Section) -> Option<u64> {
        if !super::kind(&section.name).ends_with("_NODE") {
            return None;
        }
        let (_, share) = section.detail.split_once("% non-child: ")?;
        let hundredths = share.split('%').next()?.trim();
        let (whole, part) = hundredths.split_once('.').unwrap_or((hundredths, "0"));
        let part = part.bytes().chain(*b"00").take(2);
        let part =
            part.fold(0, |number, digit| number * 10 + u128::from(digit.wrapping_sub(b'0') % 10));
        let share = whole.parse::<u128>().ok()?.saturating_mul(100).saturating_add(part);
        u64::try_from(u128::from(self.total_ns).saturating_mul(share.min(10_000)) / 10_000).ok()
    }
}

/// Looks whether an instance has two nodes, and for the longest time.
fn look(section: &Section, (is_flat, total_ns): &mut (bool, u64)) {
    if DorisLegacy.wrote(section) {
        let ns = time_of_detail(section).and_then(parse_duration_ns).unwrap_or(0);
        *total_ns = ns.max(*total_ns);
    }
    if section.name.starts_with("Instance ") {
        let is_node = |child: &&Section| {
            super::kind(&child.name).ends_with("_NODE") && DorisLegacy.wrote(child)
        };
        *is_flat |= section.children.iter().filter(is_node).count() > 1;
    }
    let mut found = (*is_flat, *total_ns);
    for child in &section.children {
        look(child, &mut found);
    }
    (*is_flat, *total_ns) = found;
}
