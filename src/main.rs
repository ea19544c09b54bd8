//! Parses arguments, runs one command.
#![warn(clippy::unwrap_used, clippy::expect_used)]

use std::error::Error;
use std::io::IsTerminal;
use std::process::ExitCode;

use annals::cli::{
    backup, check, diff, export, generated, import, list, merge, profile, prune, serve, show,
    stats, top, user,
};
use clap::{CommandFactory, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

/// The query history that Apache Doris does not keep
#[derive(Parser)]
#[command(version, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Backup(backup::BackupArgs),
    Check(check::CheckArgs),
    Import(import::ImportArgs),
    Merge(merge::MergeArgs),
    Prune(prune::PruneArgs),
    Serve(serve::ServeArgs),
    User(user::UserArgs),
    List(list::ListArgs),
    Show(show::ShowArgs),
    Profile(profile::ProfileArgs),
    Top(top::TopArgs),
    Diff(diff::DiffArgs),
    Export(export::ExportArgs),
    Stats(stats::StatsArgs),
    Completions(generated::CompletionsArgs),
    Man(generated::ManArgs),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if matches!(arguments.command, Command::Serve(_)) {
        tune_allocator();
    }
    run(arguments)
}

/// Has threads share the allocator's room: glibc gives each its own, and answers of many sizes are made on many
/// threads: a server under load took 178 MB of memory, and 111 so. One room for all would be 105, and they would
/// wait for each other.
///
/// And has it keep a little of what an answer gave back for the next one, rather than give it to the system each
/// time: that took a fifth of the time of a profile as HTML.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn tune_allocator() {
    // SAFETY: each sets a number of the allocator, before any other thread runs. An old one that does not know it
    // refuses, and nothing is lost.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 2);
        libc::mallopt(libc::M_MMAP_THRESHOLD, 256 << 10);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 1 << 20);
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn tune_allocator() {}

#[tokio::main]
async fn run(arguments: Arguments) -> ExitCode {
    // Statements stand in no message above debug level, so none is logged unless asked for.
    let filter = EnvFilter::try_from_env("ANNALS_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    if std::env::var("ANNALS_LOG_FORMAT").is_ok_and(|format| format == "json") {
        log.json().init();
    } else {
        log.init();
    }
    let ended = match arguments.command {
        Command::Merge(arguments) => merge::run(arguments).await.map_err(boxed),
        Command::Backup(arguments) => backup::run(arguments).await.map_err(boxed),
        Command::Check(arguments) => check::run(arguments).await.map_err(boxed),
        Command::Import(arguments) => import::run(arguments).await.map_err(boxed),
        Command::Prune(arguments) => prune::run(arguments).await.map_err(boxed),
        Command::Serve(arguments) => serve::run(arguments).await.map_err(boxed),
        Command::User(arguments) => user::run(arguments).await.map_err(boxed),
        Command::List(arguments) => list::run(arguments).await.map_err(boxed),
        Command::Show(arguments) => show::run(arguments).await.map_err(boxed),
        Command::Profile(arguments) => profile::run(arguments).await.map_err(boxed),
        Command::Top(arguments) => top::run(arguments).await.map_err(boxed),
        Command::Diff(arguments) => diff::run(arguments).await.map_err(boxed),
        Command::Export(arguments) => export::run(arguments).await.map_err(boxed),
        Command::Stats(arguments) => stats::run(arguments).await.map_err(boxed),
        Command::Completions(arguments) => {
            generated::completions(&arguments, Arguments::command()).map_err(boxed)
        }
        Command::Man(arguments) => generated::man(&arguments, Arguments::command()).map_err(boxed),
    };
    ended.unwrap_or_else(|error| {
        eprintln!("annals: {error}{}", causes(&*error));
        ExitCode::from(2)
    })
}

fn boxed(error: impl Error + 'static) -> Box<dyn Error> {
    Box::new(error)
}

/// What an error came from, each cause behind a colon.
fn causes(error: &dyn Error) -> String {
    let mut text = String::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
