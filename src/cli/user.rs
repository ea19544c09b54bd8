//! `annals user`: who may ask.

use std::io::{BufRead, IsTerminal};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::Common;
use super::output::say;
use crate::config::ConfigError;
use crate::domain::account::{Account, NotAName, PasswordError, Role};
use crate::store::{OpenError, Store};

/// Say who may ask, and for what
///
/// Without users, everybody on this machine may ask and push. Once there is one, annals asks who it is, and
/// may listen on any address. A running annals heeds a change within a second.
#[derive(Debug, Args)]
pub struct UserArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Add a user, or change the password and role of one
    ///
    /// The password is asked for; or sent on standard input, as one line.
    Add {
        /// The name, as Doris calls the user
        name: String,
        /// admin sees all queries and may push; user sees their own; writer may push, and sees their own
        #[arg(long, default_value = "user")]
        role: Role,
        #[command(flatten)]
        common: Common,
    },
    /// Remove a user
    Remove {
        /// The name
        name: String,
        #[command(flatten)]
        common: Common,
    },
    /// Print the hash of a password, for `[[user]]` in the configuration
    Hash,
    /// List the users and their roles
    List {
        #[command(flatten)]
        common: Common,
    },
}

/// Why a user was not changed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum UserError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error("the password cannot be read")]
    Input(#[source] std::io::Error),
    #[error("the two passwords differ")]
    Differ,
    #[error(transparent)]
    Name(#[from] NotAName),
    #[error("there is no user {0}")]
    Unknown(String),
    #[error("the history cannot be read")]
    Read(#[from] crate::store::StoreError),
}

/// Runs the command.
pub async fn run(args: UserArgs) -> Result<ExitCode, UserError> {
    match args.action {
        Action::Add { name, role, common } => {
            Account::check_name(&name)?;
            let config = common.configured()?;
            let account = Account::new(name, role, &password()?)?;
            let store = Store::open(&config.db()).await?;
            store.put_account(&account).await?;
            store.close().await?;
            say(format_args!("{} may ask as {role}", account.name));
        }
        Action::Remove { name, common } => {
            let store = Store::open(&common.configured()?.db()).await?;
            let removed = store.remove_account(&name).await?;
            store.close().await?;
            if !removed {
                return Err(UserError::Unknown(name));
            }
            say(format_args!("{name} may not ask any more"));
        }
        Action::Hash => {
            let account = Account::new(String::new(), Role::User, &password()?)?;
            say(account.password_hash);
        }
        Action::List { common } => {
            let store = Store::open(&common.configured()?.db()).await?;
            for account in store.accounts().await? {
                say(format_args!("{}\t{}", account.name, account.role));
            }
            store.close().await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Asks for a new password, twice so that a slip is seen; on no terminal it is a line of standard input.
fn password() -> Result<String, UserError> {
    let input = std::io::stdin();
    if input.is_terminal() {
        let first = rpassword::prompt_password("Password: ").map_err(UserError::Input)?;
        let second = rpassword::prompt_password("Again: ").map_err(UserError::Input)?;
        return if first == second { Ok(first) } else { Err(UserError::Differ) };
    }
    let mut line = String::new();
    input.lock().read_line(&mut line).map_err(UserError::Input)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_string())
}
