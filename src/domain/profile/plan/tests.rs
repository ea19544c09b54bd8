use proptest::prelude::*;

use super::PlanReport;

/// The text of a profile in `tests`.
macro_rules! profile {
    ($name:literal) => {
        include_str!(concat!("../../../../tests/", $name, ".txt"))
    };
}

/// The nodes of a plan: id, name, own time, rows, and the ids of the nodes below.
fn nodes(text: &str) -> Vec<(String, String, u64, Option<u64>, String)> {
    let plan = PlanReport::of_text(text, None);
    let nodes = plan.nodes.into_iter().map(|node| {
        (node.id, node.name, node.time_ns.unwrap_or(0), node.rows, node.children.join(" "))
    });
    nodes.collect()
}

fn node(
    id: &str,
    name: &str,
    ns: u64,
    rows: impl Into<Option<u64>>,
    children: &str,
) -> (String, String, u64, Option<u64>, String) {
    (id.to_string(), name.to_string(), ns, rows.into(), children.to_string())
}

#[test]
fn halves_of_pipelines_and_fragments_are_one_node() {
    let text = profile!("profiles/doris-3.0");
    assert_eq!(
        nodes(text),
        [
            node("result_sink", "RESULT_SINK", 77_003, 7, "4"),
            node("4", "EXCHANGE", 80_091, 7, "3"),
            node("3", "AGGREGATION", 5_301_000_000, 7, "0"),
            node("0", "OLAP_SCAN", 41_005_000_000, 9_000, ""),
        ]
    );
    let plan = PlanReport::of_text(text, None);
    assert_eq!(plan.critical_path, ["result_sink", "4", "3", "0"]);
    assert_eq!(plan.nodes[3].table.as_deref(), Some("plants"));
    let shares: f64 = plan.nodes.iter().filter_map(|node| node.share).sum();
    assert!((shares - 1.0).abs() < 1e-9, "{shares}");
}

#[test]
fn a_common_table_expression_is_read_twice() {
    let text = profile!("profiles/doris-3.0-cte");
    assert_eq!(
        nodes(text),
        [
            node("result_sink", "RESULT_SINK", 90_001, 3, "8"),
            node("8", "EXCHANGE", 120_004, 3, "7"),
            node("7", "HASH_JOIN", 7_000_000, 3, "-2 6"),
            node("-2", "LOCAL_EXCHANGE", 61_000, 40, "5"),
            node("5", "EXCHANGE", 5_000_000, 40, "multi_cast"),
            node("6", "EXCHANGE", 3_000_000, 40, "multi_cast"),
            node("multi_cast", "MULTI_CAST", 2_600_000, 40, "2"),
            node("2", "AGGREGATION", 64_000_000, 40, "0"),
            node("0", "OLAP_SCAN", 900_000_000, 50_000, ""),
        ]
    );
    let plan = PlanReport::of_text(text, None);
    let join = plan.nodes.iter().find(|node| node.id == "7").unwrap();
    assert_eq!(join.join.as_deref(), Some("INNER JOIN(PARTITIONED)"));
    assert_eq!(join.predicates, ["equal join conjunct: (bed = bed)"]);
    assert_eq!((join.expected_rows, join.input_rows), (Some(1_300), Some(80)));
    assert_eq!(join.wait_ns, Some(960_000_000));
    let scan = plan.nodes.last().unwrap();
    assert_eq!(scan.table.as_deref(), Some("garden.plants"));
    assert_eq!((scan.bytes, scan.skew), (Some(3 << 20), Some(3.0)));
    assert_eq!(plan.critical_path, ["result_sink", "8", "7", "-2", "5", "multi_cast", "2", "0"]);
}

