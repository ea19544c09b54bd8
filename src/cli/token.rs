//! `annals token`: what programs send in place of a name and a password.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::args::{ConfigArgs, ReadArgs};
use super::output::{Shown, print, visible};
use super::{CLOSING, READING};
use crate::domain::account::{Account, Role, names_of};
use crate::domain::cluster::ClusterName;
use crate::domain::retention::parse_age;
use crate::domain::time::{Zone, now_ms};
use crate::domain::token::{Token, TokenText};
use crate::store::{Address, Store};

/// Manage the tokens of programs
///
/// A program sends its token in the header `Authorization: Bearer TOKEN`, or as the password of any user by HTTP Basic. With
/// the first token, annals asks everybody for a user or a token, as with the first user. A running annals picks up a change
/// within a second.
#[derive(Debug, Args)]
pub struct TokenArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Add a token, and print it: annals stores only a hash, and cannot print it again
    Add(AddArgs),
    /// Remove a token
    Remove {
        /// The name
        name: String,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// List the tokens: their roles, when they were made, when they were used last, to the hour, and when they end
    List {
        #[command(flatten)]
        read: ReadArgs,
    },
}

#[derive(Debug, Args)]
struct AddArgs {
    /// The name of the token, like that of the program
    name: String,
    /// viewer reads all queries and the status; user reads the queries of --user; writer does so, too, and may push; admin
    /// reads all queries and may push
    #[arg(long)]
    role: Role,
    /// The user in Doris whose queries a token of the role user or writer reads. Without it, the name of the token
    #[arg(long)]
    user: Option<String>,
    /// The clusters whose queries alone the token reads and pushes, separated by commas. Without them, the queries of all
    /// clusters, and queries whose cluster is unknown
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    cluster: Vec<ClusterName>,
    /// How long the token is valid, like 90d or 1year. Without it, until it is removed
    #[arg(long, value_name = "AGE", value_parser = parse_validity, allow_hyphen_values = true)]
    expires: Option<Duration>,
    #[command(flatten)]
    config: ConfigArgs,
}

fn parse_validity(text: &str) -> Result<Duration, String> {
    parse_age(text)
        .map_err(|_| format!("{text} is not how long the token is valid, like 90d, 12h or 1year"))
}

/// Runs the command.
pub async fn run(args: TokenArgs) -> anyhow::Result<ExitCode> {
    match args.action {
        Action::Add(args) => add(args).await?,
        Action::Remove { name, config } => remove(&config.read()?.db(), &name).await?,
        Action::List { read } => list(read).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn add(args: AddArgs) -> anyhow::Result<()> {
    Account::check_name(&args.name)?;
    if let Some(user) = &args.user {
        Account::check_name(user)?;
        if args.role.sees_all() {
            bail!(
                "the role {} reads the queries of all users; --user is for the roles user and writer",
                args.role
            );
        }
    }
    let text = TokenText::new().context("the system has no random numbers")?;
    let created_ms = now_ms();
    let valid_ms = args.expires.map(|age| i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
    let token = Token {
        user: (!args.role.sees_all()).then(|| args.user.unwrap_or_else(|| args.name.clone())),
        name: args.name,
        role: args.role,
        hash: text.hash(),
        created_ms,
        expires_ms: valid_ms.map(|valid_ms| created_ms.saturating_add(valid_ms)),
        used_ms: None,
        clusters: names_of(args.cluster),
    };
    let store = Store::open(&args.config.read()?.db()).await?;
    let is_added = store.add_token(&token).await.context("the token cannot be written")?;
    store.close().await.context(CLOSING)?;
    if !is_added {
        bail!("there is a token {} already; remove it, or choose another name", token.name);
    }
    print(&text);
    eprintln!("annals: this is the only time that the token is shown");
    Ok(())
}

async fn remove(db: &Address, name: &str) -> anyhow::Result<()> {
    let store = Store::open(db).await?;
    let is_removed = store.remove_token(name).await.context("the token cannot be removed")?;
    store.close().await.context(CLOSING)?;
    if !is_removed {
        bail!("there is no token {name}");
    }
    print(format_args!("the token {} is not valid any more", visible(name)));
    Ok(())
}

/// A row of the list.
#[derive(Serialize)]
struct ListedToken<'t> {
    name: &'t str,
    role: &'static str,
    user: Option<&'t str>,
    clusters: Option<&'t [String]>,
    created_ms: i64,
    used_ms: Option<i64>,
    expires_ms: Option<i64>,
    has_expired: bool,
}

const NAMES: [&str; 7] = ["name", "role", "made", "last_used", "expires", "user", "clusters"];

async fn list(args: ReadArgs) -> anyhow::Result<()> {
    let history = args.open().await?;
    let now_ms = now_ms();
    let tokens = history.store.tokens().await.context(READING)?;
    let listed: Vec<_> = tokens.iter().map(|token| ListedToken::new(token, now_ms)).collect();
    if history.json {
        return history.output.json(&listed);
    }
    let rows: Vec<_> = listed.iter().map(|token| token.cells(history.zone)).collect();
    history.output.write(&history.output.table(&NAMES, &rows, &Shown::default()))
}

impl<'t> ListedToken<'t> {
    fn new(token: &'t Token, now_ms: i64) -> ListedToken<'t> {
        ListedToken {
            name: &token.name,
            role: token.role.name(),
            user: token.user.as_deref(),
            clusters: token.clusters.as_deref(),
            created_ms: token.created_ms,
            used_ms: token.used_ms,
            expires_ms: token.expires_ms,
            has_expired: token.has_expired(now_ms),
        }
    }

    fn cells(&self, zone: Zone) -> Vec<String> {
        // A second says more than is known of the last use.
        let minute = |ms: i64| {
            let mut time = zone.format_ms(ms);
            time.truncate("2024-08-06 11:15".len());
            time
        };
        let expires = match self.expires_ms {
            Some(ms) if self.has_expired => format!("expired {}", minute(ms)),
            Some(ms) => minute(ms),
            None => "never".to_string(),
        };
        vec![
            self.name.to_string(),
            self.role.to_string(),
            minute(self.created_ms),
            self.used_ms.map_or_else(|| "never".to_string(), minute),
            expires,
            self.user.unwrap_or_default().to_string(),
            self.clusters.map(|names| names.join(",")).unwrap_or_default(),
        ]
    }
}
