//! The configuration: defaults, then the file, then the environment, then the command line, each over the one before.

mod audit_table;
mod follow;

use std::fmt;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, anyhow};
use reqwest::Url;
use serde::de::value::SeqAccessDeserializer;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use crate::domain::account::{Account, UnknownRole};
use crate::domain::cluster::ClusterName;
use crate::domain::exclusion::ExclusionRules;
use crate::domain::retention::Retention;
use crate::domain::time::Zone;
use crate::formats::frontend::Frontend;
use crate::http::auth::ProxyLogin;
use crate::store::{Address, is_address};

pub(crate) use self::audit_table::AuditTableConfig;
pub(crate) use self::follow::{EMPTY_PATH, FollowConfig};

/// The configuration file of a working folder, unless another is named.
const DEFAULT_FILE: &str = "annals.toml";

/// A configuration file. `annals.example.toml` explains each setting.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub db: Option<Address>,
    /// The servers of PostgreSQL whose replicas answer reads. [`Config::db`] has them.
    pub db_read: Option<Address>,
    #[serde(default, deserialize_with = "listen")]
    pub listen: Option<SocketAddr>,
    pub time_zone: Option<Zone>,
    pub insecure_no_auth: Option<bool>,
    #[serde(default, deserialize_with = "file_name")]
    pub tls_cert: Option<Spanned<PathBuf>>,
    #[serde(default, deserialize_with = "file_name")]
    pub tls_key: Option<Spanned<PathBuf>>,
    /// The cluster of sources that name none, and of imported files.
    pub cluster: Option<ClusterName>,
    #[serde(default, deserialize_with = "followed_logs")]
    pub follow: Vec<FollowConfig>,
    #[serde(default, deserialize_with = "frontends")]
    pub frontend: Vec<FrontendConfig>,
    #[serde(default, deserialize_with = "audit_tables")]
    pub audit_table: Vec<AuditTableConfig>,
    #[serde(default, deserialize_with = "users")]
    pub user: Vec<UserConfig>,
    pub proxy_login: Option<ProxyLogin>,
    #[serde(default)]
    pub exclude: ExclusionRules,
    #[serde(default)]
    pub retention: Retention,
    /// The file and its text, in which settings have their places.
    #[serde(skip)]
    text: Option<(PathBuf, String)>,
}

/// Reads where to listen. `localhost` is 127.0.0.1, so that nobody has to know its number.
pub(crate) fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    let numeric = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text.to_string(),
    };
    numeric.parse().map_err(|_| {
        format!(
            "{text} is not an address with a port, like 127.0.0.1:8130, 0.0.0.0:8130 or [::1]:8130"
        )
    })
}

fn listen<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| parse_listen(&text)).transpose().map_err(Error::custom)
}

/// Reads a list, and says of anything else how one is written.
struct ListVisitor<T> {
    expected: &'static str,
    of: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
    type Value = Vec<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.expected)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, elements: A) -> Result<Vec<T>, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(elements))
    }
}

fn list<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
    expected: &'static str,
) -> Result<Vec<T>, D::Error> {
    deserializer.deserialize_seq(ListVisitor { expected, of: PhantomData })
}

fn followed_logs<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<FollowConfig>, D::Error> {
    list(
        deserializer,
        "a list of files, like [\"/opt/doris/fe/log/fe.audit.log\"], or tables with two brackets: [[follow]], and below it path = \"/opt/doris/fe/log/fe.audit.log\"",
    )
}

fn frontends<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<FrontendConfig>, D::Error> {
    list(
        deserializer,
        "tables with two brackets: [[frontend]], and below it url = \"http://fe1:8030\"",
    )
}

fn audit_tables<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<AuditTableConfig>, D::Error> {
    list(
        deserializer,
        "tables with two brackets: [[audit_table]], and below it url = \"mysql://annals@fe1:9030\"",
    )
}

fn users<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<UserConfig>, D::Error> {
    list(
        deserializer,
        "tables with two brackets: [[user]], and below it name, role and password_hash",
    )
}

/// Reads the name of a file. Rejects an address, and does not repeat it, because it may have a password.
fn file_name<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Spanned<PathBuf>>, D::Error> {
    let name = Option::<Spanned<PathBuf>>::deserialize(deserializer)?;
    match &name {
        Some(name) if is_address(name.get_ref().as_os_str()) => {
            Err(Error::custom("this takes the name of a file, and was given an address"))
        }
        _ => Ok(name),
    }
}

