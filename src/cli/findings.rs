//! `annals profile ID --findings`: what the profile of a query proves to be worth a look.

use super::args::History;
use super::output::{BOLD, visible};
use crate::domain::profile::FindingsReport;

/// The characters before what is said of a finding.
const INDENTATION: usize = 7;

/// Returns the findings, each with its numbers, what it means and what to try.
pub(super) fn findings_text(history: &History, report: &FindingsReport) -> String {
    if report.findings.is_empty() {
        return "no findings: the profile proves nothing that a rule looks for\n".to_string();
    }
    let mut text = String::new();
    for finding in &report.findings {
        let share = format!("{:>5.1}%", finding.weight * 100.0);
        let nodes = match finding.nodes.as_slice() {
            [] => String::new(),
            [node] => format!("  node {}", line(node)),
            nodes => {
                format!(
                    "  nodes {}",
                    nodes.iter().map(|id| line(id)).collect::<Vec<_>>().join(", ")
                )
            }
        };
        let heading = format!("{share} {}{nodes}", finding.rule);
        let heading = history.output.wrapped(&heading, 0, INDENTATION);
        text += &format!("{}\n", history.output.styled(BOLD, &heading));
        let mut add = |label: &str, content: &str| {
            let indentation = INDENTATION + label.len();
            let line = format!("{:INDENTATION$}{label}{content}", "");
            text += &history.output.wrapped(&line, 0, indentation);
            text.push('\n');
        };
        add("", &line(&finding.means));
        for evidence in &finding.evidence {
            add("- ", &format!("{}: {evidence}", evidence.name));
        }
        add("Try: ", finding.advice);
        let documentation = finding.documentation;
        add("See: ", &format!("{}, {}", documentation.name, documentation.url));
        text.push('\n');
    }
    text + "The percentage is the part of the query's time that a finding concerns.\n"
}

/// Returns a text of a profile in one line.
fn line(text: &str) -> String {
    visible(text).replace(['\n', '\t'], " ")
}
