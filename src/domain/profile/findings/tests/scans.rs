//! Scans and the storage below them.

use super::{DORIS, STARROCKS, assert_finds, changed, found, rules};
use crate::domain::profile::findings::scans::longest_list;

#[test]
fn unpruned_scan() {
    let kept = "RowsProduced: sum 40.0M (40000000), avg 5.0M (5000000), max 5.200000M (5200000), min 4.800000M (4800000)\n             CustomCounters:\n                - RuntimeFilterInfo";
    let few = kept.replace("sum 40.0M (40000000), avg 5.0M (5000000), max 5.200000M (5200000), min 4.800000M (4800000)", "sum 400.0K (400000), avg 50.0K (50000), max 52.0K (52000), min 48.0K (48000)");
    let cut = "RF0 FilterRows: sum 2.0M (2000000)";
    let finding = assert_finds(
        DORIS,
        "unpruned-scan",
        &[(kept, &few), (cut, "RF0 FilterRows: sum 100.0K (100000)")],
        // A filter cut most of the rows.
        &[(kept, &few)],
    );
    assert!(finding.means.contains("It reads 4 of 128 partitions."), "{}", finding.means);
    let few_kept = [(kept, few.as_str()), (cut, "RF0 FilterRows: sum 100.0K (100000)")];
    let on = "PREDICATES: (price[#3] > 10)\n";
    for other in [
        "PREDICATES: (__DORIS_DELETE_SIGN__[#9] = 0)\n",
        "PREDICATES: (price[#3] > 10)\n                 - TOPN OPT:2\n",
        "PREDICATES: (price[#3] > 10)\n                 - limit: 100\n",
    ] {
        let changes = [&few_kept[..], &[(on, other)]].concat();
        assert_eq!(rules(&changed(DORIS, &changes)), [""; 0], "{other}");
    }
    let no_filter = [
        ("             - RuntimeFilterDesc: <0: BloomFilter> \n", ""),
        (
            "RuntimeFilterNum: 1\n             - RuntimeInFilterNum",
            "RuntimeFilterNum: 0\n             - RuntimeInFilterNum",
        ),
    ];
    let dropped = "PredFilterRows: 20.000M (20000000)";
    assert_finds(
        STARROCKS,
        "unpruned-scan",
        &[&no_filter[..], &[(dropped, "PredFilterRows: 59.800M (59800000)")]].concat(),
        &[&no_filter[..], &[(dropped, "PredFilterRows: 59.000M (59000000)")]].concat(),
    );
}

/// Returns changes that make a scan of few rows take as long, of which it waits a time for its scanners.
fn slow(waits: &str) -> String {
    let rows = [
        (
            "sum 40.0M (40000000), avg 5.0M (5000000), max 5.200000M (5200000), min 4.800000M (4800000)\n             CustomCounters:\n                - RuntimeFilterInfo",
            "sum 2.0K (2000), avg 250, max 260, min 240\n             CustomCounters:\n                - RuntimeFilterInfo",
        ),
        (
            "ScanBytes: sum 3.20 GB, avg 409.60 MB, max 420.00 MB, min 390.00 MB",
            "ScanBytes: sum 0.00 , avg 0.00 , max 0.00 , min 0.00 ",
        ),
        (
            "ScanRows: sum 60.0M (60000000), avg 7.500000M (7500000), max 7.700000M (7700000), min 7.300000M (7300000)",
            "ScanRows: sum 2.0K (2000), avg 250, max 260, min 240",
        ),
    ];
    let time = "ExecTime: avg 5sec0ms, max 6sec0ms, min 4sec0ms\n";
    let waits = format!(
        "{time}                - WaitForDependency[OLAP_SCAN_OPERATOR_DEPENDENCY]Time: {waits}\n"
    );
    changed(DORIS, &[&rows[..], &[(time, &waits)]].concat())
}

