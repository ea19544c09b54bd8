//! What annals is told to do: defaults, then the configuration file, then the environment, then the
//! command line, each over the one before.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use reqwest::Url;
use serde::Deserialize;

use crate::domain::account::{Account, UnknownRole};
use crate::domain::exclusion::ExclusionRules;
use crate::domain::retention::Retention;
use crate::domain::time::Zone;
use crate::formats::frontend::Frontend;

/// The file that is read where none is named.
pub(crate) const DEFAULT_FILE: &str = "annals.toml";

/// What a configuration file says. `annals.example.toml` explains each setting.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub(crate) struct Config {
    pub db: Option<PathBuf>,
    pub listen: Option<SocketAddr>,
    pub time_zone: Option<Zone>,
    pub insecure_no_auth: Option<bool>,
    pub tls_cert: Option<PathBuf>,
    pub tls_key: Option<PathBuf>,
    #[serde(default)]
    pub follow: Vec<String>,
    #[serde(default)]
    pub frontend: Vec<FrontendConfig>,
    #[serde(default)]
    pub user: Vec<UserConfig>,
    #[serde(default)]
    pub exclude: ExclusionRules,
    #[serde(default)]
    pub retention: Retention,
}

/// Somebody who may ask, as the configuration file names them.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "UserText")]
pub(crate) struct UserConfig(pub Account);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UserText {
    name: String,
    role: String,
    password_hash: String,
}

impl TryFrom<UserText> for UserConfig {
    type Error = String;

    fn try_from(text: UserText) -> Result<UserConfig, String> {
        Account::check_name(&text.name).map_err(|error| error.to_string())?;
        let role = text.role.parse().map_err(|error: UnknownRole| error.to_string())?;
        let account = Account::with_hash(text.name, role, text.password_hash);
        account.map(UserConfig).map_err(|error| error.to_string())
    }
}

/// A frontend, as the configuration file describes it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub(crate) struct FrontendConfig {
    pub url: FrontendUrl,
    pub password_file: Option<PathBuf>,
    pub password_env: Option<String>,
    pub time_zone: Option<Zone>,
    #[serde(default = "default_seconds")]
    pub every_seconds: Seconds,
}

/// How often a frontend is asked, in seconds from 1 to 3600.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "u64")]
pub(crate) struct Seconds(u64);

fn default_seconds() -> Seconds {
    Seconds(5)
}

impl TryFrom<u64> for Seconds {
    type Error = &'static str;

    fn try_from(seconds: u64) -> Result<Seconds, &'static str> {
        match seconds {
            1..=3600 => Ok(Seconds(seconds)),
            _ => Err("every_seconds must be from 1 to 3600"),
        }
    }
}

/// Where a frontend is and who asks it: `http://user@host:8030`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct FrontendUrl {
    url: Url,
    user: String,
}

/// Why a text is not the address of a frontend.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub(crate) enum FrontendUrlError {
    #[error("a frontend is named like http://user@host:8030")]
    NotAnAddress,
    #[error(
        "a password does not belong into an address, which others can read; put it into a file or \
         an environment variable"
    )]
    Password,
}

impl FromStr for FrontendUrl {
    type Err = FrontendUrlError;

    fn from_str(text: &str) -> Result<FrontendUrl, FrontendUrlError> {
        let mut url: Url = text.parse().map_err(|_| FrontendUrlError::NotAnAddress)?;
        if url.password().is_some() {
            return Err(FrontendUrlError::Password);
        }
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        if !["http", "https"].contains(&url.scheme()) || !url.has_host() || !bare {
            return Err(FrontendUrlError::NotAnAddress);
        }
        let user = percent_encoding::percent_decode_str(url.username()).decode_utf8_lossy();
        let user = if user.is_empty() { "root".to_string() } else { user.into_owned() };
        url.set_username("").map_err(|()| FrontendUrlError::NotAnAddress)?;
        Ok(FrontendUrl { url, user })
    }
}

impl TryFrom<String> for FrontendUrl {
    type Error = FrontendUrlError;

    fn try_from(text: String) -> Result<FrontendUrl, FrontendUrlError> {
        text.parse()
    }
}

impl fmt::Display for FrontendUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.as_str())
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum ConfigError {
    #[error("the configuration {} cannot be read", .0.display())]
    Unreadable(PathBuf, #[source] std::io::Error),
    #[error("{}:{line}: {message}", .file.display())]
    Wrong { file: PathBuf, line: usize, message: String },
    #[error("the password of {} cannot be read from {}", .0, .1.display())]
    PasswordFile(String, PathBuf, #[source] std::io::Error),
    #[error("the password of {0} is to be in {1}, which is not set")]
    PasswordVariable(String, String),
}

impl Config {
    /// Reads a file; where none is named, the one in the working folder if it is there.
    pub(crate) fn read(named: Option<&Path>) -> Result<Config, ConfigError> {
        let file = named.unwrap_or(Path::new(DEFAULT_FILE));
        match std::fs::read_to_string(file) {
            Ok(text) => Config::parse(&text, file),
            Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
                Ok(Config::default())
            }
            Err(error) => Err(ConfigError::Unreadable(file.to_path_buf(), error)),
        }
    }

    /// The file that holds the history.
    pub(crate) fn db(&self) -> PathBuf {
        self.db.clone().unwrap_or_else(|| PathBuf::from("annals.db"))
    }

    /// The zone of times that name none.
    pub(crate) fn zone(&self) -> Zone {
        self.time_zone.unwrap_or_else(Zone::of_system)
    }

    fn parse(text: &str, file: &Path) -> Result<Config, ConfigError> {
        toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start.min(text.len()));
            let line = text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
            let message = error.message().to_string();
            ConfigError::Wrong { file: file.to_path_buf(), line, message }
        })
    }
}

impl FrontendConfig {
    /// A frontend that only an address names.
    pub(crate) fn of_url(url: FrontendUrl) -> FrontendConfig {
        FrontendConfig {
            url,
            password_file: None,
            password_env: None,
            time_zone: None,
            every_seconds: default_seconds(),
        }
    }

    /// How the frontend is asked. Its password is in the file or the variable it names, else in what
    /// ANNALS_FRONTEND_PASSWORD_FILE or ANNALS_FRONTEND_PASSWORD say; else it has none.
    pub(crate) fn settings(&self, zone: Zone) -> Result<Frontend, ConfigError> {
        let variable = |name: &str| std::env::var(name).ok();
        let file = |path: &Path| {
            let text = std::fs::read_to_string(path).map_err(|error| {
                ConfigError::PasswordFile(self.url.to_string(), path.to_path_buf(), error)
            })?;
            Ok(text.trim_end_matches(['\r', '\n']).to_string())
        };
        let password = if let Some(path) = &self.password_file {
            file(path)?
        } else if let Some(name) = &self.password_env {
            variable(name)
                .ok_or_else(|| ConfigError::PasswordVariable(self.url.to_string(), name.clone()))?
        } else if let Some(path) = variable("ANNALS_FRONTEND_PASSWORD_FILE") {
            file(Path::new(&path))?
        } else {
            variable("ANNALS_FRONTEND_PASSWORD").unwrap_or_default()
        };
        Ok(Frontend {
            url: self.url.url.clone(),
            user: self.url.user.clone(),
            password,
            zone: self.time_zone.unwrap_or(zone),
        })
    }

    /// How long after one look at its list the next comes.
    pub(crate) fn every(&self) -> Duration {
        Duration::from_secs(self.every_seconds.0)
    }
}
