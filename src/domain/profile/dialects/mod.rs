//! What the engines write differently of an operator: where its time, its rows and its memory stand.

mod doris;
mod doris_legacy;
mod starrocks;

use super::tree::{Counter, Section};

pub(super) use doris_legacy::FlatChildren;

/// How one engine, in some of its versions, writes operators.
pub(super) trait Dialect: Sync {
    /// Whether the section is written in this dialect.
    fn wrote(&self, section: &Section) -> bool;

    /// Returns the section's time as the text has it, the longest where the text merges instances.
    fn time<'a>(&self, section: &'a Section) -> Option<&'a str>;

    /// Whether that time holds the time of the operators below.
    fn is_inclusive(&self) -> bool {
        false
    }

    /// Returns how many rows the operator gave on, or took if it is a sink, of all its instances.
    fn rows(&self, section: &Section) -> Option<u64>;

    /// Returns the most memory that the operator had, of all its instances, in bytes.
    fn memory_bytes(&self, section: &Section) -> Option<u64>;
}

/// The dialects; the last one reads what the others do not.
static DIALECTS: [&dyn Dialect; 3] =
    [&starrocks::StarRocks, &doris_legacy::DorisLegacy, &doris::Doris];

/// Returns the dialect of a section.
pub(super) fn of(section: &Section) -> &'static dyn Dialect {
    DIALECTS.into_iter().find(|dialect| dialect.wrote(section)).unwrap_or(&doris::Doris)
}

/// Whether a section holds counters of the one above: Doris since 3.1 (`CommonCounters`, `CustomCounters`) and
/// StarRocks' pipeline engine (`CommonMetrics`, `UniqueMetrics`) sort them so.
pub(super) fn is_group(name: &str) -> bool {
    ["CommonCounters", "CustomCounters", "CommonMetrics", "UniqueMetrics"].contains(&name)
}

/// The counters of a section, those sorted into groups behind its own.
fn counters(section: &Section) -> impl Iterator<Item = &Counter> {
    let groups = section.children.iter().filter(|child| is_group(&child.name));
    section.counters.iter().chain(groups.flat_map(|group| &group.counters))
}

/// All counters of a section as its operator shows them.
pub(super) fn all_counters(section: &Section) -> Vec<Counter> {
    counters(section).cloned().collect()
}

/// The first of the named counters that the section has, also one that another is made of: Doris 2.1 writes
/// `PeakMemoryUsage` under `MemoryUsage`.
fn find<'a>(section: &'a Section, names: &[&str]) -> Option<&'a Counter> {
    let named = |name: &&str| {
        let is = |counter: &&Counter| counter.name == *name;
        let nested = || counters(section).flat_map(|counter| &counter.children).find(is);
        counters(section).find(is).or_else(nested)
    };
    names.iter().find_map(named)
}

/// The first of the named counters of which the value can be read.
fn read(section: &Section, names: &[&str], read: impl Fn(&str) -> Option<u64>) -> Option<u64> {
    names.iter().find_map(|name| read(&find(section, &[name])?.value))
}

/// The time in parentheses behind a section's name: `(Active: 1.804ms[1804089ns], % non-child: 4.16%)`.
fn time_of_detail(section: &Section) -> Option<&str> {
    let detail = &section.detail;
    let (_, behind) = ["Active: ", "ExecTime: "].iter().find_map(|key| detail.split_once(key))?;
    behind.split([',', ')']).next().map(str::trim)
}

/// The longest of `avg 1ms, max 2ms, min 1ms`.
fn longest(value: &str) -> &str {
    let longest = value.split_once("max ").map_or(value, |(_, behind)| behind);
    longest.split(',').next().unwrap_or(longest).trim()
}

/// The sum of `sum 3.458K (3458), avg ...`, or what stands there alone.
fn sum(value: &str) -> &str {
    let sum = value.split_once("sum ").map_or(value, |(_, behind)| behind);
    sum.split(", ").next().unwrap_or(sum).trim()
}

/// A number of rows: `1`, `27.667K (27667)`.
fn rows(value: &str) -> Option<u64> {
    let value = sum(value);
    if let Some((_, exact)) = value.split_once('(') {
        return exact.trim_end_matches(')').parse().ok();
    }
    quantity(value, &[("", 1.0), ("K", 1e3), ("M", 1e6), ("B", 1e9), ("T", 1e12)])
}

/// A size: `1.21 MB`, `0.00`.
fn bytes(value: &str) -> Option<u64> {
    const KIB: f64 = 1024.0;
    let units = [("", 1.0), ("B", 1.0), ("KB", KIB), ("MB", KIB.powi(2)), ("GB", KIB.powi(3))];
    quantity(sum(value), &units)
        .or_else(|| quantity(sum(value), &[("TB", KIB.powi(4)), ("PB", KIB.powi(5))]))
}

fn quantity(text: &str, units: &[(&str, f64)]) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim())?;
    // A float beyond the range becomes the range's end.
    Some((number.parse::<f64>().ok()? * factor).round() as u64)
}

/// What stands before the parentheses of a name: `AGGREGATION_OPERATOR` of `AGGREGATION_OPERATOR (id=3)`.
pub(super) fn kind(name: &str) -> &str {
    name.split([' ', '(']).next().unwrap_or(name)
}
