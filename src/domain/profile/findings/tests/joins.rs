//! Instances, joins and estimates.

use super::{DORIS, STARROCKS, assert_finds, changed, rules};

#[test]
fn skewed_instances() {
    let rows = "RowsProduced: sum 40.0M (40000000), avg 5.0M (5000000), max 5.200000M (5200000), min 4.800000M (4800000)\n             CustomCounters:\n                - RuntimeFilterInfo";
    let uneven = rows.replace(
        "max 5.200000M (5200000), min 4.800000M (4800000)",
        "max 30.0M (30000000), min 400.0K (400000)",
    );
    let time = "avg 5sec0ms, max 6sec0ms, min 4sec0ms";
    let finding = assert_finds(
        DORIS,
        "skewed-instances",
        &[(time, "avg 5sec0ms, max 22sec0ms, min 1sec0ms"), (rows, &uneven)],
        &[(time, "avg 5sec0ms, max 14sec0ms, min 1sec0ms"), (rows, &uneven)],
    );
    assert_eq!(finding.nodes, ["0"]);
    assert!(
        finding.means.starts_with(
            "One instance of OLAP_SCAN 0 of shop.orders took 22.00 s, the average took 5.00 s. Its instances had from \
             400,000 rows to 30,000,000 rows. "
        ),
        "{}",
        finding.means
    );
    // The worst skew leaves some instances without rows.
    let input = "InputRows: sum 40.0M (40000000), avg 5.0M (5000000), max 5.200000M (5200000), min 4.800000M (4800000)";
    let aggregation = "avg 2sec100ms, max 2sec700ms, min 1sec900ms";
    let finding = assert_finds(
        DORIS,
        "skewed-instances",
        &[
            (
                input,
                "InputRows: sum 40.0M (40000000), avg 5.0M (5000000), max 39.900000M (39900000), min 0",
            ),
            (aggregation, "avg 2sec700ms, max 21sec0ms, min 0ns"),
        ],
        &[(aggregation, "avg 2sec700ms, max 8sec0ms, min 0ns")],
    );
    assert_eq!(finding.nodes, ["8"]);
    assert!(finding.means.contains("from 0 rows to 39,900,000 rows"), "{}", finding.means);
    // One instance of each backend builds the table of a broadcast join: the others have no rows.
    let build = ("avg 30.0ms, max 41.0ms, min 21.0ms", "avg 900.0ms, max 7sec0ms, min 1.0ms");
    assert_eq!(rules(&changed(DORIS, &[build])), [""; 0]);
    // What the scan does beside its operator is most of its time: the operator's own times say nothing.
    let operator = (
        "OperatorTotalTime: 500.000ms\n               - __MAX_OF_OperatorTotalTime: 800.000ms",
        "OperatorTotalTime: 20.000ms\n               - __MAX_OF_OperatorTotalTime: 1s100ms",
    );
    let longest = "__MAX_OF_ScanTime: 5s100ms";
    assert_finds(
        STARROCKS,
        "skewed-instances",
        &[(longest, "__MAX_OF_ScanTime: 14s100ms")],
        &[operator],
    );
    let probe = "OperatorTotalTime: 2s200ms\n               - __MAX_OF_OperatorTotalTime: 2s600ms";
    let finding = assert_finds(
        STARROCKS,
        "skewed-instances",
        &[(
            probe,
            "OperatorTotalTime: 2s200ms\n               - __MAX_OF_OperatorTotalTime: 8s600ms",
        )],
        &[(
            probe,
            "OperatorTotalTime: 2s200ms\n               - __MAX_OF_OperatorTotalTime: 6s500ms",
        )],
    );
    assert!(finding.means.contains("All instances had about as many rows."), "{}", finding.means);
    assert!(finding.documentation.url.starts_with("https://docs.starrocks.io/"));
}

