//! Scans that read slowly.

use super::context::{Context, NODE_SHARE, NODE_TIME, is_costly, is_scan, name, plan_info};
use super::quantity::{Quantity, Unit, bytes, count, ratio};
use super::rules::{Advice, Case, Rule};

const REMOTE: Quantity =
    Quantity::new("bytes read from remote storage", 1_073_741_824.0, Unit::Bytes);
const REMOTE_PART: Quantity =
    Quantity::new("bytes read from remote storage over all bytes read", 50.0, Unit::Percent);

pub(super) const REMOTE_READS: Rule = Rule {
    id: "remote-reads",
    thresholds: &[REMOTE, REMOTE_PART, NODE_TIME, NODE_SHARE],
    meaning: "A scan reads most of its data from remote storage and little from the cache on local disks.",
    doris: Some(Advice::new(
        "If the data is read often, see that the cache is on and large enough to hold it.",
        "enable_file_cache",
        "https://doris.apache.org/docs/4.x/lakehouse/data-cache/",
    )),
    starrocks: Some(Advice::new(
        "If the data is read often, see that the cache is on and large enough to hold it.",
        "enable_scan_datacache",
        "https://docs.starrocks.io/docs/data_source/data_cache/",
    )),
    find: remote_reads,
};

fn remote_reads(context: &Context<'_>) -> Vec<Case> {
    // Of Doris; of tables of StarRocks in shared storage.
    const NAMES: [(&str, &str); 2] = [
        ("BytesScannedFromRemote", "BytesScannedFromCache"),
        ("CompressedBytesReadRemote", "CompressedBytesReadLocalDisk"),
    ];
    let mut cases = Vec::new();
    for (position, node) in context.nodes() {
        if !is_scan(node) || !is_costly(node) {
            continue;
        }
        let total = |(remote, cached): &(&str, &str)| {
            Some((context.total(node, remote)?, context.total(node, cached)?))
        };
        let Some((remote, cached)) = NAMES.iter().find_map(total) else { continue };
        let all = remote.saturating_add(cached);
        if !REMOTE.is_met(remote as f64) || !REMOTE_PART.is_met(ratio(remote, all) * 100.0) {
            continue;
        }
        let evidence =
            vec![bytes("bytes from remote storage", remote), bytes("bytes from the cache", cached)];
        let means = format!(
            "{} reads {} from remote storage and {} from the cache.",
            name(node),
            evidence[0],
            evidence[1]
        );
        cases.push(Case { nodes: vec![position], weight: node.weight, evidence, means });
    }
    cases
}

const SPLITS: Quantity = Quantity::new("parts of files", 1000.0, Unit::Count);
/// The largest average size of a part. Doris splits files into parts of 64 MB, so smaller parts are small files.
const SMALL_BYTES: f64 = 8_388_608.0;
const SMALL: Quantity = Quantity::new("parts for each 8 MB of the files", 1.0, Unit::Count);

pub(super) const SMALL_FILES: Rule = Rule {
    id: "small-files",
    thresholds: &[SPLITS, SMALL, NODE_TIME, NODE_SHARE],
    meaning: "A scan reads many small files, each of which is opened and read on its own.",
    doris: Some(Advice::new(
        "Compact the files: of an Iceberg table with rewrite_data_files, of others in the system that writes them.",
        "rewrite_data_files",
        "https://doris.apache.org/docs/4.x/lakehouse/catalogs/iceberg-catalog/#rewrite_data_files",
    )),
    starrocks: None,
    find: small_files,
};

fn small_files(context: &Context<'_>) -> Vec<Case> {
    let mut cases = Vec::new();
    for (position, node) in context.nodes() {
        if !is_scan(node) || !is_costly(node) {
            continue;
        }
        let Some((splits, size)) = plan_info(node).find_map(|line| splits(&line.name)) else {
            continue;
        };
        let per_size = ratio(splits, size) * SMALL_BYTES;
        if !SPLITS.is_met(splits as f64) || !SMALL.is_met(per_size) {
            continue;
        }
        let evidence = vec![
            count("parts of files", splits),
            bytes("bytes of all files", size),
            bytes("bytes of a part on average", size / splits.max(1)),
        ];
        let means = format!(
            "{} reads {} parts of files with {} on average.",
            name(node),
            evidence[0],
            evidence[2]
        );
        cases.push(Case { nodes: vec![position], weight: node.weight, evidence, means });
    }
    cases
}

/// Reads the number of parts and their size: `inputSplitNum=810, totalFileSize=5645053056, scanRanges=810`.
fn splits(line: &str) -> Option<(u64, u64)> {
    let number = |key: &str| line.split_once(key)?.1.split(',').next()?.trim().parse().ok();
    Some((number("inputSplitNum=")?, number("totalFileSize=")?))
}

const ROWSET_COUNT: Quantity = Quantity::new("rowsets read", 1000.0, Unit::Count);
const ROWSET_FACTOR: Quantity =
    Quantity::new("rowsets read for each piece of a tablet", 20.0, Unit::Times);

pub(super) const ROWSETS: Rule = Rule {
    id: "many-rowsets",
    thresholds: &[ROWSET_COUNT, ROWSET_FACTOR, NODE_TIME, NODE_SHARE],
    meaning: "The tablets of a table have many rowsets, which a scan reads and merges: loads are small and frequent, or compaction is behind.",
    doris: None,
    starrocks: Some(Advice::new(
        "Load larger batches less often, and see that compaction keeps up.",
        "compaction",
        "https://docs.starrocks.io/docs/administration/management/compaction/",
    )),
    find: many_rowsets,
};

fn many_rowsets(context: &Context<'_>) -> Vec<Case> {
    let mut cases = Vec::new();
    for (position, node) in context.nodes() {
        if !is_scan(node) || !is_costly(node) {
            continue;
        }
        let (Some(rowsets), Some(pieces)) =
            (context.total(node, "RowsetsReadCount"), context.total(node, "MorselsCount"))
        else {
            continue;
        };
        if !ROWSET_COUNT.is_met(rowsets as f64) || !ROWSET_FACTOR.is_met(ratio(rowsets, pieces)) {
            continue;
        }
        let evidence = vec![count("rowsets read", rowsets), count("pieces of tablets", pieces)];
        let of = if pieces == 1 { "piece of a tablet" } else { "pieces of tablets" };
        let means =
            format!("{} reads {} rowsets for {} {of}.", name(node), evidence[0], evidence[1]);
        cases.push(Case { nodes: vec![position], weight: node.weight, evidence, means });
    }
    cases
}
