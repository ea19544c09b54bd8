//! `annals show`: all that the history knows of one query.

use std::process::ExitCode;

use clap::Args;

use super::args::{History, ReadArgs, column_names, plain};
use super::output::{BOLD, readable_cell, visible};
use super::profile::phases_text;
use crate::store::StoredQuery;

/// Show all that the history knows of a query
///
/// Unknown values are not shown. The statement is formatted, and in colours on a terminal.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The query's id, or enough of its start to be unique
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    read: ReadArgs,
}

/// Runs the command.
pub async fn run(args: ShowArgs) -> anyhow::Result<ExitCode> {
    let history = args.read.open().await?;
    let query = history.query(&args.id).await?;
    if history.json {
        history.output.json(&query)?;
    } else {
        history.output.write(&query_text(&history, &query)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns all that is known of a query.
pub(super) fn query_text(history: &History, query: &StoredQuery) -> anyhow::Result<String> {
    let mut text = columns(history, query)?;
    // `annals profile --tree` shows the phases that a profile reports.
    let phases = if query.has_profile { String::new() } else { phases_text(&query.phases()) };
    if !phases.is_empty() {
        text.push_str(&format!("\n{}\n", phases.trim_end_matches('\n')));
    }
    if let Some(statement) = &query.statement {
        text.push_str(&format!("\n{}\n", history.output.statement(statement)));
    }
    Ok(text)
}

/// Returns the known columns except the statement, a line each.
fn columns(history: &History, query: &StoredQuery) -> anyhow::Result<String> {
    let value = serde_json::to_value(query)?;
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        let value = &match readable(name, value).filter(|_| history.output.is_terminal()) {
            Some(readable) => format!("{value} ({readable})"),
            None => value.to_string(),
        };
        if !value.is_empty() {
            // The key of an extra field is a text of a record.
            let name = visible(name).replace(['\n', '\t'], " ");
            let name = history.output.styled(BOLD, &format!("{name:<20}"));
            text.push_str(&format!("{name} {}\n", visible(value)));
        }
    };
    let time = |ms: Option<i64>| ms.map_or(String::new(), |ms| history.zone.format_ms(ms));
    for name in column_names() {
        match name {
            "statement" => {}
            "started_at" => line(name, &time(query.started_ms)),
            "ended_at" => line(name, &time(query.ended_ms)),
            "load" | "extra" => {
                let part = value.get(name).and_then(|part| part.as_object());
                for (key, value) in part.into_iter().flatten() {
                    line(&format!("{name}.{key}"), &plain(Some(value)));
                }
            }
            name => line(name, &plain(value.get(name))),
        }
    }
    Ok(text)
}

/// Returns a large value of a column as a terminal's table shows it; None if that is the same.
fn readable(name: &str, value: &str) -> Option<String> {
    let number = value.parse().ok().filter(|number| *number >= 1000)?;
    readable_cell(name, number).filter(|readable| readable != value)
}