#[test]
fn slow_scan() {
    let finding = &found(&slow("avg 4sec, max 5sec, min 3sec"))[0];
    assert_eq!(finding.rule, "slow-scan");
    assert!(
        finding
            .means
            .contains("reads 2,000 rows in 6.00 s, of which it waits 5.00 s for its scanners."),
        "{}",
        finding.means
    );
    assert!(!rules(&slow("avg 1sec, max 2sec, min 1sec")).contains(&"slow-scan"));
}

#[test]
fn wide_in_list() {
    let list = |count: u32| {
        let values: Vec<String> = (0..count).map(|value| value.to_string()).collect();
        values.join(", ")
    };
    let doris = |count| format!("PREDICATES: (shop[#2] IN ({}))", list(count));
    let predicate = "PREDICATES: (price[#3] > 10)";
    assert_finds(DORIS, "wide-in-list", &[(predicate, &doris(1024))], &[(predicate, &doris(1023))]);
    let starrocks = |count| format!("Predicates: 2: shop IN ({})", list(count));
    let predicate = "Predicates: 4: price > 10";
    assert_finds(
        STARROCKS,
        "wide-in-list",
        &[(predicate, &starrocks(1024))],
        &[(predicate, &starrocks(1023))],
    );
    for (condition, longest) in [
        ("a IN (1, 2, 3) and b in (4)", 3),
        ("a NOT IN ('x,y', ')', \"(\", f(1, 2))", 4),
        ("f(1, 2, 3) and min(4, 5)", 0),
        ("a in(1,2)", 2),
        ("plain (1, 2), _in (1)", 0),
        ("a IN (1, 2", 0),
        ("", 0),
    ] {
        assert_eq!(longest_list(condition), longest, "{condition}");
    }
}

#[test]
fn remote_reads() {
    let counters =
        "BytesScannedFromCache: 380.00 MB\n                     - BytesScannedFromRemote: 30.00 MB";
    let read = |cached: &str, remote: &str| {
        let to = format!(
            "BytesScannedFromCache: {cached}\n                     - BytesScannedFromRemote: {remote}"
        );
        assert_eq!(DORIS.matches(counters).count(), 8);
        rules(&DORIS.replace(counters, &to))
    };
    assert_eq!(read("10.00 MB", "1.60 GB"), ["remote-reads"]);
    assert_eq!(read("1.70 GB", "1.60 GB"), [""; 0]);
    assert_eq!(read("10.00 MB", "100.00 MB"), [""; 0]);
    let bytes = "             - BytesRead: 3.200 GB\n";
    let lake = |local: &str, remote: &str| {
        let statistics = "             - IOStatistics: 0ns\n               - CompressedBytesReadLocalDisk: LOCAL\n               - CompressedBytesReadRemote: REMOTE\n";
        let statistics = statistics.replace("LOCAL", local).replace("REMOTE", remote);
        rules(&changed(STARROCKS, &[(bytes, &(statistics + bytes))]))
    };
    assert_eq!(lake("100.000 MB", "3.100 GB"), ["remote-reads"]);
    assert_eq!(lake("3.100 GB", "100.000 MB"), [""; 0]);
}

#[test]
fn small_files() {
    let name = "OLAP_SCAN_OPERATOR(nereids_id=300. table_name=orders(orders))(id=0):\n              - PlanInfo";
    let files =
        "FILE_SCAN_OPERATOR(nereids_id=300. table_name=orders)(id=0):\n              - PlanInfo";
    let tablets = "tablets=32/32, tabletList=10101,10103,10105 ...";
    assert_finds(
        DORIS,
        "small-files",
        &[
            (name, files),
            (tablets, "inputSplitNum=4000, totalFileSize=4194304000, scanRanges=4000"),
        ],
        &[
            (name, files),
            (tablets, "inputSplitNum=4000, totalFileSize=268435456000, scanRanges=4000"),
        ],
    );
}

#[test]
fn many_rowsets() {
    let rowsets = "RowsetsReadCount: 128\n";
    assert_finds(
        STARROCKS,
        "many-rowsets",
        &[(rowsets, "RowsetsReadCount: 2.000K (2000)\n")],
        &[(rowsets, "RowsetsReadCount: 1.200K (1200)\n")],
    );
}