#[test]
fn a_multi_cast_has_the_rows_of_the_node_below() {
    // The sink of 3.0 counts each row twice.
    let text = profile!("profiles/doris-3.0-cte");
    let sink = "MULTI_CAST_DATA_STREAM_SINK_OPERATOR (dest_id=5,6,):\n              - ExecTime: avg 400us, max 600us, min 300us\n              - InputRows: sum 80,";
    assert!(text.contains(sink));
    let rows = |text: &str| {
        let nodes = PlanReport::of_text(text, None).nodes;
        nodes.iter().find(|node| node.name == "MULTI_CAST").unwrap().rows
    };
    assert_eq!(rows(text), Some(40));
    // Without the node below, one of the readers has the rows.
    let (head, tail) = text.split_once("           AGGREGATION_OPERATOR (id=2").unwrap();
    let (_, readers) = tail.split_once("         Pipeline : 2(instance_num=4):").unwrap();
    assert_eq!(rows(&format!("{head}         Pipeline : 2(instance_num=4):{readers}")), Some(40));
}

#[test]
fn bytes_and_waits_are_of_all_tasks_where_the_text_lists_tasks() {
    let task = |index: u8, time: &str, bytes: &str, filters: &str| {
        format!(
            "        PipelineTask (index={index}):(ExecTime: 12sec400ms)\n          OLAP_TABLE_SINK_OPERATOR (id=0):(ExecTime: 5sec3ms)\n             \
            - InputRows: 70\n          FILE_SCAN_OPERATOR (id=0. table name = plants):(ExecTime: {time})\n             \
            - RowsProduced: 70\n             - ScanBytes: {bytes}\n             - WaitForDependency[FILE_SCAN_OPERATOR_DEPENDENCY]Time: 3sec\n             \
            - WaitForRuntimeFilter: {filters}\n"
        )
    };
    let text = format!(
        "Summary:\n   - Total: 2sec700ms\nExecution Profile c10182df5048f04c-8f2b86d66c7f72a4:\n  Fragments:\n    Fragment 0:\n      \
        Pipeline :0  (host=TNetworkAddress(hostname:10.9.0.4, port:9050)):\n{}{}{}",
        task(0, "7sec21ms", "10.00 MB", "1sec1ms"),
        task(1, "6sec21ms", "20.00 MB", "3sec1ms"),
        task(2, "8sec21ms", "5.00 MB", "2sec1ms"),
    );
    let plan = PlanReport::of_text(&text, None);
    let scan = plan.nodes.iter().find(|node| node.name == "FILE_SCAN").unwrap();
    assert_eq!((scan.rows, scan.time_ns), (Some(210), Some(8_021_000_000)));
    assert_eq!((scan.bytes, scan.wait_ns), (Some(35 << 20), Some(3_001_000_000)));
}

#[test]
fn a_scan_of_an_older_starrocks_has_the_times_and_bytes_of_all_drivers() {
    let driver = |id: u8, time: &str, scan: &str, bytes: &str| {
        format!(
            "        PipelineDriver (id={id}):\n          OLAP_SCAN (plan_node_id=0):\n            CommonMetrics:\n               \
            - OperatorTotalTime: {time}\n               - PullRowNum: 10\n            UniqueMetrics:\n               \
            - BytesRead: {bytes}\n               - ScanTime: {scan}\n"
        )
    };
    let text = format!(
        "Query:\n  Summary:\n     - StarRocks Version: 2.4.3\n  Execution Profile 1-2:(Active: 26.7ms[26007411ns], % non-child: 100.00%)\n    \
        Fragment 0:\n      Instance 1-3 (host=TNetworkAddress(hostname:10.9.1.1, port:9060)):\n      Pipeline (id=0):\n{}{}",
        driver(1, "4ms", "10ms", "3.00 KB"),
        driver(2, "2ms", "30ms", "2.00 KB"),
    );
    let plan = PlanReport::of_text(&text, None);
    let [scan] = plan.nodes.as_slice() else { panic!("{plan:?}") };
    assert_eq!((scan.time_ns, scan.rows), (Some(34_000_000), Some(20)));
    assert_eq!((scan.bytes, scan.skew), (Some(5 << 10), Some(1.5)));
}