#[test]
fn low_parallelism() {
    let input = "InputRows: sum 40.0M (40000000), avg 5.0M (5000000), max 5.200000M (5200000), min 4.800000M (4800000)";
    let finding = assert_finds(
        DORIS,
        "low-parallelism",
        &[(
            input,
            "InputRows: sum 40.0M (40000000), avg 40.0M (40000000), max 40.0M (40000000), min 40.0M (40000000)",
        )],
        &[(
            input,
            "InputRows: sum 400.0K (400000), avg 400.0K (400000), max 400.0K (400000), min 400.0K (400000)",
        )],
    );
    assert_eq!(finding.nodes, ["8"]);
    // The last aggregation of StarRocks has one instance.
    let time = ("OperatorTotalTime: 175.172us", "OperatorTotalTime: 3s175ms");
    let input = "PushRowNum: 16\n             - RuntimeFilterNum: 0\n             - RuntimeInFilterNum: 0\n          UniqueMetrics:\n             - AggregateFunctions";
    let many = input.replace("PushRowNum: 16", "PushRowNum: 40.000M (40000000)");
    let few = input.replace("PushRowNum: 16", "PushRowNum: 400.000K (400000)");
    let finding =
        assert_finds(STARROCKS, "low-parallelism", &[time, (input, &many)], &[time, (input, &few)]);
    assert_eq!(finding.nodes, ["5"]);
}

#[test]
fn large_build_side() {
    let scan = "RowsProduced: sum 100.0K (100000), avg 12.500K (12500), max 12.500K (12500), min 12.500K (12500)";
    let finding = assert_finds(
        DORIS,
        "large-build-side",
        // The table of the probe side has 60,000,000 rows.
        &[(
            scan,
            "RowsProduced: sum 130.0M (130000000), avg 16.250000M (16250000), max 16.250000M (16250000), min 16.250000M (16250000)",
        )],
        &[(
            scan,
            "RowsProduced: sum 110.0M (110000000), avg 13.750000M (13750000), max 13.750000M (13750000), min 13.750000M (13750000)",
        )],
    );
    assert_eq!(finding.nodes, ["7"]);
    assert_eq!(finding.evidence[1].value, 60_000_000.0);
    // Of StarRocks the rows of the table are not known, so the rule counts only where no filter cuts the probe side.
    let unfiltered = changed(
        STARROCKS,
        &[
            ("             - RuntimeFilterDesc: <0: BloomFilter> \n", ""),
            (
                "RuntimeFilterNum: 1\n             - RuntimeInFilterNum",
                "RuntimeFilterNum: 0\n             - RuntimeInFilterNum",
            ),
        ],
    );
    for (text, expected) in [(STARROCKS, &[][..]), (&unfiltered, &["large-build-side"])] {
        let (head, scan) = text.split_once("OLAP_SCAN (plan_node_id=1)").unwrap();
        let scan = scan.replace("PullRowNum: 100.000K (100000)", "PullRowNum: 90.000M (90000000)");
        assert_eq!(rules(&format!("{head}OLAP_SCAN (plan_node_id=1){scan}")), expected);
    }
}

const JOINED: &str = "RowsProduced: sum 40.0M (40000000), avg 5.0M (5000000), max 5.200000M (5200000), min 4.800000M (4800000)\n             CustomCounters:\n                - ProbeRows";
const JOINED_FEW: &str = "RowsProduced: sum 1.0M (1000000), avg 125.0K (125000), max 130.0K (130000), min 120.0K (120000)\n             CustomCounters:\n                - ProbeRows";