/// A user in the configuration file.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "UserText")]
pub(crate) struct UserConfig(pub Account);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UserText {
    name: String,
    role: String,
    /// Without it, a proxy logs the user in.
    password_hash: Option<String>,
    #[serde(default)]
    clusters: Vec<ClusterName>,
}

impl TryFrom<UserText> for UserConfig {
    type Error = String;

    fn try_from(text: UserText) -> Result<UserConfig, String> {
        Account::check_name(&text.name).map_err(|error| error.to_string())?;
        let role = text.role.parse().map_err(|error: UnknownRole| error.to_string())?;
        let account = match text.password_hash {
            Some(hash) => Account::with_hash(text.name, role, hash),
            None => Ok(Account::of_proxy(text.name, role)),
        };
        let account = account.map_err(|error| error.to_string())?;
        Ok(UserConfig(account.in_clusters(text.clusters)))
    }
}

/// A frontend in the configuration file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FrontendConfig {
    pub url: FrontendUrl,
    #[serde(default, deserialize_with = "file_name")]
    pub password_file: Option<Spanned<PathBuf>>,
    pub password_env: Option<Spanned<String>>,
    pub time_zone: Option<Zone>,
    pub cluster: Option<ClusterName>,
    #[serde(default)]
    pub poll_interval_seconds: Seconds,
}

/// The time from one poll of a frontend to the next, from 1 to 3600 seconds.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "u64")]
pub(crate) struct Seconds(u64);

impl Default for Seconds {
    fn default() -> Seconds {
        Seconds(5)
    }
}

impl TryFrom<u64> for Seconds {
    type Error = &'static str;

    fn try_from(seconds: u64) -> Result<Seconds, &'static str> {
        match seconds {
            1..=3600 => Ok(Seconds(seconds)),
            _ => Err("poll_interval_seconds must be from 1 to 3600"),
        }
    }
}

/// The address of a frontend, and the user of annals there: `http://user@host:8030`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct FrontendUrl {
    /// Without the user.
    url: Url,
    user: String,
}

/// The message about a text that is no address of a frontend.
const NOT_A_FRONTEND_URL: &str = "a frontend is written like http://user@host:8030";
/// The message about a URL with a password, which other processes can read on the command line.
const PASSWORD_IN_URL: &str = "a frontend's URL must not hold its password, because other users of this machine can see it; \
     put the password into password_file, password_env or ANNALS_FRONTEND_PASSWORD";

impl FromStr for FrontendUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<FrontendUrl, &'static str> {
        let mut url: Url = text.parse().map_err(|_| NOT_A_FRONTEND_URL)?;
        if url.password().is_some() {
            return Err(PASSWORD_IN_URL);
        }
        let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        if !["http", "https"].contains(&url.scheme()) || !url.has_host() || !is_bare {
            return Err(NOT_A_FRONTEND_URL);
        }
        let user = percent_encoding::percent_decode_str(url.username()).decode_utf8_lossy();
        let user = if user.is_empty() { "root".to_string() } else { user.into_owned() };
        url.set_username("").map_err(|()| NOT_A_FRONTEND_URL)?;
        Ok(FrontendUrl { url, user })
    }
}

impl TryFrom<String> for FrontendUrl {
    type Error = &'static str;

    fn try_from(text: String) -> Result<FrontendUrl, &'static str> {
        text.parse()
    }
}

impl fmt::Display for FrontendUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.as_str())
    }
}

impl Config {
    /// Reads a file. Without a name, reads annals.toml of the working folder, or returns the defaults if there is none.
    pub(crate) fn read(named: Option<&Path>) -> anyhow::Result<Config> {
        let file = named.unwrap_or(Path::new(DEFAULT_FILE));
        match std::fs::read_to_string(file) {
            Ok(text) => Config::parse(&text, file),
            Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
                Ok(Config::default())
            }
            Err(error) => Err(error)
                .with_context(|| format!("the configuration {} cannot be read", file.display())),
        }
    }

    /// Where the history is.
    pub(crate) fn db(&self) -> Address {
        self.db.clone().unwrap_or_else(|| Address::File(PathBuf::from("annals.db")))
    }

    /// The zone of times without one.
    pub(crate) fn zone(&self) -> Zone {
        self.time_zone.unwrap_or_else(Zone::of_system)
    }

    fn parse(text: &str, file: &Path) -> anyhow::Result<Config> {
        let config: Config = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            anyhow!("{}: {}", place(file, text, at), error.message())
        })?;
        Ok(Config { text: Some((file.to_path_buf(), text.to_string())), ..config })
    }

    /// Returns the error of a setting with its place in the file.
    pub(crate) fn at<T>(&self, setting: &Spanned<T>, error: anyhow::Error) -> anyhow::Error {
        match &self.text {
            Some((file, text)) => error.context(place(file, text, setting.span().start)),
            None => error,
        }
    }
}

