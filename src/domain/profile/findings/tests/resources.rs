//! The network, memory, and the phases around the execution.

use super::{DORIS, STARROCKS, assert_finds, changed, rules};
use crate::domain::profile::findings::FindingsReport;

#[test]
fn large_exchange() {
    // A table of 7,500,000 rows is sent to eight backends.
    let scan = "RowsProduced: sum 100.0K (100000), avg 12.500K (12500), max 12.500K (12500), min 12.500K (12500)";
    let sent = (
        scan,
        "RowsProduced: sum 7.500000M (7500000), avg 937.500K (937500), max 937.500K (937500), min 937.500K (937500)",
    );
    let received =
        "RowsProduced: sum 100.0K (100000), avg 12.500K (12500), max 100.0K (100000), min 0";
    let received = (
        received,
        "RowsProduced: sum 60.0M (60000000), avg 7.500000M (7500000), max 7.500000M (7500000), min 7.500000M (7500000)",
    );
    let time = "avg 12.0ms, max 14.0ms, min 10.0ms";
    let finding = assert_finds(
        DORIS,
        "large-exchange",
        &[sent, received, (time, "avg 3sec0ms, max 3sec400ms, min 2sec900ms")],
        &[sent, received],
    );
    assert_eq!(finding.nodes, ["6"]);
    let (head, rest) = STARROCKS.split_once("EXCHANGE_SOURCE (plan_node_id=2)").unwrap();
    let received = |max: &str| {
        let rest = rest
            .replacen("PullRowNum: 100.000K (100000)", "PullRowNum: 60.000M (60000000)", 1)
            .replacen("__MAX_OF_OperatorTotalTime: 3.000ms", max, 1);
        rules(&format!("{head}EXCHANGE_SOURCE (plan_node_id=2){rest}"))
    };
    assert_eq!(received("__MAX_OF_OperatorTotalTime: 3s200ms"), ["large-exchange"]);
    assert_eq!(received("__MAX_OF_OperatorTotalTime: 900.000ms"), [""; 0]);
}

#[test]
fn spill() {
    let sink = "           AGGREGATION_SINK_OPERATOR(nereids_id=410)";
    let spilling = (sink, "           PARTITIONED_AGGREGATION_SINK_OPERATOR(nereids_id=410)");
    let counter = "- MemoryUsageHashTable: sum 1.00 MB";
    let spilled = |size: &str| {
        format!(
            "- SpillWriteFileBytes: sum {size}, avg 128.00 MB, max 140.00 MB, min 110.00 MB\n                {counter}"
        )
    };
    let finding = assert_finds(
        DORIS,
        "spill",
        &[spilling, (counter, &spilled("3.00 GB"))],
        &[spilling, (counter, &spilled("900.00 MB"))],
    );
    assert_eq!((&finding.nodes[0], finding.evidence[0].value), (&"8".to_string(), 3_221_225_472.0));
    // Up to 3.0 Doris writes another counter, below one of all spilling.
    let older = format!(
        "- Spill: avg 0ns, max 0ns, min 0ns\n                  - SpillWriteDataSize: sum 3.00 GB, avg 384.00 MB, max 400.00 MB, min 370.00 MB\n                {counter}"
    );
    assert_eq!(rules(&changed(DORIS, &[spilling, (counter, &older)])), ["spill"]);
    let counter = "             - JoinPredicates: 2: customer = 11: id\n";
    for (name, expected) in
        [("BytesFlushToDisk", &["spill"][..]), ("BytesFlush", &["spill"]), ("BytesRestore", &[])]
    {
        let spilled = format!(
            "{counter}             - SpillStatistics: 0ns\n               - {name}: 3.000 GB\n"
        );
        assert_eq!(rules(&changed(STARROCKS, &[(counter, &spilled)])), expected, "{name}");
    }
}