#[test]
fn missing_runtime_filter() {
    let expected = ("cardinality=30,000,000", "cardinality=2,000,000");
    let few = [(JOINED, JOINED_FEW), expected];
    assert_eq!(rules(&changed(DORIS, &few)), [""; 0]);
    let lines = DORIS.lines().filter(|line| !line.contains("RF0"));
    let unfiltered: String = lines.map(|line| format!("{line}\n")).collect();
    let finding = assert_finds(&unfiltered, "missing-runtime-filter", &few, &[]);
    assert_eq!(finding.nodes, ["0", "7"]);
    for explained in [
        // A row without a match is kept; another condition drops the rows.
        ("join op: INNER JOIN(BROADCAST)[]", "join op: LEFT OUTER JOIN(BROADCAST)[]"),
        (
            "(customer = id)\n",
            "(customer = id)\n                 - other join predicates: (price > tax)\n",
        ),
    ] {
        let changes = [&few[..], &[explained]].concat();
        assert_eq!(rules(&changed(&unfiltered, &changes)), [""; 0], "{explained:?}");
    }
    let joined = "PullRowNum: 40.000M (40000000)\n               - __MAX_OF_PullRowNum: 2.600M (2600000)\n               - __MIN_OF_PullRowNum: 2.400M (2400000)\n             - PushRowNum";
    let few = "PullRowNum: 1.000M (1000000)\n               - __MAX_OF_PullRowNum: 65.000K (65000)\n               - __MIN_OF_PullRowNum: 60.000K (60000)\n             - PushRowNum";
    assert_finds(
        STARROCKS,
        "missing-runtime-filter",
        &[
            ("             - RuntimeFilterDesc: <0: BloomFilter> \n", ""),
            (
                "RuntimeFilterNum: 1\n             - RuntimeInFilterNum",
                "RuntimeFilterNum: 0\n             - RuntimeInFilterNum",
            ),
            (
                &joined.replace("PushRowNum", "PushRowNum: 40"),
                &few.replace("PushRowNum", "PushRowNum: 40"),
            ),
        ],
        &[(
            &joined.replace("PushRowNum", "PushRowNum: 40"),
            &few.replace("PushRowNum", "PushRowNum: 40"),
        )],
    );
}

#[test]
fn cross_join() {
    let names = [
        ("           HASH_JOIN_OPERATOR(", "           CROSS_JOIN_OPERATOR("),
        ("           HASH_JOIN_SINK_OPERATOR(", "           CROSS_JOIN_SINK_OPERATOR("),
        ("join op: INNER JOIN(BROADCAST)[]", "join op: CROSS JOIN()"),
        ("                 - equal join conjunct: (customer = id)\n", ""),
    ];
    let rows = "RowsProduced: sum 100.0K (100000), avg 12.500K (12500), max 12.500K (12500), min 12.500K (12500)";
    let few = (rows, "RowsProduced: sum 2, avg 0, max 2, min 0");
    let finding = assert_finds(DORIS, "cross-join", &names, &[&names[..], &[few]].concat());
    assert!(finding.means.contains("4,000,000,000,000 pairs"), "{}", finding.means);
    // A scalar subquery gives one row, which many rows are compared with. The planner's rows are not those of the pairs.
    let single = "RowsProduced: sum 1, avg 0, max 1, min 0";
    let (probe, many) = (
        JOINED.split('\n').next().unwrap(),
        "RowsProduced: sum 400.0M (400000000), avg 50.0M (50000000), max 52.0M (52000000), min 48.0M (48000000)",
    );
    let scalar = changed(DORIS, &[&names[..], &[(rows, single)]].concat()).replace(probe, many);
    assert_eq!(rules(&scalar), [""; 0]);
    let names = [
        ("\"name\":\"HASH_JOIN\"", "\"name\":\"NEST_LOOP_JOIN\""),
        ("        HASH_JOIN_PROBE (", "        NESTLOOP_JOIN_PROBE ("),
        ("        HASH_JOIN_BUILD (", "        NESTLOOP_JOIN_BUILD ("),
    ];
    assert_eq!(rules(&changed(STARROCKS, &names)), ["cross-join"]);
}

#[test]
fn wrong_estimate() {
    let expected = "cardinality=30,000,000";
    assert_finds(
        DORIS,
        "wrong-estimate",
        &[(expected, "cardinality=3,000,000")],
        &[(expected, "cardinality=5,000,000")],
    );
    // A runtime filter may have cut the rows.
    assert_eq!(rules(&changed(DORIS, &[(expected, "cardinality=900,000,000")])), [""; 0]);
}
