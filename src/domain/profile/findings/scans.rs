//! Scans that read more than they need.

use super::context::{Context, NODE_SHARE, NODE_TIME, is_costly, is_scan, name, plan_info};
use super::quantity::{Quantity, Unit, count, ns, ratio, rows};
use super::rules::{Advice, Case, Rule};
use crate::domain::profile::plan::{Engine, Node};

const SCANNED: Quantity = Quantity::new("rows read from storage", 1e7, Unit::Rows);
const KEPT_FACTOR: Quantity =
    Quantity::new("rows read over rows that the conditions keep", 100.0, Unit::Times);

pub(super) const PRUNING: Rule = Rule {
    id: "unpruned-scan",
    thresholds: &[SCANNED, KEPT_FACTOR, NODE_TIME, NODE_SHARE],
    meaning: "A scan reads rows from storage and drops nearly all of them by its conditions: partitions and indexes skip too few.",
    doris: Some(Advice::new(
        "Partition by a column of the conditions, put such a column first among the key columns, or give it an index.",
        "DUPLICATE KEY, PARTITION BY",
        "https://doris.apache.org/docs/4.x/table-design/index/prefix-index/",
    )),
    starrocks: Some(Advice::new(
        "Partition by a column of the conditions, put such a column first in the sort key, or give it an index.",
        "ORDER BY, PARTITION BY",
        "https://docs.starrocks.io/docs/table_design/indexes/Prefix_index_sort_key/",
    )),
    find: unpruned,
};

fn unpruned(context: &Context<'_>) -> Vec<Case> {
    let mut cases = Vec::new();
    for (position, node) in context.nodes() {
        if !is_scan(node) || !is_costly(node) || !has_conditions(node) {
            continue;
        }
        let Some((read, kept)) = read_and_kept(context, node) else { continue };
        if !SCANNED.is_met(read as f64) || !KEPT_FACTOR.is_met(ratio(read, kept)) {
            continue;
        }
        let mut evidence = vec![rows("rows read", read), rows("rows kept", kept)];
        let mut means = format!(
            "{} reads {} and its conditions keep {}.",
            name(node),
            evidence[0],
            evidence[1]
        );
        if let Some((chosen, all)) = partitions(node) {
            evidence.push(count("partitions read", chosen));
            evidence.push(count("partitions", all));
            means += &format!(" It reads {chosen} of {all} partitions.");
        }
        cases.push(Case { nodes: vec![position], weight: node.weight, evidence, means });
    }
    cases
}

/// Returns whether a statement has conditions on the rows of a scan. Doris adds one that drops deleted rows.
fn has_conditions(scan: &Node<'_, '_>) -> bool {
    let predicates = scan.predicates.iter().filter(|text| !text.starts_with("runtime filters:"));
    let mut conditions = predicates.flat_map(|text| text.split(" AND "));
    conditions.any(|condition| !condition.contains("__DORIS_DELETE_SIGN__"))
}

/// Returns whether something else than conditions may have cut the rows of a scan of Doris: the storage aggregates them, or the scan
/// gives on only the first rows of an order or of all.
fn is_cut_otherwise(scan: &Node<'_, '_>) -> bool {
    plan_info(scan).any(|line| {
        line.value.contains("PREAGGREGATION: OFF")
            || line.name.strip_prefix("pushAggOp=").is_some_and(|operation| operation != "NONE")
            || ["TOPN OPT", "SORT LIMIT", "limit"].contains(&&*line.name)
    })
}

/// Returns the rows that a scan read from storage, and the rows that its conditions keep; None if the profile does not say, or
/// if something else may have cut rows.
fn read_and_kept(context: &Context<'_>, scan: &Node<'_, '_>) -> Option<(u64, u64)> {
    let is_filtered = context.has_runtime_filter(scan)?;
    if context.plan.engine == Engine::StarRocks {
        let read = context.total(scan, "RawRowsRead")?;
        let kept = read.saturating_sub(context.total(scan, "PredFilterRows")?);
        // Runtime filters are conditions, too, and have no count of their own here.
        return (!is_filtered).then_some((read, kept));
    }
    let read = context.total(scan, "ScanRows").or_else(|| context.total(scan, "RawRowsRead"))?;
    let filtered = if is_filtered { context.filtered_rows(scan)? } else { 0 };
    (!is_cut_otherwise(scan)).then_some((read, scan.rows?.saturating_add(filtered)))
}

/// Reads the partitions that a scan of Doris reads, and how many there are: `partitions=1/128 (plants)`.
fn partitions(scan: &Node<'_, '_>) -> Option<(u64, u64)> {
    let value = plan_info(scan).find_map(|line| line.name.strip_prefix("partitions="))?;
    let (chosen, all) = value.split_whitespace().next()?.split_once('/')?;
    Some((chosen.parse().ok()?, all.parse().ok()?))
}

const SLOW_TIME: Quantity = Quantity::new("own time of the scan", 5e9, Unit::Ns);
const SCANNERS_PART: Quantity =
    Quantity::new("waiting for scanners over own time", 50.0, Unit::Percent);
