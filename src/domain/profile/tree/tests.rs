use proptest::prelude::*;

use super::*;

const OLD: &str = include_str!("../../../../tests/data/profiles/doris-0.15.txt");
const NEW: &str = include_str!("../../../../tests/data/profiles/doris-2.1.txt");

#[test]
fn a_newer_profile_is_a_tree_of_operators() {
    let tree = Section::parse(NEW);
    let names: Vec<&str> = tree.children.iter().map(|child| &*child.name).collect();
    let detail = "Execution Profile fbb2582c72884d29-9dd9de3b42b740e9";
    assert_eq!(
        names,
        ["Summary", "Execution Summary", "Changed Session Variables", "MergedProfile", detail]
    );
    let summary = &tree.children[0];
    assert_eq!(summary.counter("Sql Statement"), Some("select count(*) from store_sales5"));
    let fragments = &tree.children[3].children[0].children;
    let [sink, aggregation] = fragments[0].children[0].children.as_slice() else {
        panic!("{fragments:?}")
    };
    assert_eq!(sink.name, "RESULT_SINK_OPERATOR (id=0)");
    assert_eq!(sink.time(), Some("61.293us"));
    assert_eq!(aggregation.name, "AGGREGATION_OPERATOR (id=3 , nereids_id=82)");
    assert_eq!(aggregation.time(), Some("361.417us"));
    let times: Vec<(&str, &str)> =
        tree.fragments().into_iter().map(|fragment| (fragment.id, fragment.time)).collect();
    assert_eq!(times, [("0", "361.417us"), ("1", "36.169ms")]);
    assert_eq!(
        tree.render_tree().lines().take(6).collect::<Vec<_>>(),
        [
            "Fragment 0",
            "├─ Pipeline : 0(instance_num=1)",
            "│  ├─ RESULT_SINK_OPERATOR (id=0)  61.293us",
            "│  └─ AGGREGATION_OPERATOR (id=3 , nereids_id=82)  361.417us",
            "└─ Pipeline : 1(instance_num=1)",
            "   ├─ AGGREGATION_SINK_OPERATOR (id=3 , nereids_id=82)  48.730us",
        ]
    );
}

#[test]
fn an_older_profile_lists_instances() {
    let tree = Section::parse(OLD);
    assert_eq!(tree.children[0].name, "Query");
    let fragment = &tree.fragments()[0];
    assert_eq!((fragment.id, fragment.time), ("0", "12.482ms"));
    let instance = ("e5a1b5f6c0d14b6a-8d0f9b1f6c7e2a36", "12.482ms");
    assert!(fragment.instances.contains(&instance), "{fragment:?}");
    let execution = &tree.children[0].children[1];
    assert_eq!(execution.time(), Some("12.91ms"));
    let aggregation = &execution.children[0].children[0].children[0];
    assert_eq!(aggregation.counter("RowsReturned"), Some("1"));
    assert_eq!(aggregation.children[0].name, "VOLAP_SCAN_NODE (id=0)");
}

#[test]
fn statements_and_nested_counters() {
    let tree = Section::parse(
        "Summary:\n  - User: a\n  - Sql Statement: select 1\n- Total: 2\nfrom x:\n  - Is Cached: No\n\
         Execution Summary:\n  - Plan Time: 3ms\n    - Rewrite Time: 1ms\n  - End: 1\n  text\n",
    );
    let summary = &tree.children[0];
    assert_eq!(summary.counter("Sql Statement"), Some("select 1\n- Total: 2\nfrom x:"));
    assert_eq!(summary.counter("Is Cached"), Some("No"));
    let execution = &tree.children[1];
    assert_eq!(execution.counters[0].children[0].name, "Rewrite Time");
    assert_eq!(execution.counters[1].name, "End");
    assert_eq!(execution.lines, ["text"]);
}

#[test]
fn a_statement_may_hold_lines_like_headings() {
    let statement = "select a\nSummary:\nMergedProfile \n\nfrom x\nFragments:\n-- DetailProfile\nPlanner:\n/*\n\
                     Execution Summary:\n*/\nFragment 0:\nunion\n MergedProfile ";
    for (entry, sections) in [
        (
            "   - Is Cached: No\n",
            "Execution Summary:\n   - Plan Time: 3ms\n MergedProfile \n     Fragments:\n",
        ),
        ("", "Execution Summary:\n   - Plan Time: 3ms\nMergedProfile:\n  Fragments:\n"),
        ("", "Planner:\nExecution Summary:\n   - Plan Time: 3ms\n"),
    ] {
        let text =
            format!("Summary:\n   - User: a\n   - Sql Statement: {statement}\n{entry}{sections}");
        for tree in [Section::parse(&text), Section::parse_head(&text)] {
            assert_eq!(tree.children[0].counter("Sql Statement"), Some(statement.trim()), "{text}");
            let execution = tree.part(|name| name == "Execution Summary").unwrap();
            assert_eq!(execution.counter("Plan Time"), Some("3ms"), "{text}");
        }
    }
    let cut = Section::parse("Summary:\n  - Sql Statement: select 1\nExecution Summary:\n");
    assert_eq!(cut.children.len(), 2);
}

#[test]
fn a_text_that_nests_without_end_does_not_exhaust_the_stack() {
    let sections: String = (0..5000).map(|depth| format!("{}S:\n", " ".repeat(depth))).collect();
    assert!(serde_json::to_string(&Section::parse(&sections)).is_ok());
    let counters: String =
        (0..5000).map(|depth| format!("{}- C: 1\n", " ".repeat(depth))).collect();
    assert!(serde_json::to_string(&Section::parse(&counters)).is_ok());
}

proptest! {
    #[test]
    fn any_text_gives_a_tree(text in "( {0,4}(- )?[A-Za-z:() \u{a0}]{0,12}\n){0,20}") {
        let tree = Section::parse(&text);
        tree.fragments();
        tree.render_tree();
    }
}