#[test]
fn the_build_side_that_an_older_backend_prints_first_is_the_second_child() {
    let join = nodes(profile!("profiles/doris-0.8")).into_iter().find(|node| node.0 == "2");
    assert_eq!(join.unwrap().4, "4 5");
}

#[test]
fn each_task_of_a_load_has_its_nodes() {
    assert_eq!(
        nodes(profile!("profiles/doris-3.0-two-tasks")),
        [
            node("olap_table_sink", "OLAP_TABLE_SINK", 5_003_000_000, 70, "0"),
            node("0", "FILE_SCAN", 7_021_000_000, 70, ""),
            node("0:olap_table_sink", "OLAP_TABLE_SINK", 51_009_000_000, 4, "0:0"),
            node("0:0", "FILE_SCAN", 13_008_000_000, 4, ""),
        ]
    );
}

#[test]
fn the_sink_of_an_older_fragment_reads_from_the_node_beside_it() {
    assert_eq!(
        nodes(profile!("profiles/doris-2.0")),
        [
            node("data_buffer_sender", "DATA_BUFFER_SENDER", 40_022, None, "2"),
            node("2", "SORT", 2_670_000, 3, "0"),
            node("0", "OLAP_SCAN", 64_030_000, 9_000, ""),
        ]
    );
}

#[test]
fn the_nodes_of_starrocks_are_those_of_its_topology() {
    let text = profile!("profiles/starrocks-3.5-join");
    assert_eq!(
        nodes(text),
        [
            node("result_sink", "RESULT_SINK", 40_118, 12, "4"),
            // Of a node the sum of its operators' longest times, and the network of its sender or its scan.
            node("4", "EXCHANGE", 1_350_000, 12, "3"),
            node("3", "HASH_JOIN", 5_300_000, 12, "0 2"),
            node("0", "OLAP_SCAN", 81_000_000, 9_000, ""),
            node("2", "EXCHANGE", 700_000, 20, "1"),
            node("1", "OLAP_SCAN", 2_300_000, 5, ""),
        ]
    );
    let plan = PlanReport::of_text(text, None);
    assert_eq!(plan.nodes[2].join.as_deref(), Some("INNER_JOIN (BROADCAST)"));
    assert_eq!(plan.nodes[3].table.as_deref(), Some("plants"));
    // Most of the scan's time is `ScanTime`: 80 ms at most, 60 ms on average.
    assert_eq!(plan.nodes[3].skew.map(|skew| (skew * 100.0).round()), Some(133.0));
}

