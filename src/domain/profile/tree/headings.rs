//! Recognizes the lines that open sections and the lines that begin entries.

use crate::domain::profile::text::{indented, trim};

/// The longest number of a fragment, in bytes. Every operator of the fragment repeats the number.
const MAX_FRAGMENT_ID: usize = 32;

/// Returns the number of the fragment that a section with this name is, if it is one.
pub(super) fn fragment_id(name: &str) -> Option<&str> {
    let id = name.strip_prefix("Fragment ")?;
    let short = &id[..id.floor_char_boundary(MAX_FRAGMENT_ID)];
    id.starts_with(|c: char| c.is_ascii_digit()).then_some(short)
}

/// Returns whether a section with this name merges the instances of each operator (Doris since 2.0).
pub(in crate::domain::profile) fn is_merged(name: &str) -> bool {
    name.starts_with("MergedProfile")
}

/// Keys of which the value may span several lines.
pub(super) const LONG_KEYS: [&str; 3] = ["Sql Statement", "Distributed Plan", "Physical Plan"];

/// Keys that Doris up to 0.12 writes into a summary without a dash.
const DASHLESS_KEYS: [&str; 12] = [
    "Query ID", "Start Time", "End Time", "Total", "Query Type", "Query State", "Doris Version",
    "User", "Default Db", "Sql Statement", "Is Cached", "Profile ID",
];

/// Keys that StarRocks may write behind a statement without a value.
pub(super) const BARE_KEYS: [&str; 6] =
    ["Warehouse", "Default Db", "Sql Dialect", "Variables", "User", "Default Catalog"];

/// Sections of free text. Only the [`heading`] of another section ends them.
pub(super) const FREE_SECTIONS: [&str; 5] = [
    "Physical Plan", "PhysicalPlan", "Changed Session Variables", "ChangedSessionVariables",
    "Reason",
];

/// Splits the line that opens one of the known sections of a profile into name and detail. Some versions write no colon
/// behind the name.
pub(super) fn heading(content: &str) -> Option<(&str, &str)> {
    let colonless = ["MergedProfile", "Physical Plan", "PhysicalPlan", "Appendix"];
    if colonless.contains(&content)
        || content.starts_with("DetailProfile") && !content.contains(':')
    {
        return Some((content, ""));
    }
    let (name, detail) = header(content)?;
    let known = [
        "Summary", "Execution Summary", "ExecutionSummary", "MergedProfile", "Fragments",
        "Planner", "Execution", "Appendix", "Physical Plan", "PhysicalPlan",
        "Changed Session Variables", "ChangedSessionVariables", "LoadChannels", "Load Channels",
        "LoadChannel",
    ];
    let is_known = known.contains(&name)
        || name.starts_with("Execution Profile ")
        || name.starts_with("DetailProfile")
        || name
            .strip_prefix("Fragment ")
            .is_some_and(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()));
    is_known.then_some((name, detail))
}

/// Returns whether a section with this name is a part of the execution, or holds one.
pub(super) fn is_execution(name: &str) -> bool {
    is_merged(name)
        || ["Fragments", "Appendix"].contains(&name)
        || name.starts_with("Execution Profile ")
        || name.starts_with("DetailProfile")
        || fragment_id(name).is_some()
}

/// Returns whether a section with this name, whose heading is in `column`, can follow an entry and begin with the line
/// `next`. The alternative is a line of a statement that looks like a heading.
pub(super) fn can_begin(name: &str, column: usize, next: Option<&str>) -> bool {
    // A profile has one section of this name, and the entry is in it.
    if name == "Summary" {
        return false;
    }
    let Some(next) = next else { return true };
    if FREE_SECTIONS.contains(&name) {
        return true;
    }
    let (next_column, content) = indented(next);
    let is_section = heading(content).or_else(|| header(content)).is_some();
    let is_deeper = next_column > column;
    // Such a section holds sections and no entries.
    if is_merged(name) || name.starts_with("DetailProfile") || name == "Fragments" {
        return is_deeper && is_section;
    }
    let is_empty = !is_execution(name) && heading(content).is_some();
    is_deeper && (is_section || content.starts_with("- ")) || is_empty
}

/// Splits `- Key: value`. A key consists of words and begins with a capital letter.
pub(super) fn entry(content: &str) -> Option<(&str, &str)> {
    let (key, value) = content.strip_prefix("- ")?.split_once(':')?;
    let is_key = key.starts_with(|c: char| c.is_ascii_uppercase())
        && key.chars().all(|c| c.is_ascii_alphanumeric() || c == ' ' || c == '_');
    is_key.then(|| (key, value.strip_prefix(' ').unwrap_or(value)))
}

/// Splits `Key: value` of a summary without dashes.
pub(super) fn dashless(content: &str) -> Option<(&str, &str)> {
    let (key, value) = content.split_once(':')?;
    DASHLESS_KEYS.contains(&key).then(|| (key, value.trim()))
}

/// Splits the line that opens a section into the name before the colon and the detail in parentheses behind it.
pub(super) fn header(content: &str) -> Option<(&str, &str)> {
    if let Some(name) = content.strip_suffix(':') {
        return Some((name.trim_end(), ""));
    }
    let (name, detail) = content.split_once(":(")?;
    Some((name, detail.strip_suffix(')')?))
}

/// Splits the text behind the dash of a counter into column, name and value. The planner of StarRocks indents behind
/// the dash, `-     -- Analyzer[1] 2ms`; the number in brackets counts the runs (`Tracers.printScopeTimer`).
pub(super) fn split_counter(column: usize, counter: &str) -> (usize, &str, &str) {
    let inner = counter.trim_start();
    if let Some(scope) = inner.strip_prefix("-- ")
        && let Some((name, behind)) = scope.split_once('[')
        && let Some((_, value)) = behind.split_once(']')
    {
        return (column + counter.len() - inner.len(), name.trim(), value.trim());
    }
    let end = memchr::memchr(b':', counter.as_bytes());
    let (name, value) = end.map_or((counter, ""), |end| (&counter[..end], &counter[end + 1..]));
    (column, trim(name), trim(value))
}