#[test]
fn memory_near_limit() {
    let peak = "QueryPeakMemoryUsagePerNode: 4.250 GB";
    let finding = assert_finds(
        STARROCKS,
        "memory-near-limit",
        &[(peak, "QueryPeakMemoryUsagePerNode: 16.500 GB")],
        &[(peak, "QueryPeakMemoryUsagePerNode: 15.500 GB")],
    );
    assert_eq!(finding.nodes, ["3"]);
    let unlimited = STARROCKS.replace("QueryMemoryLimit: 20.000 GB", "QueryMemoryLimit: -1.000 B");
    assert_eq!(
        rules(&changed(&unlimited, &[(peak, "QueryPeakMemoryUsagePerNode: 16.500 GB")])),
        [""; 0]
    );
}

#[test]
fn phases_longer_than_the_execution() {
    let plan = "- Plan Time: 31ms";
    let finding = assert_finds(
        DORIS,
        "long-planning",
        &[(plan, "- Plan Time: 12sec")],
        &[(plan, "- Plan Time: 9sec")],
    );
    assert_eq!((finding.nodes.len(), &*finding.evidence[0].to_string()), (0, "12.00 s"));
    assert_finds(
        STARROCKS,
        "long-planning",
        &[("-- Total[1] 36ms", "-- Total[1] 12s")],
        &[("-- Total[1] 36ms", "-- Total[1] 9s")],
    );
    // Waiting for locks is no planning.
    let planned = [(plan, "- Plan Time: 12sec31ms\n     - Nereids Lock Table Time: 12sec0ms")];
    let short = [(plan, "- Plan Time: 931ms\n     - Nereids Lock Table Time: 900ms")];
    let finding = assert_finds(DORIS, "long-lock", &planned, &short);
    assert_eq!(finding.documentation.name, "max_lock_hold_threshold_seconds");
    let schedule = ("- Schedule Time: 24ms", "- Schedule Time: 9sec24ms");
    let sent = "- Fragment RPC Phase1 Time: 15ms";
    let finding = assert_finds(
        DORIS,
        "long-scheduling",
        &[schedule, (sent, "- Fragment RPC Phase1 Time: 9sec")],
        // The steps are short: the rest may be the queue.
        &[schedule],
    );
    assert!(
        finding.means.contains("The longest step, send fragments, phase 1, took 9.00 s."),
        "{}",
        finding.means
    );
    let deployed = "-- Deploy[1] 44ms";
    assert_finds(
        STARROCKS,
        "long-scheduling",
        &[(deployed, "-- Deploy[1] 3s400ms")],
        &[(deployed, "-- Deploy[1] 2s400ms")],
    );
    assert_finds(
        STARROCKS,
        "long-queue",
        &[("-- Pending[1] 0", "-- Pending[1] 12s")],
        &[("-- Pending[1] 0", "-- Pending[1] 9s")],
    );
    // Doris' profile has the queue within the time of scheduling; the record of the query says how long it was.
    let queued = changed(DORIS, &[("- Schedule Time: 24ms", "- Schedule Time: 14sec")]);
    assert_eq!(rules(&queued), [""; 0]);
    let findings = FindingsReport::of_text(&queued, Some(13_000)).findings;
    assert_eq!(findings[0].rule, "long-queue");
    let sent = "- Write Result Time: 3ms";
    assert_finds(
        DORIS,
        "slow-client",
        &[(sent, "- Write Result Time: 6sec")],
        &[(sent, "- Write Result Time: 4sec")],
    );
    let sent = "- ResultDeliverTime: 0ns";
    assert_finds(
        STARROCKS,
        "slow-client",
        &[(sent, "- ResultDeliverTime: 6s100ms")],
        &[(sent, "- ResultDeliverTime: 4s100ms")],
    );
    // An INSERT has no client that takes rows: the time is that of writing to the table.
    let insert = [
        (sent, "- ResultDeliverTime: 6s100ms"),
        ("        RESULT_SINK (", "        OLAP_TABLE_SINK ("),
    ];
    assert_eq!(rules(&changed(STARROCKS, &insert)), [""; 0]);
}
