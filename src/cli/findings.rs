//! `annals findings`, and `annals profile ID --findings`: what profiles prove to be worth a look.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use super::READING;
use super::args::{FilterArgs, History, ReadArgs, number};
use super::output::{BOLD, Shown, visible};
use crate::domain::profile::{FindingsReport, FoundStatement, RuleOverview, meaning_of};
use crate::domain::readable::counted;
use crate::store::Reader;

/// Show what the profiles of runs prove to be worth a look
///
/// The rule whose runs took longest together is first, with what it means. The statements below it are the five whose runs took
/// longest, each with its newest run: `annals profile ID --findings` has the numbers of a run, and what to try. Reads the 10,000 runs
/// with findings whose profiles arrived last.
#[derive(Debug, Args)]
pub struct FindingsArgs {
    #[command(flatten)]
    filters: FilterArgs,
    #[command(flatten)]
    read: ReadArgs,
}

const NAMES: [&str; 6] = ["rule", "total_ms", "runs", "fingerprint", "query_id", "statement"];

/// Runs the command.
pub async fn run(args: FindingsArgs) -> anyhow::Result<ExitCode> {
    let history = args.read.open_with_plans().await?;
    let filter = args.filters.filter(history.zone, u32::MAX)?;
    let found = history.store.findings_overview(&filter, Reader::default()).await;
    let found = found.context(READING)?;
    if history.json {
        history.output.json(&found)?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<Vec<String>> = found.rules.iter().flat_map(rows).collect();
    history.output.write(&history.table(&NAMES, &rows, &Shown::default()).await)?;
    if found.unread_profiles > 0 {
        // What is not read was said already, and counts of the rest would be taken for those of all.
        return Ok(ExitCode::SUCCESS);
    }
    let cut = if found.is_cut { ", and older ones are not read" } else { "" };
    eprintln!("annals: {} findings{cut}", counted(found.runs, "run has", "runs have"));
    Ok(ExitCode::SUCCESS)
}

/// Returns a row for all runs of a rule, and one for each of its statements.
fn rows(rule: &RuleOverview) -> Vec<Vec<String>> {
    let row = |runs: usize, total_ms, [fingerprint, query_id, text]: [String; 3]| {
        vec![rule.rule.clone(), number(total_ms), runs.to_string(), fingerprint, query_id, text]
    };
    let meaning = meaning_of(&rule.rule).unwrap_or_default().to_string();
    let all = row(rule.runs, rule.total_ms, [String::new(), String::new(), meaning]);
    let statements = rule.statements.iter().map(|one| {
        let FoundStatement { fingerprint, normalized, runs, total_ms, newest_query_id } = one;
        let texts = [fingerprint.to_string(), newest_query_id.clone(), normalized.clone()];
        row(*runs, *total_ms, texts)
    });
    std::iter::once(all).chain(statements).collect()
}

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
