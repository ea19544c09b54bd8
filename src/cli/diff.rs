//! `annals diff`: two runs side by side.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::args::{ReadError, Reading, column_names, plain};
use super::output::{Style, visible};
use super::profile::{text, time_text};
use crate::domain::profile::{OperatorDifference, Section, compare, operators};

/// Compare two runs of a statement
///
/// What differs of the two, then their operators, those that got slower first. Operators need the profiles of
/// both.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// The first run: its query's id, or the start of it
    #[arg(value_name = "ID")]
    before: String,
    /// The second run
    #[arg(value_name = "ID")]
    after: String,
    #[command(flatten)]
    reading: Reading,
}

/// Runs the command.
pub async fn run(args: DiffArgs) -> Result<ExitCode, ReadError> {
    let history = args.reading.open().await?;
    let (before, after) = (history.query(&args.before).await?, history.query(&args.after).await?);
    let mut profiles = Vec::new();
    for query in [&before, &after] {
        match text(&history, query).await {
            Ok(text) => profiles.push(operators(&Section::parse(&String::from_utf8_lossy(&text)))),
            Err(ReadError::NoProfile(_)) => {}
            Err(error) => return Err(error),
        }
    }
    let differences: Option<Vec<OperatorDifference>> = match profiles.as_slice() {
        [before, after] => Some(compare(before, after)),
        _ => None,
    };
    if history.json {
        let value = json!({"before": before, "after": after, "operators": differences});
        history.output.json(&value)?;
        return Ok(ExitCode::SUCCESS);
    }
    let value = |query| serde_json::to_value(query).map_err(std::io::Error::from);
    let (one, other) = (value(&before)?, value(&after)?);
    let mut rows = Vec::new();
    for name in column_names().into_iter().filter(|name| !["extra", "load"].contains(name)) {
        let (one, other) = (plain(one.get(name)), plain(other.get(name)));
        if one != other {
            let change = match (one.parse::<i64>(), other.parse::<i64>()) {
                (Ok(one), Ok(other)) => format!("{:+}", other.saturating_sub(one)),
                _ => String::new(),
            };
            rows.push(vec![name.to_string(), one, other, change]);
        }
    }
    let output = history.output;
    let mut said = output.table(&["what", "before", "after", "change"], &rows);
    match differences {
        None => said.push_str("\noperators: not the profiles of both were taken in\n"),
        Some(differences) => {
            said.push('\n');
            let rows: Vec<Vec<String>> = differences
                .iter()
                .map(|found| {
                    let sign = if found.difference_ns < 0 { '-' } else { '+' };
                    let rows =
                        |rows: Option<u64>| rows.map_or(String::new(), |rows| rows.to_string());
                    vec![
                        time_text(found.before_ns),
                        time_text(found.after_ns),
                        format!("{sign}{}", time_text(Some(found.difference_ns.unsigned_abs()))),
                        rows(found.before_rows),
                        rows(found.after_rows),
                        found.fragment.clone().unwrap_or_default(),
                        visible(&found.name),
                    ]
                })
                .collect();
            let names =
                ["before", "after", "change", "rows_before", "rows_after", "fragment", "operator"];
            said.push_str(&output.table(&names, &rows));
        }
    }
    if before.fingerprint != after.fingerprint {
        let note = "these are two different statements\n";
        said.insert_str(0, &output.styled(Style::Yellow, note));
    }
    output.write(&said)?;
    Ok(ExitCode::SUCCESS)
}
