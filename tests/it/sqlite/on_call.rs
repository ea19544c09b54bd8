//! docs/on-call.md: an incident is explained by three commands, and by three queries of `sqlite3`.

use super::docs::{Scene, examples_of};
use crate::support::incident::{HEAVY, PROFILED, SLOWER, incident};
use crate::support::{stderr, stdout};

#[test]
#[ignore = "needs the sqlite3 shell"]
fn the_incident_is_explained_by_three_commands_and_by_three_queries() {
    let scene = Scene::of(incident);
    let examples = examples_of("docs/on-call.md");
    assert_eq!(examples.len(), 6);
    let printed: Vec<String> = examples
        .iter()
        .map(|example| {
            let output = scene.run(&example.commands);
            assert!(output.status.success(), "{}{}", example.commands, stderr(&output));
            let printed = stdout(&output);
            assert_eq!(Some(&printed), example.output.as_ref(), "{}", example.commands);
            printed
        })
        .collect();
    let [list, findings, regressions, users, costliest, slower] = &printed[..] else { panic!() };
    // Who and what, why, and what got slower.
    for shown in [list, costliest] {
        assert!(shown.contains(PROFILED) && shown.contains(&HEAVY[..40]), "{shown}");
    }
    assert!(list.contains("\tmira\t") && users.lines().nth(3).unwrap().contains("mira"), "{users}");
    assert!(findings.contains("wrong-estimate"), "{findings}");
    for shown in [regressions, slower] {
        assert!(shown.contains(&SLOWER[..30]), "{shown}");
        assert!(!shown.contains("from payments"), "{shown}");
    }
}
