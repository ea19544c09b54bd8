//! `annals completions` and `annals man`: what is made from the description of the command line.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Command};
use clap_complete::Shell;

/// Write what makes a shell complete annals' commands
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Write man pages, one for each command
#[derive(Debug, Args)]
pub struct ManArgs {
    /// The folder they are put into
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// Runs `annals completions`.
pub fn completions(args: &CompletionsArgs, mut command: Command) -> Result<ExitCode, io::Error> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "annals", &mut script);
    super::output::write_bytes(&script)?;
    Ok(ExitCode::SUCCESS)
}

/// Runs `annals man`.
pub fn man(args: &ManArgs, command: Command) -> Result<ExitCode, io::Error> {
    std::fs::create_dir_all(&args.folder)?;
    clap_mangen::generate_to(command, &args.folder)?;
    Ok(ExitCode::SUCCESS)
}
