//! A profile of each version of each engine.

use proptest::prelude::*;

use crate::domain::profile::text::lines;
use crate::domain::profile::*;
use crate::domain::record::{Kind, QueryRecord};

/// The text of a profile in `tests/profiles`.
macro_rules! profile {
    ($name:literal) => {
        include_str!(concat!("../../../../tests/profiles/", $name, ".txt"))
    };
}

fn record(text: &str) -> QueryRecord {
    let shanghai: Zone = "Asia/Shanghai".parse().unwrap();
    Profile::summary_of(text.as_bytes(), shanghai).unwrap()
}

/// An operator's depth, name, fragment, own time, rows and memory.
type Row = (usize, String, Option<String>, Option<u64>, Option<u64>, Option<u64>);

fn read(text: &str) -> Vec<Row> {
    let section = Section::parse(text);
    let operators = operators(&section);
    let rows = walk(&operators).map(|(depth, found)| {
        let name = found.name.to_string();
        let fragment = found.fragment.map(str::to_string);
        (depth, name, fragment, found.time_ns, found.rows, found.memory_bytes)
    });
    rows.collect()
}

fn expected(
    depth: usize,
    name: &str,
    fragment: &str,
    ns: u64,
    rows: impl Into<Option<u64>>,
    memory: impl Into<Option<u64>>,
) -> Row {
    (depth, name.to_string(), Some(fragment.to_string()), Some(ns), rows.into(), memory.into())
}

fn phases(text: &str) -> Vec<(String, i64)> {
    let phases = Phases::of(&Section::parse(text)).phases;
    phases.into_iter().map(|phase| (phase.name, phase.duration_ms)).collect()
}

fn expected_phases(phases: &[(&str, i64)]) -> Vec<(String, i64)> {
    phases.iter().map(|(name, ms)| (name.to_string(), *ms)).collect()
}

#[test]
fn doris_0_8() {
    let text = profile!("doris-0.8");
    let record = record(text);
    assert_eq!((record.user.as_deref(), record.db.as_deref()), (Some("mira"), Some("garden")));
    let exchange = |depth, id, ns, rows| {
        expected(depth, &format!("EXCHANGE_NODE (id={id})"), "1", ns, rows, None)
    };
    assert_eq!(
        read(text),
        [
            expected(0, "DataStreamSender (dst_id=6)", "1", 71_902, None, None),
            expected(1, "AGGREGATION_NODE (id=3)", "1", 100_000_000, 1, 12_288),
            expected(2, "HASH_JOIN_NODE (id=2)", "1", 490_000_000, 1_500_000, 41_943_040),
            exchange(3, 5, 2_400_000_000, 900),
            exchange(3, 4, 1_000_000_000, 1_500_000),
        ]
    );
}

#[test]
fn doris_0_12() {
    let text = profile!("doris-0.12");
    let record = record(text);
    assert_eq!(record.query_id.as_str(), "31f0a2b4c6d84e10-8899aabbccddeef0");
    assert_eq!(
        record.statement.as_deref(),
        Some("select bed,\n count(*)\nfrom plants group by bed")
    );
    assert_eq!((record.duration_ms, record.db.as_deref()), (Some(2_007), Some("garden")));
    assert_eq!(read(text), [expected(0, "EXCHANGE_NODE (id=4)", "0", 1_980_000_000, 41, 0)]);
}

#[test]
fn doris_2_0() {
    let text = profile!("doris-2.0");
    let record = record(text);
    assert_eq!((record.cache_hit, record.is_nereids), (Some(true), Some(true)));
    assert_eq!((record.workload_group, record.trace_id), (None, None));
    assert_eq!((record.plan_time_ms, record.schedule_time_ms), (Some(9), Some(6)));
    assert_eq!((record.parse_time_ms, record.queue_time_ms), (None, None));
    let shown =
        [("analyze", 3), ("plan", 9), ("schedule", 6), ("wait and fetch", 66), ("other", 4)];
    assert_eq!(phases(text), expected_phases(&shown));
    assert_eq!(
        read(text),
        [
            expected(
                0,
                "VDataBufferSender (dst_fragment_instance_id=7be0c1d2e3f44a5b-8c9dae0fb1c2d3e5)",
                "0",
                40_022,
                None,
                None
            ),
            expected(0, "VSORT_NODE (id=2)", "0", 2_670_000, 3, 33_792),
            expected(
                1,
                "VNewOlapScanNode(plants) (id=0. nereids_id=24. table name = plants)",
                "0",
                64_030_000,
                9_000,
                2_621_440
            ),
        ]
    );
}