/// Returns a place in a file as `annals.toml:7`.
fn place(file: &Path, text: &str, at: usize) -> String {
    let before = &text.as_bytes()[..at.min(text.len())];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    format!("{}:{line}", file.display())
}

impl FrontendConfig {
    /// Returns the configuration of a frontend on the command line.
    pub(crate) fn of_url(url: FrontendUrl) -> FrontendConfig {
        FrontendConfig {
            url,
            password_file: None,
            password_env: None,
            time_zone: None,
            cluster: None,
            poll_interval_seconds: Seconds::default(),
        }
    }

    /// Returns the frontend with its password, and what it does not say itself from the configuration.
    pub(crate) fn frontend(&self, config: &Config) -> anyhow::Result<Frontend> {
        Ok(Frontend {
            url: self.url.url.clone(),
            user: self.url.user.clone(),
            password: self.password(config)?,
            zone: self.time_zone.unwrap_or_else(|| config.zone()),
            cluster: self.cluster.clone().or_else(|| config.cluster.clone()),
        })
    }

    /// Reads the password from the file or the variable that the configuration names, else from those of the
    /// environment; else it is empty.
    fn password(&self, config: &Config) -> anyhow::Result<String> {
        let password = Password {
            file: self.password_file.as_ref(),
            variable: self.password_env.as_ref(),
            default_variable: "ANNALS_FRONTEND_PASSWORD",
        };
        password.read(config, &self.url)
    }

    pub(crate) fn poll_interval(&self) -> Duration {
        Duration::from_secs(self.poll_interval_seconds.0)
    }
}

/// Where the password of a source is.
struct Password<'c> {
    /// The file that the configuration names.
    file: Option<&'c Spanned<PathBuf>>,
    /// The variable that the configuration names.
    variable: Option<&'c Spanned<String>>,
    /// The variable that has the password if the configuration names none. With `_FILE` behind it, the variable that names a
    /// file.
    default_variable: &'static str,
}

impl Password<'_> {
    /// Returns the password for a source; an empty one if there is none. Errors if the file or the variable of the configuration
    /// is missing.
    fn read(&self, config: &Config, source: &impl fmt::Display) -> anyhow::Result<String> {
        let missing = |error: anyhow::Error| error.context(format!("no password for {source}"));
        if let Some(file) = self.file {
            password_in(file.get_ref()).map_err(|error| config.at(file, missing(error)))
        } else if let Some(name) = self.variable {
            std::env::var(name.get_ref()).map_err(|_| {
                let error = anyhow!("the variable {} is not set", name.get_ref());
                config.at(name, missing(error))
            })
        } else if let Some(path) = variable(&format!("{}_FILE", self.default_variable)) {
            password_in(Path::new(&path)).map_err(missing)
        } else {
            Ok(variable(self.default_variable).unwrap_or_default())
        }
    }
}

/// Returns the text of a file without the line end.
fn password_in(path: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("{} cannot be read", path.display()))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_string())
}

/// Returns an environment variable. An empty one counts as unset.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frontend_is_written_as_a_url_with_its_user() {
        let url: FrontendUrl = "http://admin@fe1:8030".parse().unwrap();
        assert_eq!((url.user.as_str(), url.to_string()), ("admin", "http://fe1:8030/".to_string()));
        let url: FrontendUrl = "https://a%40b@fe1".parse().unwrap();
        assert_eq!(url.user, "a@b");
        assert_eq!("http://fe1:8030".parse::<FrontendUrl>().unwrap().user, "root");
        assert_eq!("http://a:b@fe1:8030".parse::<FrontendUrl>(), Err(PASSWORD_IN_URL));
        for text in ["fe1:8030", "fe1", "mysql://fe1:9030", "http://fe1/path", "http://fe1?a=b", ""]
        {
            assert_eq!(text.parse::<FrontendUrl>(), Err(NOT_A_FRONTEND_URL), "{text}");
        }
    }
}
