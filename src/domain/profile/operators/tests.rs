use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::*;
use crate::domain::profile::{Plan, compare};

const OLD: &str = include_str!("../../../../tests/data/profiles/doris-0.15.txt");
const NEW: &str = include_str!("../../../../tests/data/profiles/doris-2.1.txt");
const COPIED: &str = include_str!("../../../../tests/data/profiles/copied-from-page.txt");

type Summary<'a> = (usize, &'a str, Option<u64>, Option<u64>, bool);

fn summaries<'a>(operators: &[Operator<'a>]) -> Vec<Summary<'a>> {
    walk(operators)
        .map(|(depth, found)| (depth, found.name, found.time_ns, found.rows, found.is_costly))
        .collect()
}

#[test]
fn operators_of_a_newer_profile() {
    let section = Section::parse(NEW);
    let operators = operators(&section);
    let scan = "OLAP_SCAN_OPERATOR (id=0. nereids_id=71. table name = store_sales5(store_sales5))";
    let aggregation = "AGGREGATION_SINK_OPERATOR (id=1 , nereids_id=76)";
    assert_eq!(
        summaries(&operators),
        [
            (0, "RESULT_SINK_OPERATOR (id=0)", Some(61_293), Some(1), false),
            (1, "AGGREGATION_OPERATOR (id=3 , nereids_id=82)", Some(361_417), Some(1), false),
            (0, "AGGREGATION_SINK_OPERATOR (id=3 , nereids_id=82)", Some(48_730), Some(8), false),
            (1, "EXCHANGE_OPERATOR (id=2)", Some(30_916), Some(8), false),
            (0, "DATA_STREAM_SINK_OPERATOR (dest_id=2)", Some(24_107), Some(8), false),
            (1, "AGGREGATION_OPERATOR (id=1 , nereids_id=76)", Some(25_891), Some(8), false),
            (0, aggregation, Some(51_227), Some(27_667), false),
            (1, scan, Some(36_169_000), Some(27_667), true),
        ]
    );
    assert_eq!(operators[0].children[0].memory_bytes, Some(1_268_777));
    assert_eq!(operators[2].fragment, Some("1"));
    assert!((walk(&operators).map(|(_, found)| found.share).sum::<f64>() - 1.0).abs() < 1e-9);
    let section = Section::parse(COPIED);
    let copied = super::operators(&section);
    let join = "HASH_JOIN_SINK_OPERATOR (id=2)";
    assert_eq!(summaries(&copied), [(0, join, Some(26_112_000_000), Some(6_001_215), true)]);
}

#[test]
fn operators_of_an_older_profile_have_no_time_of_those_below() {
    let section = Section::parse(OLD);
    let operators = operators(&section);
    assert_eq!(
        summaries(&operators),
        [
            (0, "AGGREGATION_NODE (id=1)", Some(6_910_000), Some(1), true),
            (1, "VOLAP_SCAN_NODE (id=0)", Some(4_396_000), Some(27_667), true),
        ]
    );
}

#[test]
fn sinks_of_older_profiles_are_operators_in_an_instance_only() {
    let text = "Execution Profile 1a-2b:(Active: 9ms, % non-child: 0.00%)\n  AuditSink:(Active: 9ms)\n  \
         Fragment 0:\n    \
         Instance 1a-2c (host=a):(Active: 4ms, % non-child: 0.10%)\n      \
         VOlapTableSink:(Active: 3ms, % non-child: 40.00%)\n         - RowsReturned: 12\n        \
         RowSender:(Active: 2ms, % non-child: 1.00%)\n      \
         BROKER_SCAN_NODE (id=0):(Active: 1ms, % non-child: 9.00%)\n    \
         Instance 1a-2d (host=b):(Active: 4ms, % non-child: 0.10%)\n      \
         VOlapTableSink:(Active: 2ms, % non-child: 40.00%)\n         - RowsReturned: 30\n  \
         Fragment 1:\n    Instance 1a-2e (host=a):(Active: 4ms, % non-child: 0.10%)\n      \
         VDataBufferSender  (dst_fragment_instance_id=-7b--3c):(Active: 68us, % non-child: 1.00%)\n      \
         VFileResultSink:(ExecTime: 1ms, % non-child: 1.00%)\n      \
         QuietSink:\n         - Rows: 1\n      \
         LoadChannels:\n        TabletSink:(Active: 1ms)\n";
    assert_eq!(
        summaries(&operators(&Section::parse(text))),
        [
            (0, "VOlapTableSink", Some(3_000_000), Some(42), true),
            (0, "BROKER_SCAN_NODE (id=0)", Some(1_000_000), None, true),
            (0, "VDataBufferSender  (dst_fragment_instance_id=-7b--3c)", Some(68_000), None, false),
            (0, "VFileResultSink", Some(1_000_000), None, true),
        ]
    );
}

#[test]
fn instances_are_merged_and_a_merged_part_is_preferred() {
    let detail = "Fragments:\n  Fragment 0:\n    Pipeline : 0(host=a):\n      PipelineTask (index=0):\n        \
         X_OPERATOR (id=1):\n          CommonCounters:\n            - ExecTime: 3ms\n            \
         - RowsProduced: 4\n      PipelineTask (index=1):\n        X_OPERATOR (id=1):\n          \
         CommonCounters:\n            - ExecTime: 5ms\n            - RowsProduced: 1.5K\n    \
         Pipeline : 0(host=b):\n      PipelineTask (index=0):\n        X_OPERATOR (id=1):\n          \
         - ExecTime: 4ms\n";
    let text = format!("DetailProfile:\n{detail}");
    let section = Section::parse(&text);
    let found = operators(&section);
    assert_eq!(summaries(&found), [(0, "X_OPERATOR (id=1)", Some(5_000_000), Some(1_504), true)]);
    let both = format!(
        "MergedProfile:\n  Fragments:\n    Fragment 0:\n      X_OPERATOR (id=1):\n        \
         - ExecTime: avg 1ms, max 2ms, min 1ms\nDetailProfile:\n{detail}"
    );
    let section = Section::parse(&both);
    let found = operators(&section);
    assert_eq!(summaries(&found), [(0, "X_OPERATOR (id=1)", Some(2_000_000), None, true)]);
}

#[test]
fn the_time_grows_with_the_number_of_operators() {
    let mut text = "Fragments:\n".to_string();
    for instance in 0..1000 {
        writeln!(text, "  Fragment 0:\n    Instance {instance}-1 (host=a):(Active: 1ms)").unwrap();
    }
    for number in 0..100_000 {
        let instance =
            if number % 100 == 0 { format!("    Instance {number}-2:\n") } else { String::new() };
        writeln!(text, "{instance}      X_NODE (id={}):(Active: 1ms)", number % 1000).unwrap();
    }
    let section = Section::parse(&text);
    let begun = Instant::now();
    let found = operators(&section);
    assert_eq!(walk(&found).count(), 1000);
    let plan = Plan::of(&section, &found);
    assert_eq!(compare(&plan, &plan).len(), plan.nodes.len());
    // If the time grew with the square, it would be a hundred times this.
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}