#[test]
fn doris_3_0() {
    let text = profile!("doris-3.0");
    let record = record(text);
    assert_eq!(
        record.statement.as_deref(),
        Some(
            "select bed, max(height)\nfrom plants\n-- tallest first\n   - height, not width\ngroup by bed"
        )
    );
    assert_eq!(record.duration_ms, Some(62_000));
    assert_eq!(record.workload_group.as_deref(), Some("night"));
    assert_eq!(record.trace_id.as_deref(), Some("greenhouse-9"));
    assert_eq!(
        record.changed_variables.as_deref(),
        Some(r#"{"enable_profile":"true","session_context":"trace_id:greenhouse-9;bed:7"}"#)
    );
}

#[test]
fn phases_of_doris_3_0() {
    let text = profile!("doris-3.0");
    assert_eq!(
        phases(text),
        expected_phases(&[
            ("parse", 4),
            ("plan", 320),
            ("schedule", 9_012),
            ("wait and fetch", 52_600),
            ("other", 64)
        ])
    );
    let queued = Phases::of(&Section::parse(text)).with_queue(Some(9_000));
    assert_eq!(
        (queued.duration_ms("queue"), queued.duration_ms("schedule")),
        (Some(9_000), Some(12))
    );
    let sum: f64 = queued.phases.iter().map(|phase| phase.share).sum();
    assert!((sum - 1.0).abs() < 1e-9, "{sum}");
}

#[test]
fn operators_of_doris_3_0() {
    let text = profile!("doris-3.0");
    assert_eq!(
        read(text),
        [
            expected(0, "RESULT_SINK_OPERATOR (id=0)", "0", 77_003, 7, 0),
            expected(1, "EXCHANGE_OPERATOR (id=4)", "0", 20_090, 7, None),
            expected(0, "DATA_STREAM_SINK_OPERATOR (dest_id=4)", "1", 60_001, 7, None),
            expected(
                1,
                "AGGREGATION_OPERATOR (id=3 , nereids_id=205)",
                "1",
                4_001_000_000,
                7,
                8_388_608
            ),
            expected(
                0,
                "AGGREGATION_SINK_OPERATOR (id=3 , nereids_id=205)",
                "1",
                1_300_000_000,
                9_000,
                None
            ),
            expected(
                1,
                "OLAP_SCAN_OPERATOR (id=0. nereids_id=190. table name = plants(plants))",
                "1",
                41_005_000_000,
                9_000,
                None
            ),
        ]
    );
}

#[test]
fn sections_of_doris_3_0() {
    let text = profile!("doris-3.0");
    let tree = Section::parse(text);
    let names: Vec<&str> = tree.children.iter().map(|child| &*child.name).collect();
    let detail = "Execution Profile 1f2e3d4c5b6a4978-a0b1c2d3e4f50617";
    assert_eq!(
        names,
        [
            "Summary", "Execution Summary", "Changed Session Variables", "Physical Plan",
            "MergedProfile", detail
        ]
    );
    assert_eq!(tree.fragments().len(), 2);
    assert_eq!(tree.fragments()[1].time, "41sec5ms");
}

#[test]
fn the_two_tasks_of_a_load_of_doris_3_0() {
    let text = profile!("doris-3.0-two-tasks");
    let record = record(text);
    assert_eq!((record.kind, record.query_id.as_str()), (Kind::Load, "20871"));
    assert_eq!(record.changed_variables, None);
    let sink = "OLAP_TABLE_SINK_OPERATOR (id=0)";
    assert_eq!(
        read(text),
        [
            expected(0, sink, "0", 5_003_000_000, 70, None),
            expected(
                1,
                "FILE_SCAN_OPERATOR (id=0. table name = plants)",
                "0",
                7_021_000_000,
                70,
                None
            ),
            expected(0, sink, "0", 51_009_000_000, 4, None),
            expected(
                1,
                "FILE_SCAN_OPERATOR (id=0. table name = beds)",
                "0",
                13_008_000_000,
                4,
                None
            ),
        ]
    );
    let section = Section::parse(text);
    let fragments = section.fragments();
    let times: Vec<(&str, &str)> = fragments.iter().map(|found| (found.id, found.time)).collect();
    assert_eq!(times, [("0", "12sec400ms"), ("0", "1min5sec")]);
}

#[test]
fn doris_4_0() {
    let text = profile!("doris-4.0");
    let record = record(text);
    assert_eq!((record.duration_ms, record.db.as_deref()), (Some(0), None));
    assert_eq!((record.cache_hit, record.trace_id.as_deref()), (Some(true), Some("pond-4")));
    assert_eq!((record.parse_time_ms, record.plan_time_ms), (Some(1), Some(6)));
    let variables = record.changed_variables.unwrap();
    assert!(variables.contains(r#""enable_profile":"true""#), "{variables}");
    assert_eq!(
        read(text),
        [
            expected(0, "RESULT_SINK_OPERATOR(id=2147483647)", "0", 88_040, 2, 0),
            expected(1, "EXCHANGE_OPERATOR(id=1)", "0", 30_005, 2, 634_880),
            expected(0, "DATA_STREAM_SINK_OPERATOR(dest_id=1)", "1", 70_118, 2, None),
            expected(
                1,
                "OLAP_SCAN_OPERATOR(nereids_id=77. table_name=plants(plants))(id=0)",
                "1",
                2_009_000,
                2,
                524_800
            ),
        ]
    );
    let without =
        text.replace("MergedProfile:\n", "MergedProfile:\nbuild merged simple profile failed\n");
    let at = without.find("     Fragments:").unwrap();
    let end = without.find("DetailProfile").unwrap();
    let detail = format!("{}{}", &without[..at], &without[end..]);
    let merged: Vec<Row> = read(text).into_iter().map(|mut read| (read.5.take(), read).1).collect();
    let detail: Vec<Row> =
        read(&detail).into_iter().map(|mut read| (read.5.take(), read).1).collect();
    assert_eq!(detail, merged);
}

#[test]
fn starrocks_2_2() {
    let text = profile!("starrocks-2.2");
    assert_eq!(record(text).db.as_deref(), Some("garden"));
    let sender = "DataStreamSender (dst_id=2, dst_fragments=[01980000aa0011f0-80000000000000a6])";
    assert_eq!(
        read(text),
        [
            expected(0, sender, "0", 120_007, None, None),
            expected(0, "AGGREGATION_NODE (id=1)", "0", 1_461_098, 9, 98_304),
            expected(1, "OLAP_SCAN_NODE (id=0)", "0", 443_020, 640, None),
        ]
    );
}

#[test]
fn starrocks_2_4() {
    let text = profile!("starrocks-2.4");
    assert_eq!(phases(text), expected_phases(&[("plan", 4), ("other", 25)]));
    assert_eq!(
        read(text),
        [
            expected(0, "RESULT_SINK", "0", 52_009, 1, 0),
            expected(1, "AGGREGATE_BLOCKING_SOURCE (plan_node_id=4)", "0", 11_820, 1, None),
            expected(0, "AGGREGATE_BLOCKING_SINK (plan_node_id=4)", "0", 44_002, 23, 16_384),
            expected(1, "LOCAL_EXCHANGE_SOURCE (pseudo_plan_node_id=-100)", "0", 9_118, 23, None),
        ]
    );
}

#[test]
fn starrocks_3_3() {
    let text = profile!("starrocks-3.3");
    let record = record(text);
    assert_eq!((record.duration_ms, record.db.as_deref()), (Some(167_000), None));
    assert_eq!(record.compute_group.as_deref(), Some("night_wh"));
    let statement = record.statement.unwrap();
    assert!(statement.starts_with("select b.name") && statement.ends_with("= b.id"), "{statement}");
    let shown = [
        ("parse", 2),
        ("plan", 71),
        ("queue", 1_200),
        ("prepare", 6),
        ("schedule", 9),
        ("execute", 165_000),
        ("other", 712),
    ];
    assert_eq!(phases(text), expected_phases(&shown));
    assert_eq!((record.queue_time_ms, record.schedule_time_ms), (Some(1_200), Some(9)));
    let plan = &Phases::of(&Section::parse(text)).phases[1];
    let steps: Vec<(&str, i64)> =
        plan.steps.iter().map(|step| (step.name.as_str(), step.duration_ms)).collect();
    assert_eq!(steps, [("analyze", 4), ("optimize", 60), ("build plan", 3)]);
    assert_eq!(
        read(text),
        [
            expected(0, "RESULT_SINK (plan_node_id=-1)", "0", 60_118, 40, None),
            expected(1, "EXCHANGE_SOURCE (plan_node_id=2)", "0", 41_020, 40, None),
            expected(0, "HASH_JOIN_BUILD (plan_node_id=1)", "1", 2_100_000, 42, 1_572_864),
            expected(0, "OLAP_SCAN (plan_node_id=0)", "1", 123_000_000_000, 2_400_000, None),
        ]
    );
}

#[test]
fn a_load_of_starrocks_4_0_in_a_clients_table() {
    let text = profile!("starrocks-4.0-load");
    let record = record(text);
    assert_eq!((record.kind, record.statement.as_deref()), (Kind::Load, None));
    // 05:00 in UTC, not in the zone of the source.
    assert_eq!(record.started_ms, Some(1_775_106_000_000));
    assert_eq!(record.duration_ms, Some(9_040));
    let load = record.load.unwrap();
    assert_eq!(load.load_type.as_deref(), Some("STREAM_LOAD"));
    assert_eq!((load.loaded_rows, load.filtered_rows), (Some(6_000), Some(2)));
    assert_eq!((load.unselected_rows, load.load_bytes), (Some(1), Some(91_234)));
    assert_eq!(
        read(text),
        [
            expected(0, "OLAP_TABLE_SINK (plan_node_id=-1)", "0", 1_203_000_000, 6_000, None),
            expected(1, "FILE_SCAN (plan_node_id=0)", "0", 801_004_000, 6_000, None),
        ]
    );
    // The border and the client's line behind it are not part of the profile.
    assert!(lines(text).last().unwrap().ends_with("UniqueMetrics:"));
}

#[test]
fn the_brief_has_all_four_keys() {
    let brief = serde_json::to_value(Section::parse(profile!("doris-4.0")).brief()).unwrap();
    assert_eq!((brief["name"].as_str(), brief["totalTime"].as_str()), (Some("Query"), Some("0ns")));
    let scan = brief.pointer("/children/3/children/0/children/1/children/0/children/1").unwrap();
    assert_eq!(
        *scan,
        serde_json::json!({
            "name": "OLAP_SCAN_OPERATOR(nereids_id=77. table_name=plants(plants))(id=0)",
            "rowsReturned": 2,
            "totalTime": "2.9ms",
            "children": [],
        })
    );
    let tree = Section::parse(profile!("starrocks-2.2"));
    let old = tree.brief();
    assert_eq!(old.children[1].total_time, "11.402ms[11402881ns]");
}

#[test]
fn a_drawing_is_bounded() {
    // 256 levels, and below the last one very many sections.
    let mut text = String::from("Fragment 0:\n");
    for depth in 1..250 {
        text.push_str(&format!("{}S{depth}:\n", " ".repeat(depth)));
    }
    for number in 0..100_000 {
        text.push_str(&format!("{}T{number}:\n", " ".repeat(250)));
    }
    let drawing = Section::parse(&text).render_tree();
    assert!(drawing.len() < 9 << 20 && drawing.ends_with("has the rest …\n"), "{}", drawing.len());
    let fragments: String =
        (0..100_000).map(|number| format!("Fragment {number}:\n  A_B:\n")).collect();
    let section = Section::parse(&fragments);
    assert_eq!(section.fragments().len(), 100_000);
    assert_eq!(section.render_tree().lines().count(), 200_000);
}

proptest! {
    #[test]
    fn any_text_gives_operators_and_phases(
        text in "(( {0,4}(- |-     -- |\\| |> )?(Query|Load|Summary|Total|Fragment 0|Instance 1-2|Pipeline \
                 |MergedProfile|Physical Plan|A_NODE|CommonMetrics|Planner|User|Sql Statement|[A-Za-z \u{a0}]{0,9})\
                 (:| \\(id=3\\):|:\\(Active: 1ms, % non-child: [0-9.x]{0,9}%\\)|: avg 1ms, max 2.5us)?)\n){0,40}",
    ) {
        let section = Section::parse(&text);
        let operators = operators(&section);
        prop_assert!(walk(&operators).all(|(_, operator)| (0.0..=1.0).contains(&operator.share)));
        section.fragments();
        section.render_tree();
        section.brief();
        let phases = Phases::of(&section).with_queue(Some(1));
        prop_assert!(phases.phases.iter().all(|phase| phase.duration_ms >= 0));
        let _ = Profile::summary_of(text.as_bytes(), Zone::UTC);
    }
}
