//! `annals find`: the query or the statement that a text means.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use super::READING;
use super::args::{History, ReadArgs, parse_time_ms};
use super::list;
use super::output::BOLD;
use super::show::query_text;
use crate::domain::filter::QueryFilter;
use crate::domain::find::Sought;
use crate::domain::time::check_range;
use crate::store::{Found, Match, MatchKind, Only, Reader};

/// Find a query or a statement by any of its names
///
/// The text is a query id or its first six characters or more, a trace id, the id of a session, the label of a load or its first
/// three characters or more, a fingerprint in hexadecimal digits, its first four or more, or the same as a number, a statement, or
/// text of statements. Blanks and quotes around it do not matter. If the text means one
/// query, shows all that is known of it, as `annals show` does. Statements are searched for the text only if it means nothing
/// else. Exits with 1 if nothing is found.
#[derive(Debug, Args)]
pub struct FindArgs {
    /// The text
    #[arg(allow_hyphen_values = true)]
    text: String,
    /// Of statements that contain the text, only those of queries that started at this time or later
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// The same, before this time
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    #[command(flatten)]
    read: ReadArgs,
}

/// Runs the command.
pub async fn run(args: FindArgs) -> anyhow::Result<ExitCode> {
    let sought = Sought::new(&args.text)?;
    let history = args.read.open().await?;
    let time =
        |text: Option<String>| text.map(|text| parse_time_ms(&text, history.zone)).transpose();
    let (from_ms, to_ms) = (time(args.from)?, time(args.to)?);
    check_range(from_ms, to_ms)?;
    let range = QueryFilter { from_ms, to_ms, ..QueryFilter::default() };
    let found = history.store.find(&sought, &range, Reader::default()).await.context(READING)?;
    if history.json {
        history.output.json(&found.matches)?;
    } else if !found.matches.is_empty() {
        history.output.write(&text(&history, &range, &found).await?)?;
    }
    if found.is_incomplete {
        eprintln!("annals: the search took long and stopped; name a range of time with --from");
    } else if found.matches.is_empty() {
        eprintln!("annals: nothing has this name, and no statement contains it");
        if sought.is_short() {
            let most = Sought::MIN_ID_START;
            eprintln!("annals: the start of a query id needs at least {most} characters");
        }
    }
    Ok(ExitCode::from(u8::from(found.matches.is_empty())))
}

/// Returns the one query that was found, or a table for each kind of match.
async fn text(history: &History, range: &QueryFilter, found: &Found) -> anyhow::Result<String> {
    if let Some(Only::Query(id)) = found.only() {
        // Matches have the starts of statements.
        return query_text(history, &history.query(id).await?);
    }
    let mut text = String::new();
    let columns = list::Columns::of_list(history, range).await?;
    let is_shown = |one: &&Match| one.kind != MatchKind::Text || !is_of_statement(found, one);
    for one in found.matches.iter().filter(is_shown) {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&history.output.styled(BOLD, &heading(one)));
        text.push('\n');
        text.push_str(&list::text(history, &columns, &one.queries).await?);
        if one.has_more {
            text.push_str(&format!("only the first {} are shown\n", one.queries.len()));
        }
    }
    Ok(text)
}

/// Returns whether all queries of a match are runs of the statement that was found.
fn is_of_statement(found: &Found, one: &Match) -> bool {
    let statement = found.matches.iter().find_map(|other| other.fingerprint);
    statement.is_some() && one.queries.iter().all(|query| query.fingerprint == statement)
}

fn heading(one: &Match) -> String {
    match (one.kind, one.fingerprint) {
        (MatchKind::QueryId, _) => "query ids that begin so:".to_string(),
        (MatchKind::TraceId, _) => "queries of this trace:".to_string(),
        (MatchKind::SessionId, _) => "queries of this session:".to_string(),
        (MatchKind::Label, _) => "loads whose labels begin so:".to_string(),
        (MatchKind::Statement, Some(fingerprint)) => format!("runs of statement {fingerprint}:"),
        (MatchKind::Statement | MatchKind::Text, _) => {
            "statements that contain this text:".to_string()
        }
    }
}
