//! `annals profile ID --findings`: what the profile of a query proves to be worth a look.

use super::args::History;
use super::output::{BOLD, visible};
use crate::domain::profile::FindingsReport;

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
        text += &format!("{}\n", history.output.styled(BOLD, &heading));
        text += &format!("       {}\n", line(&finding.means));
        for evidence in &finding.evidence {
            text += &format!("       - {}: {}\n", evidence.name, evidence);
        }
        text += &format!("       Try: {}\n", finding.advice);
        let documentation = finding.documentation;
        text += &format!("       See: {}, {}\n\n", documentation.name, documentation.url);
    }
    text + "The percentage is the part of the query's time that a finding concerns.\n"
}

/// Returns a text of a profile in one line.
fn line(text: &str) -> String {
    visible(text).replace(['\n', '\t'], " ")
}
