//! `annals findings`, and `annals profile ID --findings`: what profiles prove to be worth a look.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use super::READING;
use super::args::{FilterArgs, History, ReadArgs, in_range, number, parse_count};
use super::output::{BOLD, Shown, visible};
use crate::domain::profile::{FindingsReport, FoundStatement, RuleOverview, meaning_of};
use crate::domain::readable::counted;
use crate::store::Reader;

/// Show what the profiles of runs prove to be worth a look
///
/// The first table has a row for each rule, the one whose runs took longest together first. The second one has the five statements of
/// each rule whose runs took longest, each with its newest run: `annals profile ID --findings` has the numbers of a run, and what to
/// try. Reads the 10,000 runs with findings whose profiles arrived last; without --from, they may be of any time.
#[derive(Debug, Args)]
pub struct FindingsArgs {
    #[command(flatten)]
    filters: FilterArgs,
    /// Show at most this number of rules
    #[arg(long, short = 'n', default_value_t = 20, value_parser = parse_count)]
    limit: u32,
    #[command(flatten)]
    read: ReadArgs,
}

const NAMES: [&str; 4] = ["rule", "total_ms", "runs", "meaning"];
const NAMES_OF_STATEMENTS: [&str; 6] =
    ["rule", "total_ms", "runs", "fingerprint", "query_id", "statement"];

/// Runs the command.
pub async fn run(args: FindingsArgs) -> anyhow::Result<ExitCode> {
    let history = args.read.open_with_plans().await?;
    let filter = args.filters.filter(history.zone, u32::MAX)?;
    let found = history.store.findings_overview(&filter, Reader::default()).await;
    let mut found = found.context(READING)?;
    let rules = found.rules.len();
    found.rules.truncate(args.limit as usize);
    if history.json {
        history.output.json(&found)?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<Vec<String>> = found.rules.iter().map(row).collect();
    let mut text = history.output.table(&NAMES, &rows, &Shown::default());
    let rows: Vec<Vec<String>> = found.rules.iter().flat_map(statement_rows).collect();
    if !rows.is_empty() {
        text.push('\n');
        text.push_str(&history.table(&NAMES_OF_STATEMENTS, &rows, &Shown::default()).await);
    }
    history.output.write(&text)?;
    if rules > found.rules.len() {
        eprintln!("annals: {} of {rules} rules are shown; -n {rules} shows all", found.rules.len());
    }
    if found.unread_profiles > 0 {
        // What is not read was said already, and counts of the rest would be taken for those of all.
        return Ok(ExitCode::SUCCESS);
    }
    let cut = if found.is_cut { ", and older ones are not read" } else { "" };
    let runs = match found.runs {
        0 => "no run has".to_string(),
        runs => counted(runs, "run has", "runs have"),
    };
    let range = in_range((filter.from_ms, filter.to_ms), history.zone);
    eprintln!("annals: {runs} findings{range}{cut}");
    Ok(ExitCode::SUCCESS)
}

/// Returns a row for all runs of a rule, with what the rule means.
fn row(rule: &RuleOverview) -> Vec<String> {
    let meaning = meaning_of(&rule.rule).unwrap_or_default().to_string();
    vec![rule.rule.clone(), number(rule.total_ms), rule.runs.to_string(), meaning]
}

/// Returns a row for each statement of a rule.
fn statement_rows(rule: &RuleOverview) -> impl Iterator<Item = Vec<String>> {
    rule.statements.iter().map(|one| {
        let FoundStatement { fingerprint, normalized, runs, total_ms, newest_query_id } = one;
        vec![
            rule.rule.clone(),
            number(*total_ms),
            runs.to_string(),
            fingerprint.to_string(),
            newest_query_id.clone(),
            normalized.clone(),
        ]
    })
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
