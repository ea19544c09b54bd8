//! Parses the arguments, and runs one command.
//!
//! It is in the library and not in `main.rs`: an optimized build compiles an asynchronous function again in each crate that
//! awaits it.

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use super::args::ignore_empty_variables;
use super::output::{error_text, has_colours, hide_passwords};
use super::{
    backup, check, diff, export, find, findings, generated, import, list, merge, plans, profile,
    prune, regress, salvage, serve, shift, show, stats, token, top, usage, user,
};

/// The query history that Apache Doris and StarRocks do not keep
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
    Salvage(salvage::SalvageArgs),
    Serve(serve::ServeArgs),
    Shift(shift::ShiftArgs),
    User(user::UserArgs),
    Token(token::TokenArgs),
    List(list::ListArgs),
    Find(find::FindArgs),
    Show(show::ShowArgs),
    Profile(profile::ProfileArgs),
    Top(top::TopArgs),
    Regress(regress::RegressArgs),
    Usage(usage::UsageArgs),
    Plans(plans::PlansArgs),
    Findings(findings::FindingsArgs),
    Diff(diff::DiffArgs),
    Export(export::ExportArgs),
    Stats(stats::StatsArgs),
    Completions(generated::CompletionsArgs),
    Man(generated::ManArgs),
}

/// Runs the command that the arguments of the process name. Returns its exit code; 2 if it failed, after printing why.
pub fn main() -> ExitCode {
    let command = ignore_empty_variables(Arguments::command());
    let arguments = command
        .try_get_matches()
        .and_then(|matches| Arguments::from_arg_matches(&matches))
        .unwrap_or_else(|error| exit(&error));
    if matches!(arguments.command, Command::Serve(_)) {
        crate::allocator::tune();
    }
    log_to_standard_error();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if matches!(arguments.command, Command::Serve(_)) {
        runtime.on_thread_start(serve::prepare_thread);
    }
    let runtime = runtime.enable_all().build().map_err(anyhow::Error::from);
    runtime.and_then(|runtime| runtime.block_on(run(arguments.command))).unwrap_or_else(|error| {
        eprintln!("annals: {}", hide_passwords(&error_text(&error)));
        ExitCode::from(2)
    })
}

/// Prints why the arguments are wrong, or the help that they ask for, and exits.
fn exit(error: &clap::Error) -> ! {
    let text = error.to_string();
    let shown = hide_passwords(&text);
    if shown == text {
        error.exit();
    }
    eprint!("{shown}");
    std::process::exit(error.exit_code());
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Backup(arguments) => backup::run(arguments).await,
        Command::Check(arguments) => check::run(arguments).await,
        Command::Import(arguments) => import::run(arguments).await,
        Command::Merge(arguments) => merge::run(arguments).await,
        Command::Prune(arguments) => prune::run(arguments).await,
        Command::Salvage(arguments) => salvage::run(arguments).await,
        Command::Serve(arguments) => serve::run(arguments).await,
        Command::Shift(arguments) => shift::run(arguments).await,
        Command::User(arguments) => user::run(arguments).await,
        Command::Token(arguments) => token::run(arguments).await,
        Command::List(arguments) => list::run(arguments).await,
        Command::Find(arguments) => find::run(arguments).await,
        Command::Show(arguments) => show::run(arguments).await,
        Command::Profile(arguments) => profile::run(arguments).await,
        Command::Top(arguments) => top::run(arguments).await,
        Command::Regress(arguments) => regress::run(arguments).await,
        Command::Usage(arguments) => usage::run(arguments).await,
        Command::Plans(arguments) => plans::run(arguments).await,
        Command::Findings(arguments) => findings::run(arguments).await,
        Command::Diff(arguments) => diff::run(arguments).await,
        Command::Export(arguments) => export::run(arguments).await,
        Command::Stats(arguments) => stats::run(arguments).await,
        Command::Completions(arguments) => generated::completions(&arguments, Arguments::command()),
        Command::Man(arguments) => generated::man(&arguments, Arguments::command()),
    }
}

/// What is logged without `ANNALS_LOG`: warnings, and what the sources and commands do. Requests are logged at info
/// level, statements at debug level: neither is logged unless asked for. sqlx warns of slow statements, and prints them
/// whole.
const DEFAULT_LOG: &str = "warn,sqlx=error,annals::ingest=info,annals::cli=info";

/// What is not logged at any level: the driver prints lines of a file of passwords that it cannot read.
const NEVER_LOGGED: &str = "sqlx_postgres::options=off";

/// Logs what `ANNALS_LOG` selects, as JSON if `ANNALS_LOG_FORMAT` is json.
fn log_to_standard_error() {
    let directives = std::env::var("ANNALS_LOG").unwrap_or_default();
    let filter = EnvFilter::try_new(directives.trim())
        .ok()
        .filter(|_| !directives.trim().is_empty())
        .unwrap_or_else(|| EnvFilter::new(DEFAULT_LOG));
    let filter = match NEVER_LOGGED.parse() {
        Ok(directive) => filter.add_directive(directive),
        Err(_) => filter,
    };
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(has_colours(&std::io::stderr()));
    if std::env::var("ANNALS_LOG_FORMAT").is_ok_and(|format| format == "json") {
        log.json().init();
    } else {
        log.init();
    }
}
