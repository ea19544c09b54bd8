//! The program. [`annals::cli::command`] parses the arguments and runs one command.

use std::process::ExitCode;

fn main() -> ExitCode {
    annals::cli::command::main()
}