/// A load that fills a table through a local exchange, as StarRocks 3.x writes it.
const LOAD: &str = "Query:
  Summary:
     - StarRocks Version: 3.5.3-799f68c
     - Total: 8s40ms
  Execution:
     - Topology: {\"rootId\":0,\"nodes\":[{\"id\":0,\"name\":\"UNION\",\"properties\":{},\"children\":[1,2]},{\"id\":1,\"name\":\"OLAP_SCAN\",\"properties\":{},\"children\":[]},{\"id\":2,\"name\":\"OLAP_SCAN\",\"properties\":{},\"children\":[]}]}
    Fragment 0:
       - InstanceNum: 1
      Pipeline (id=3):
        OLAP_TABLE_SINK (plan_node_id=-1):
          CommonMetrics:
             - IsFinalSink
             - OperatorTotalTime: 4ms
             - PushRowNum: 30
        LOCAL_EXCHANGE_SOURCE (plan_node_id=-1):
          CommonMetrics:
             - OperatorTotalTime: 1ms
             - PullRowNum: 30
      Pipeline (id=2):
        LOCAL_EXCHANGE_SINK (plan_node_id=-1):
          CommonMetrics:
             - OperatorTotalTime: 2ms
             - PushRowNum: 30
        LOCAL_EXCHANGE_SOURCE (plan_node_id=0):
          CommonMetrics:
             - IsSubordinate
             - OperatorTotalTime: 1ms
             - PullRowNum: 30
      Pipeline (id=1):
        LOCAL_EXCHANGE_SINK (plan_node_id=0):
          CommonMetrics:
             - IsSubordinate
             - OperatorTotalTime: 1ms
             - PushRowNum: 10
        UNION_PASSTHROUGH (plan_node_id=0):
          CommonMetrics:
             - OperatorTotalTime: 1ms
             - PullRowNum: 10
             - PushRowNum: 10
        OLAP_SCAN (plan_node_id=1):
          CommonMetrics:
             - OperatorTotalTime: 1ms
             - PullRowNum: 10
      Pipeline (id=0):
        LOCAL_EXCHANGE_SINK (plan_node_id=0):
          CommonMetrics:
             - IsSubordinate
             - OperatorTotalTime: 1ms
             - PushRowNum: 20
        UNION_PASSTHROUGH (plan_node_id=0):
          CommonMetrics:
             - OperatorTotalTime: 1ms
             - PullRowNum: 20
             - PushRowNum: 20
        OLAP_SCAN (plan_node_id=2):
          CommonMetrics:
             - OperatorTotalTime: 1ms
             - PullRowNum: 20
";

#[test]
fn the_final_sink_of_starrocks_is_the_root_and_a_union_has_the_rows_of_all_branches() {
    let expected = [
        node("olap_table_sink", "OLAP_TABLE_SINK", 7_000_000, 30, "0"),
        node("0", "UNION", 5_000_000, 30, "1 2"),
        node("1", "OLAP_SCAN", 1_000_000, 10, ""),
        node("2", "OLAP_SCAN", 1_000_000, 20, ""),
    ];
    assert_eq!(nodes(LOAD), expected);
    let plan = PlanReport::of_text(LOAD, None);
    assert_eq!(plan.critical_path, ["olap_table_sink", "0", "1"]);
    assert_eq!(plan.nodes[0].share, Some(0.5));
    // Up to 2.5 the text has no topology, and the order of the operators says which reads from which.
    let lines = LOAD.lines().filter(|line| !line.contains("Topology"));
    let older: String = lines.map(|line| format!("{line}\n")).collect();
    assert_eq!(nodes(&older)[0], expected[0]);
}

#[test]
fn a_plan_keeps_its_fingerprint_when_only_times_and_parallel_parts_change() {
    let fingerprint = |text: &str| PlanReport::of_text(text, None).plan_fingerprint;
    let text = profile!("profiles/doris-3.0-cte");
    let first = fingerprint(text);
    assert!(first.is_some());
    assert_eq!(fingerprint(&text.replace("sec", "ms").replace("40", "41")), first);
    let without_local = text
        .lines()
        .filter(|line| !line.contains("LOCAL_EXCHANGE_SINK") && !line.contains("Pipeline : 1(i"));
    let without_local: String = without_local.map(|line| format!("{line}\n")).collect();
    assert_eq!(fingerprint(&without_local), first);
    assert_ne!(fingerprint(&text.replace("PARTITIONED", "BROADCAST")), first);
    assert_ne!(fingerprint(&text.replace("garden.plants", "garden.beds")), first);
    assert_eq!(fingerprint("Summary:\n"), None);
}

#[test]
fn a_circle_ends() {
    let text = "Fragment 0:\n  Pipeline 0:\n    DATA_STREAM_SINK_OPERATOR (dest_id=1):\n    \
        EXCHANGE_OPERATOR (id=1):\n    DATA_STREAM_SINK_OPERATOR (dest_id=2):\n    EXCHANGE_OPERATOR (id=1):\n";
    let plan = PlanReport::of_text(text, None);
    assert_eq!(plan.nodes.len(), 2, "{plan:?}");
    let edges: usize = plan.nodes.iter().map(|node| node.children.len()).sum();
    assert_eq!(edges, 1, "{plan:?}");
}

proptest! {
    /// Ids are unique, each child is a node further down, and each operator is in one node.
    #[test]
    fn any_operators_make_a_plan(lines in proptest::collection::vec((0..6_usize, 0..12_usize, 0..4_u8), 0..60)) {
        let kinds = [
            "EXCHANGE_OPERATOR", "DATA_STREAM_SINK_OPERATOR", "HASH_JOIN_OPERATOR", "HASH_JOIN_SINK_OPERATOR",
            "RESULT_SINK_OPERATOR", "MULTI_CAST_DATA_STREAM_SINK_OPERATOR", "MULTI_CAST_DATA_STREAM_SOURCE_OPERATOR",
            "OLAP_SCAN (plan_node_id=1)", "VEXCHANGE_NODE", "VDataStreamSender", "OLAP_TABLE_SINK_OPERATOR", "SORT",
        ];
        let mut text = "Fragment 0:\n".to_string();
        for (depth, kind, id) in lines {
            let indent = "  ".repeat(depth + 1);
            text += &match kind {
                0 => format!("{indent}Pipeline {id}:\n"),
                1 => format!("{indent}Fragment {id}:\n"),
                _ => format!("{indent}{} (id={id}):\n", kinds[kind]),
            };
        }
        let plan = PlanReport::of_text(&text, None);
        let mut seen = std::collections::HashSet::new();
        for node in plan.nodes.iter().rev() {
            for child in &node.children {
                prop_assert!(seen.contains(child), "{text}\n{plan:?}");
            }
            prop_assert!(seen.insert(node.id.clone()), "{text}\n{plan:?}");
        }
    }
}

#[test]
fn a_scan_waits_for_runtime_filters_and_works_while_its_scanners_read() {
    let text = profile!("profiles/doris-4.0-join");
    let time = "ExecTime: avg 5sec0ms, max 6sec0ms, min 4sec0ms\n";
    let scan = |waits: &str| {
        assert_eq!(text.matches(time).count(), 1);
        let text = text.replace(time, &format!("{time}{waits}"));
        let nodes = PlanReport::of_text(&text, None).nodes;
        let scan = nodes.into_iter().find(|node| node.name == "OLAP_SCAN").unwrap();
        (scan.time_ns, scan.wait_ns)
    };
    let scanners = "                - WaitForDependency[OLAP_SCAN_OPERATOR_DEPENDENCY]Time: avg 3sec, max 4sec, min 2sec\n";
    let filters = "                - WaitForRuntimeFilter: avg 1sec, max 1sec500ms, min 1sec\n";
    assert_eq!(scan(""), (Some(6_000_000_000), None));
    assert_eq!(scan(scanners), (Some(6_000_000_000), None));
    let both = format!("{scanners}{filters}");
    assert_eq!(scan(&both), (Some(4_500_000_000), Some(1_500_000_000)));
}

#[test]
fn a_plan_that_lacks_operators_has_no_shape() {
    let incomplete = |text: &str| {
        let plan = PlanReport::of_text(text, None);
        assert_eq!(plan.plan_fingerprint.is_none(), plan.incomplete_nodes > 0);
        plan.incomplete_nodes
    };
    let text = profile!("profiles/doris-4.0-join");
    assert_eq!(incomplete(text), 0);
    // Cut behind a fragment, and within one.
    let (head, _) = text.split_once("       Fragment 2:").unwrap();
    assert_eq!(incomplete(head), 1);
    let (head, _) = text.split_once("           OLAP_SCAN_OPERATOR(nereids_id=300").unwrap();
    assert_eq!(incomplete(head), 1);
    let text = profile!("profiles/starrocks-3.5-join");
    assert_eq!(incomplete(text), 0);
    let (head, _) = text.split_once("    Fragment 1:").unwrap();
    assert!(incomplete(head) > 0);
}
