//! Each rule has a profile on which it finds something, and one close to it on which it does not. Both are changed from a
//! profile without findings.

mod joins;
mod resources;
mod scans;

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::rules::{ALL, Case};
use super::{Finding, FindingsReport, together};
use crate::domain::profile::PlanReport;

const DORIS: &str = include_str!("../../../../../tests/profiles/doris-4.0-join.txt");
const STARROCKS: &str = include_str!("../../../../../tests/profiles/starrocks-3.5-large-join.txt");

/// What is written in the profile, and what is written there instead.
type Changes<'a> = &'a [(&'a str, &'a str)];

/// Returns a profile with changes, each of which occurs once.
fn changed(profile: &str, changes: Changes<'_>) -> String {
    let mut text = profile.to_string();
    for (from, to) in changes {
        assert_eq!(text.matches(from).count(), 1, "{from}");
        text = text.replace(from, to);
    }
    text
}

fn found(text: &str) -> Vec<Finding> {
    FindingsReport::of_text(text, None).findings
}

fn rules(text: &str) -> Vec<&'static str> {
    found(text).iter().map(|finding| finding.rule).collect()
}

/// Tests that a rule finds something in a changed profile and nothing in another. Returns the finding.
fn assert_finds(profile: &str, rule: &str, some: Changes<'_>, none: Changes<'_>) -> Finding {
    assert_eq!(rules(&changed(profile, none)), [""; 0], "{rule}");
    let mut findings = found(&changed(profile, some));
    assert_eq!(findings.iter().map(|finding| finding.rule).collect::<Vec<_>>(), [rule]);
    let finding = findings.remove(0);
    assert!(finding.weight > 0.0 && finding.weight <= 1.0, "{finding:?}");
    finding
}

#[test]
fn healthy_profiles_have_no_findings() {
    for folder in ["tests/profiles", "tests/data/profiles"] {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let mut count = 0;
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            // In one profile, fragments were assigned for 9 s.
            let is_slow = path.ends_with("tests/profiles/doris-3.0.txt");
            let expected: &[&str] = if is_slow { &["long-scheduling"] } else { &[] };
            assert_eq!(rules(&text), expected, "{}", path.display());
            count += 1;
        }
        assert!(count > 0);
    }
}

#[test]
fn the_heaviest_finding_is_first_and_nodes_name_their_rules() {
    let text = changed(
        DORIS,
        &[
            ("cardinality=30,000,000", "cardinality=3,000,000"),
            ("avg 5sec0ms, max 6sec0ms, min 4sec0ms", "avg 1sec500ms, max 6sec0ms, min 1sec0ms"),
        ],
    );
    let plan = PlanReport::of_text(&text, None);
    let found: Vec<&str> = plan.findings.iter().map(|finding| finding.rule).collect();
    assert_eq!(found, ["skewed-instances", "wrong-estimate"]);
    let of_nodes: HashMap<&str, &[&str]> =
        plan.nodes.iter().map(|node| (node.id.as_str(), node.findings.as_slice())).collect();
    assert_eq!(
        (of_nodes["0"], of_nodes["7"], of_nodes["8"]),
        (&["skewed-instances"][..], &["wrong-estimate"][..], &[][..])
    );
}

#[test]
fn many_nodes_with_the_same_finding_are_one_finding() {
    let case = |position: usize, weight| Case {
        nodes: vec![position],
        weight,
        evidence: Vec::new(),
        means: format!("Node {position}."),
    };
    let three = together((0..3).map(|position| case(position, 0.2)).collect());
    assert_eq!(three.len(), 3);
    let four = together(vec![case(0, 0.2), case(1, 0.9), case(2, 0.3), case(3, 0.1)]);
    assert_eq!(four.len(), 1);
    assert_eq!(four[0].nodes, [1, 2, 0, 3]);
    assert_eq!(four[0].means, "Node 1. The same holds for 3 other nodes.");
}

/// Returns the table of the documentation.
fn table() -> String {
    let mut text = "| rule | it means | it counts from | try on Doris | try on StarRocks |\n|---|---|---|---|---|\n".to_string();
    for rule in ALL {
        let thresholds: Vec<String> =
            rule.thresholds.iter().map(|least| format!("{}: {least}", least.name)).collect();
        let advice = |is_starrocks| match rule.advice(is_starrocks) {
            Some(advice) => {
                let page = advice.documentation;
                format!("{} [`{}`]({})", advice.text, page.name, page.url)
            }
            None => "–".to_string(),
        };
        text += &format!(
            "| `{}` | {} | {} | {} | {} |\n",
            rule.id,
            rule.meaning,
            thresholds.join("; "),
            advice(false),
            advice(true)
        );
    }
    text
}

#[test]
fn the_documentation_has_the_table_of_the_rules() {
    let document = include_str!("../../../../../docs/findings.md");
    let table = table();
    assert!(document.contains(&table), "docs/findings.md must contain:\n{table}");
}

#[test]
fn each_rule_has_an_id_of_its_own_and_a_floor() {
    let ids: HashSet<&str> = ALL.iter().map(|rule| rule.id).collect();
    assert_eq!(ids.len(), ALL.len());
    for rule in ALL {
        assert!(!rule.thresholds.is_empty() && (rule.doris.is_some() || rule.starrocks.is_some()));
        for advice in [rule.doris, rule.starrocks].into_iter().flatten() {
            let url = advice.documentation.url;
            let hosts = ["https://doris.apache.org/docs/", "https://docs.starrocks.io/docs/"];
            assert!(hosts.iter().any(|host| url.starts_with(host)), "{url}");
        }
    }
}

/// Names and conditions of a hostile text are long. What is said of them is short, and is read in little time.
#[test]
fn long_names_make_short_sentences() {
    let (table, condition) = ("x".repeat(300_000), "(".repeat(1_000_000));
    let text = changed(
        DORIS,
        &[
            ("shop.orders(orders)", &table),
            ("(price[#3] > 10)", &condition),
            ("ScanRows: sum 60.0M (60000000)", "ScanRows: sum 9.0B (9000000000)"),
        ],
    );
    let begun = std::time::Instant::now();
    let findings = found(&text);
    assert_eq!(findings.iter().map(|finding| finding.rule).collect::<Vec<_>>(), ["unpruned-scan"]);
    assert!(findings[0].means.len() < 500, "{}", findings[0].means.len());
    // If the time grew with the square of the condition, it would be hours.
    assert!(begun.elapsed() < std::time::Duration::from_secs(20), "{:?}", begun.elapsed());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the numbers of a profile are, findings point to nodes of the plan and are sorted.
    #[test]
    fn any_numbers_give_findings_of_the_plan(digits in proptest::collection::vec(0..10_u8, 1..40), is_doris: bool) {
        let text = if is_doris { DORIS } else { STARROCKS };
        let mut digits = digits.iter().cycle();
        let mut is_after_space = false;
        let text: String = text.chars().map(|c| {
            let replaced = match digits.next() {
                Some(digit) if is_after_space && c.is_ascii_digit() => char::from(b'0' + digit),
                _ => c,
            };
            is_after_space = c == ' ';
            replaced
        }).collect();
        let plan = PlanReport::of_text(&text, Some(5_000));
        let ids: HashSet<&str> = plan.nodes.iter().map(|node| node.id.as_str()).collect();
        for pair in plan.findings.windows(2) {
            prop_assert!(pair[0].weight >= pair[1].weight);
        }
        for finding in &plan.findings {
            prop_assert!(finding.nodes.iter().all(|id| ids.contains(id.as_str())));
            prop_assert!((0.0..=1.0).contains(&finding.weight));
        }
    }
}