/// Each second. A scanner reads millions, but few rows may be many bytes, which some scans of files do not count.
const SLOW_ROWS: u64 = 10_000;
const SLOW_BYTES: u64 = 1_000_000;

pub(super) const SLOW: Rule = Rule {
    id: "slow-scan",
    thresholds: &[SLOW_TIME, SCANNERS_PART, NODE_SHARE],
    meaning: "A scan reads less than 10,000 rows a second and waits for its scanners meanwhile: these wait for threads or for the storage.",
    doris: Some(Advice::new(
        "See in the counters of the scanners of a detailed profile whether they waited for threads or for the storage, and what else the backends read then.",
        "profile_level",
        "https://doris.apache.org/docs/4.x/query-acceleration/query-profile/",
    )),
    starrocks: None,
    find: slow,
};

fn slow(context: &Context<'_>) -> Vec<Case> {
    let mut cases = Vec::new();
    for (position, node) in context.nodes() {
        let (Some(time), Some(scanners)) = (node.time_ns, node.scanner_wait_ns) else { continue };
        let Some(read) = context.total(node, "ScanRows").or(node.rows) else { continue };
        let is_slow = SLOW_TIME.is_met(time as f64)
            && SCANNERS_PART.is_met(ratio(scanners, time) * 100.0)
            && NODE_SHARE.is_met(node.weight * 100.0);
        let most = |a_second: u64| a_second.saturating_mul(time / 1_000_000_000);
        if !is_slow || read >= most(SLOW_ROWS) || node.bytes.unwrap_or(0) >= most(SLOW_BYTES) {
            continue;
        }
        let evidence = vec![
            rows("rows read", read),
            ns("own time", time),
            ns("waiting for scanners", scanners),
        ];
        let means = format!(
            "{} reads {} in {}, of which it waits {} for its scanners.",
            name(node),
            evidence[0],
            evidence[1],
            evidence[2]
        );
        cases.push(Case { nodes: vec![position], weight: node.weight, evidence, means });
    }
    cases
}

const VALUES: Quantity = Quantity::new("values in a list", 1024.0, Unit::Count);

pub(super) const IN_LIST: Rule = Rule {
    id: "wide-in-list",
    thresholds: &[VALUES, NODE_TIME, NODE_SHARE],
    meaning: "A condition compares each row with a long list of values. From a limit on, the storage does not use it to skip rows.",
    doris: Some(Advice::new(
        "Put the values into a table and join with it, or raise the limit of the backends.",
        "max_pushdown_conditions_per_column",
        "https://doris.apache.org/docs/4.x/admin-manual/config/be-config/",
    )),
    starrocks: Some(Advice::new(
        "Put the values into a table and join with it, or raise the limit for the session.",
        "max_pushdown_conditions_per_column",
        "https://docs.starrocks.io/docs/sql-reference/System_variable/#max_pushdown_conditions_per_column",
    )),
    find: wide_lists,
};

fn wide_lists(context: &Context<'_>) -> Vec<Case> {
    let mut cases = Vec::new();
    for (position, node) in context.nodes() {
        if !is_scan(node) || !is_costly(node) {
            continue;
        }
        let values = node.predicates.iter().map(|predicate| longest_list(predicate)).max();
        let Some(values) = values.filter(|values| VALUES.is_met(*values as f64)) else { continue };
        let evidence = vec![count("values in the list", values)];
        let means = format!("A condition of {} has a list of {} values.", name(node), evidence[0]);
        cases.push(Case { nodes: vec![position], weight: node.weight, evidence, means });
    }
    cases
}

/// Returns whether a text ends in `IN`, of which a list of values follows.
fn opens_list(text: &[u8]) -> bool {
    let text = text.strip_suffix(b" ").unwrap_or(text);
    let Some((before, word)) = text.split_last_chunk::<2>() else { return false };
    let is_in_word =
        before.last().is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    word.eq_ignore_ascii_case(b"in") && !is_in_word
}

/// Returns the number of values in the longest `IN (...)` of a condition.
pub(super) fn longest_list(condition: &str) -> u64 {
    let mut longest = 0;
    let mut quote = None;
    // The commas of the list that is open, and the parentheses within it.
    let mut open: Option<(u64, u32)> = None;
    let bytes = condition.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        match (*byte, quote) {
            (b'\'' | b'"', None) => quote = Some(*byte),
            (byte, Some(quoted)) if byte == quoted => quote = None,
            (_, Some(_)) => {}
            (b'(', None) => {
                open = match open {
                    Some((commas, depth)) => Some((commas, depth + 1)),
                    None => opens_list(&bytes[..at]).then_some((0, 0)),
                }
            }
            (b')', None) => {
                open = match open {
                    Some((commas, 0)) => {
                        longest = longest.max(commas + 1);
                        None
                    }
                    Some((commas, depth)) => Some((commas, depth - 1)),
                    None => None,
                }
            }
            (b',', None) => {
                open = open.map(|(commas, depth)| (commas + u64::from(depth == 0), depth))
            }
            _ => {}
        }
    }
    longest
}
