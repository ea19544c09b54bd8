//! `annals stats`: what a history holds.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use serde_json::json;

use super::READING;
use super::args::ReadArgs;
use super::output::Shown;
use crate::domain::readable::{counted, readable_bytes};
use crate::domain::time::{FUTURE_MS, now_ms};
use crate::store::Reader;

/// Show what the history holds: since when, how large, from which sources
///
/// Counts all queries, which takes a while on a large history.
#[derive(Debug, Args)]
pub struct StatsArgs {
    #[command(flatten)]
    read: ReadArgs,
}

/// Runs the command.
pub async fn run(args: StatsArgs) -> anyhow::Result<ExitCode> {
    let history = args.read.open().await?;
    let store = &history.store;
    let sizes = store.sizes().await.context(READING)?;
    let unread = store.unread_profiles(Reader::default()).await.context(READING)?;
    let logins = store.login_counts().await.context(READING)?;
    let span = store.span(Reader::default()).await.context(READING)?;
    let frontends = store.frontends().await.context(READING)?;
    let followed = store.followed_files().await.context(READING)?;
    let text = |ms: i64| history.zone.format_ms(ms);
    // A server counts records of the future only of its own sources.
    if let Some((_, last_ms)) =
        span.filter(|(_, last_ms)| last_ms.saturating_sub(now_ms()) > FUTURE_MS)
    {
        eprintln!(
            "annals: the newest query starts in the future, at {}: its times were read in a wrong zone, which `annals shift` mends, or \
             a clock is wrong",
            text(last_ms)
        );
    }
    let (first, last) = (span.map(|(first, _)| text(first)), span.map(|(_, last)| text(last)));
    if history.json {
        history.output.json(&json!({
            "file": store.place(), "file_bytes": sizes.file_bytes, "queries": sizes.queries,
            "logins": logins.all,
            "failed_logins": logins.failed, "profiles": sizes.profiles, "profile_bytes": sizes.profile_bytes,
            "profile_text_bytes": sizes.profile_text_bytes, "unread_profiles": unread, "first_started_at": first,
            "last_started_at": last,
            "frontends": frontends.iter().map(|(name, count)| json!({"frontend": name, "queries": count})).collect::<Vec<_>>(),
            "followed_files": followed.iter().map(|file| json!({"path": file.path, "read_bytes": file.read_bytes})).collect::<Vec<_>>(),
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let bytes = |bytes: i64| match history.output.is_terminal() {
        true => readable_bytes(bytes),
        false => bytes.to_string(),
    };
    let mut rows: Vec<Vec<String>> = [
        ("file", store.place()),
        ("file_bytes", bytes(sizes.file_bytes)),
        ("queries", sizes.queries.to_string()),
        ("logins", logins.all.to_string()),
        ("failed_logins", logins.failed.to_string()),
        ("profiles", sizes.profiles.to_string()),
        ("profile_bytes", bytes(sizes.profile_bytes)),
        ("profile_text_bytes", bytes(sizes.profile_text_bytes)),
        ("unread_profiles", unread.to_string()),
        ("first_started_at", first.unwrap_or_default()),
        ("last_started_at", last.unwrap_or_default()),
    ]
    .map(|(name, value)| vec![name.to_string(), value])
    .into();
    rows.extend(frontends.into_iter().map(|(name, count)| {
        let name = name.as_deref().unwrap_or("unknown");
        vec![format!("frontend {name}"), counted(count, "query", "queries")]
    }));
    rows.extend(followed.iter().map(|file| {
        let read = match history.output.is_terminal() {
            true => readable_bytes(file.read_bytes),
            false => counted(file.read_bytes, "byte", "bytes"),
        };
        vec![format!("followed {}", file.path), format!("{read} read")]
    }));
    history.output.write(&history.output.table(&["name", "value"], &rows, &Shown::default()))?;
    Ok(ExitCode::SUCCESS)
}
