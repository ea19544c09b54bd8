//! Dialects: under which keys each engine and version writes the time, the rows and the memory of an operator.
//!
//! - [`doris`] since 2.0.
//! - [`doris_legacy`]: Doris 0.8 to 1.2, and StarRocks 2.x without its pipeline engine.
//! - [`starrocks`] with its pipeline engine.

mod doris;
mod doris_legacy;
mod starrocks;

use super::tree::{Counter, Section};

pub(super) use doris_legacy::FlatChildren;

/// How some versions of an engine write operators.
pub(super) trait Dialect: Sync {
    /// Returns whether the section is written in this dialect.
    fn is_written_in(&self, section: &Section<'_>) -> bool;

    /// Returns the time of the section as the text has it; the longest if the text merges instances.
    fn time<'a>(&self, section: &'a Section<'_>) -> Option<&'a str>;

    /// Returns the average time of all instances as the text has it; None if it has no average.
    fn average<'a>(&self, _: &'a Section<'_>) -> Option<&'a str> {
        None
    }

    /// Returns whether the time includes the time of the operators below.
    fn is_inclusive(&self) -> bool {
        false
    }

    /// Returns the number of rows that all instances returned, or received if the operator is a sink.
    fn rows(&self, section: &Section<'_>) -> Option<u64>;

    /// Returns the peak memory of all instances, in bytes.
    fn memory_bytes(&self, section: &Section<'_>) -> Option<u64>;
}

/// The last dialect reads all sections that the others do not.
static DIALECTS: [&dyn Dialect; 3] =
    [&starrocks::StarRocks, &doris_legacy::DorisLegacy, &doris::Doris];

/// Returns the dialect of a section.
pub(super) fn of(section: &Section<'_>) -> &'static dyn Dialect {
    DIALECTS.into_iter().find(|dialect| dialect.is_written_in(section)).unwrap_or(&doris::Doris)
}

/// Returns whether a section with this name groups counters of the section above. Doris since 3.1 (`CommonCounters`,
/// `CustomCounters`) and StarRocks' pipeline engine (`CommonMetrics`, `UniqueMetrics`) write such groups.
pub(super) fn is_group(name: &str) -> bool {
    ["CommonCounters", "CustomCounters", "CommonMetrics", "UniqueMetrics"].contains(&name)
}

/// Returns the counters of a section, then those of its groups.
fn counters<'s, 't>(section: &'s Section<'t>) -> impl Iterator<Item = &'s Counter<'t>> {
    let groups = section.children.iter().filter(|child| is_group(&child.name));
    section.counters.iter().chain(groups.flat_map(|group| &group.counters))
}

/// Returns the counters of a section and of its groups.
pub(super) fn all_counters<'s, 't>(section: &'s Section<'t>) -> Vec<&'s Counter<'t>> {
    let groups = section.children.iter().filter(|child| is_group(&child.name));
    let count = groups.map(|group| group.counters.len()).sum::<usize>() + section.counters.len();
    let mut all = Vec::with_capacity(count);
    all.extend(counters(section));
    all
}

/// Returns the first of the named counters that the section has, directly or below another counter: Doris 2.1 writes
/// `PeakMemoryUsage` below `MemoryUsage`.
fn find<'s, 't>(section: &'s Section<'t>, names: &[&str]) -> Option<&'s Counter<'t>> {
    let named = |name: &&str| {
        let is = |counter: &&Counter<'_>| counter.name == *name;
        let nested = || counters(section).flat_map(|counter| &counter.children).find(is);
        counters(section).find(is).or_else(nested)
    };
    names.iter().find_map(named)
}

/// Returns the value of the first of the named counters that can be read.
fn read(section: &Section<'_>, names: &[&str], read: impl Fn(&str) -> Option<u64>) -> Option<u64> {
    names.iter().find_map(|name| read(&find(section, &[name])?.value))
}

/// Returns the time in parentheses behind a section's name: `(Active: 1.804ms[1804089ns], % non-child: 4.16%)`.
fn time_of_detail<'a>(section: &'a Section<'_>) -> Option<&'a str> {
    let detail = &section.detail;
    if detail.is_empty() {
        return None;
    }
    let behind = ["Active: ", "ExecTime: "].iter().find_map(|key| behind(detail, key))?;
    behind.split([',', ')']).next().map(str::trim)
}

/// Returns what is behind the first place of a key in a short text.
fn behind<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let start = memchr::memmem::find(text.as_bytes(), key.as_bytes())?;
    Some(&text[start + key.len()..])
}

/// Returns the maximum of `avg 1ms, max 2ms, min 1ms`, or the value if it has none.
pub(super) fn longest(value: &str) -> &str {
    let longest = behind(value, "max ").unwrap_or(value);
    longest.split(',').next().unwrap_or(longest).trim()
}

/// Returns the longest of the times of a counter's instances, in the words of either engine.
pub(super) fn longest_of<'a>(counter: &'a Counter<'_>) -> &'a str {
    let longest_child = counter.children.iter().find(|child| child.name.starts_with("__MAX_OF_"));
    longest_child.map_or_else(|| longest(&counter.value), |child| &child.value)
}

/// Returns the sum of `sum 3.458K (3458), avg ...`, or the value if it has none.
fn sum(value: &str) -> &str {
    let sum = behind(value, "sum ").unwrap_or(value);
    sum.split(", ").next().unwrap_or(sum).trim()
}

/// Reads a number of rows: `1`, `27.667K (27667)`.
pub(super) fn rows(value: &str) -> Option<u64> {
    let value = sum(value);
    if let Some((_, exact)) = value.split_once('(') {
        return exact.trim_end_matches(')').parse().ok();
    }
    quantity(value, &[("", 1.0), ("K", 1e3), ("M", 1e6), ("B", 1e9), ("T", 1e12)])
}

/// Reads a size in bytes: `1.21 MB`, `0.00`.
pub(super) fn bytes(value: &str) -> Option<u64> {
    const KIB: f64 = 1024.0;
    let units = [("", 1.0), ("B", 1.0), ("KB", KIB), ("MB", KIB.powi(2)), ("GB", KIB.powi(3))];
    quantity(sum(value), &units)
        .or_else(|| quantity(sum(value), &[("TB", KIB.powi(4)), ("PB", KIB.powi(5))]))
}

/// Reads a number with one of the units, each with its factor.
fn quantity(text: &str, units: &[(&str, f64)]) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim())?;
    // `as` saturates.
    Some((number.parse::<f64>().ok()? * factor).round() as u64)
}

/// Returns whether an operator with this name is of StarRocks' pipeline engine.
pub(super) fn has_plan_node_id(name: &str) -> bool {
    let mut equals = memchr::memchr_iter(b'=', name.as_bytes());
    equals.any(|equals| name[..equals].ends_with("plan_node_id"))
}

/// Returns the kind of an operator: `AGGREGATION_OPERATOR` of `AGGREGATION_OPERATOR (id=3)`.
pub(super) fn kind(name: &str) -> &str {
    let end = name.bytes().position(|byte| matches!(byte, b' ' | b'('));
    &name[..end.unwrap_or(name.len())]
}
