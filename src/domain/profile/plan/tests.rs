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
    let shares: f64 = plan.nodes.iter().map(|node| node.share).sum();
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
            // Of a node the sum of its operators' longest times, and the network of its sender or its scan.
            node("4", "EXCHANGE", 1_350_000, 12, "3"),
            node("3", "HASH_JOIN", 5_300_000, 12, "0 2"),
            node("0", "OLAP_SCAN", 81_000_000, 9_000, ""),
            node("2", "EXCHANGE", 700_000, 20, "1"),
            node("1", "OLAP_SCAN", 2_300_000, 5, ""),
        ]
    );
    let plan = PlanReport::of_text(text, None);
    assert_eq!(plan.nodes[1].join.as_deref(), Some("INNER_JOIN (BROADCAST)"));
    assert_eq!(plan.nodes[2].table.as_deref(), Some("plants"));
    assert_eq!(plan.nodes[2].skew, Some(2.0));
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
