//! `annals user`: the users of annals.

use std::io::{BufRead, IsTerminal};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};

use super::args::ConfigArgs;
use super::output::{print, visible};
use super::{CLOSING, READING};
use crate::domain::account::{Account, Role};
use crate::domain::cluster::ClusterName;
use crate::store::{Address, Store};

/// Manage the users of annals
///
/// Without users, everybody on this machine may read and push. With users, annals asks for a name and a password, and
/// may listen on any address. A running annals picks up a change within a second.
#[derive(Debug, Args)]
pub struct UserArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Add a user, or change the password, the role and the clusters of one
    ///
    /// Asks for the password, or reads it from standard input as one line.
    Add {
        /// The name of the user in Doris
        name: String,
        /// admin reads all queries and may push; viewer reads all queries; user reads their own; writer reads their own and
        /// may push
        #[arg(long, default_value = "user")]
        role: Role,
        /// The clusters whose queries alone the user sees and pushes, separated by commas. Without them, the user sees the
        /// queries of all clusters, and queries whose cluster is unknown
        #[arg(long, value_name = "NAME", value_delimiter = ',')]
        cluster: Vec<ClusterName>,
        /// The user has no password: a proxy logs the user in (`[proxy_login]` in the configuration)
        #[arg(long)]
        no_password: bool,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Remove a user
    Remove {
        /// The name
        name: String,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Print the hash of a password, for `[[user]]` in the configuration
    Hash,
    /// List the users and their roles
    List {
        #[command(flatten)]
        config: ConfigArgs,
    },
}

/// Runs the command.
pub async fn run(args: UserArgs) -> anyhow::Result<ExitCode> {
    match args.action {
        Action::Add { name, role, cluster, no_password, config } => {
            Account::check_name(&name)?;
            let config = config.read()?;
            let account = match no_password {
                true => Account::of_proxy(name, role),
                false => Account::new(name, role, &password()?)?,
            };
            let account = account.in_clusters(cluster);
            add(&config.db(), &account).await?;
        }
        Action::Remove { name, config } => remove(&config.read()?.db(), &name).await?,
        Action::Hash => {
            let account = Account::new(String::new(), Role::User, &password()?)?;
            print(account.password_hash);
        }
        Action::List { config } => {
            let store = Store::open(&config.read()?.db()).await?;
            for account in store.accounts().await.context(READING)? {
                let clusters = account.clusters.as_ref().map(|it| it.join(","));
                let login = if account.has_no_password() { "no password" } else { "" };
                let cells = [clusters.as_deref().unwrap_or_default(), login].join("\t");
                let (name, role) = (visible(&account.name), account.role);
                print(format_args!("{name}\t{role}\t{cells}").to_string().trim_end());
            }
            store.close().await.context(CLOSING)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn add(db: &Address, account: &Account) -> anyhow::Result<()> {
    let store = Store::open(db).await?;
    store.put_account(account).await.context("the user cannot be written")?;
    store.close().await.context(CLOSING)?;
    let clusters = account.clusters.as_ref().map(|clusters| clusters.join(", "));
    let within = clusters.map_or(String::new(), |names| format!(" in the clusters {names}"));
    print(format_args!("{} is a user with the role {}{within}", account.name, account.role));
    Ok(())
}

async fn remove(db: &Address, name: &str) -> anyhow::Result<()> {
    let store = Store::open(db).await?;
    let is_removed = store.remove_account(name).await.context("the user cannot be removed")?;
    store.close().await.context(CLOSING)?;
    if !is_removed {
        bail!("there is no user {name}");
    }
    print(format_args!("{} is not a user any more", visible(name)));
    Ok(())
}

/// Asks for a new password, twice on a terminal so that a slip is noticed. Elsewhere it is a line of standard input.
fn password() -> anyhow::Result<String> {
    const UNREAD: &str = "the password cannot be read";
    let input = std::io::stdin();
    if input.is_terminal() {
        let first = rpassword::prompt_password("Password: ").context(UNREAD)?;
        let second = rpassword::prompt_password("Again: ").context(UNREAD)?;
        if first != second {
            bail!("the two passwords differ");
        }
        return Ok(first);
    }
    let mut line = String::new();
    input.lock().read_line(&mut line).context(UNREAD)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_string())
}
