//! `annals show`: everything that is known of one query.

use std::process::ExitCode;

use clap::Args;

use super::args::{ReadError, Reading, column_names, plain};
use super::output::{Style, visible};
use super::profile::phases_text;

/// Show everything that is known of a query
///
/// What nobody said is left out. The statement is laid out, and in colours on a terminal.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The query's id, or so much of its start that it is the only one
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    reading: Reading,
}

/// Runs the command.
pub async fn run(args: ShowArgs) -> Result<ExitCode, ReadError> {
    let history = args.reading.open().await?;
    let query = history.query(&args.id).await?;
    let output = history.output;
    if history.json {
        output.json(&query)?;
        return Ok(ExitCode::SUCCESS);
    }
    let value = serde_json::to_value(&query).map_err(std::io::Error::from)?;
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            let name = output.styled(Style::Bold, &format!("{name:<20}"));
            text.push_str(&format!("{name} {}\n", visible(value)));
        }
    };
    for name in column_names() {
        match name {
            "statement" => {}
            "started_at" => {
                line(name, &query.started_ms.map_or(String::new(), |ms| history.zone.text(ms)))
            }
            "ended_at" => {
                line(name, &query.ended_ms.map_or(String::new(), |ms| history.zone.text(ms)))
            }
            "load" | "extra" => {
                let part = value.get(name).and_then(|part| part.as_object());
                for (key, value) in part.into_iter().flatten() {
                    line(&format!("{name}.{key}"), &plain(Some(value)));
                }
            }
            name => line(name, &plain(value.get(name))),
        }
    }
    // Where there is a profile, `annals profile --tree` prints its phases.
    let phases = if query.has_profile { String::new() } else { phases_text(&query.phases()) };
    if !phases.is_empty() {
        text.push_str(&format!("\n{}", phases.trim_end_matches('\n')));
        text.push('\n');
    }
    if let Some(statement) = &query.statement {
        text.push_str(&format!("\n{}\n", output.statement(statement)));
    }
    output.write(&text)?;
    Ok(ExitCode::SUCCESS)
}
