//! The address of an audit table: the frontends of a cluster, and the user of annals there.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::Deserialize;
use sqlx::ConnectOptions;
use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};

/// The port at which a frontend speaks the MySQL protocol, unless it is set to another one.
const DEFAULT_PORT: u16 = 9030;
/// The parameters of sqlx that annals passes on. sqlx ignores all others: a misspelt `ssl-mode` would be no TLS.
const PARAMETERS: [&str; 4] = ["ssl-mode", "ssl-ca", "ssl-cert", "ssl-key"];

/// Why a text is no address of an audit table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AuditTableUrlError {
    #[error(
        "an audit table is written like mysql://user@host:9030, with more frontends of the cluster behind commas"
    )]
    NotAUrl,
    #[error(
        "the URL of an audit table must not hold its password, because other users of this machine can see it; \
         put the password into password_file, password_env or ANNALS_AUDIT_TABLE_PASSWORD"
    )]
    Password,
    #[error(
        "the URL of an audit table takes the parameters ssl-mode (DISABLED, PREFERRED, REQUIRED, VERIFY_CA or VERIFY_IDENTITY), \
         ssl-ca, ssl-cert and ssl-key"
    )]
    Parameter,
}

/// The frontends of a cluster and the user of annals there: `mysql://user@host1:9030,host2:9030?ssl-mode=VERIFY_CA`.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct AuditTableUrl {
    user: String,
    /// Each frontend as `host:port`, with how to connect to it.
    servers: Vec<(String, MySqlConnectOptions)>,
    /// The files of TLS, each with the parameter that names it.
    files: Vec<(String, PathBuf)>,
}

impl FromStr for AuditTableUrl {
    type Err = AuditTableUrlError;

    fn from_str(text: &str) -> Result<AuditTableUrl, AuditTableUrlError> {
        let rest = text.strip_prefix("mysql://").ok_or(AuditTableUrlError::NotAUrl)?;
        let (address, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        let address = address.strip_suffix('/').unwrap_or(address);
        let (user, hosts) = address.rsplit_once('@').unwrap_or(("", address));
        if user.contains(':') {
            return Err(AuditTableUrlError::Password);
        }
        let user = percent_encoding::percent_decode_str(user).decode_utf8_lossy();
        let user = if user.is_empty() { "root".to_string() } else { user.into_owned() };
        let is_known =
            |parameter: &str| PARAMETERS.contains(&parameter.split('=').next().unwrap_or_default());
        if !parameters.split('&').all(|parameter| parameter.is_empty() || is_known(parameter)) {
            return Err(AuditTableUrlError::Parameter);
        }
        let servers = hosts.split(',').map(|host| server(host, &user, parameters));
        let servers = servers.collect::<Result<_, _>>()?;
        Ok(AuditTableUrl { servers, user, files: files(parameters) })
    }
}

/// Returns the files that parameters name. A parameter may also hold a certificate itself.
fn files(parameters: &str) -> Vec<(String, PathBuf)> {
    let pairs = parameters.split('&').filter_map(|parameter| parameter.split_once('='));
    let files = pairs.filter(|(name, _)| ["ssl-ca", "ssl-cert", "ssl-key"].contains(name));
    let files = files.map(|(name, value)| {
        (name.to_string(), percent_encoding::percent_decode_str(value).decode_utf8_lossy())
    });
    let named = files.filter(|(_, value)| !value.trim_start().starts_with("-----BEGIN"));
    named.map(|(name, value)| (name, PathBuf::from(value.into_owned()))).collect()
}

/// Returns the name of a frontend, and how to connect to it.
fn server(
    host: &str,
    user: &str,
    parameters: &str,
) -> Result<(String, MySqlConnectOptions), AuditTableUrlError> {
    if host.is_empty() || host.contains(['/', '#', '\\']) {
        return Err(AuditTableUrlError::NotAUrl);
    }
    let url: reqwest::Url =
        format!("mysql://{host}?{parameters}").parse().map_err(|_| AuditTableUrlError::NotAUrl)?;
    let name = url.host_str().filter(|name| !name.is_empty()).ok_or(AuditTableUrlError::NotAUrl)?;
    let port = url.port().unwrap_or(DEFAULT_PORT);
    // sqlx takes an IPv6 address without its brackets.
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    let options = MySqlConnectOptions::from_url(&url).map_err(|_| AuditTableUrlError::Parameter)?;
    // What sqlx sends by default after it has connected, Doris and StarRocks reject or misunderstand.
    let options = options
        .host(bare)
        .port(port)
        .username(user)
        .pipes_as_concat(false)
        .no_engine_substitution(false)
        .timezone(None)
        .set_names(false)
        .statement_cache_capacity(0)
        .disable_statement_logging();
    // Users of LDAP send their password as it is, which only TLS protects.
    let is_private =
        !matches!(options.get_ssl_mode(), MySqlSslMode::Disabled | MySqlSslMode::Preferred);
    Ok((format!("{name}:{port}"), options.enable_cleartext_plugin(is_private)))
}

impl TryFrom<String> for AuditTableUrl {
    type Error = AuditTableUrlError;

    fn try_from(text: String) -> Result<AuditTableUrl, AuditTableUrlError> {
        text.parse()
    }
}

impl AuditTableUrl {
    /// Whether annals connects with TLS alone.
    pub(super) fn requires_tls(&self) -> bool {
        self.servers.iter().any(|(_, options)| {
            !matches!(options.get_ssl_mode(), MySqlSslMode::Disabled | MySqlSslMode::Preferred)
        })
    }

    /// The files of TLS, each with the parameter that names it. sqlx reads them when it connects.
    pub(crate) fn files(&self) -> &[(String, PathBuf)] {
        &self.files
    }

    /// The user of annals in the cluster.
    pub(crate) fn user(&self) -> &str {
        &self.user
    }

    /// Each frontend as `host:port`, with how to connect to it but for the password.
    pub(super) fn servers(&self) -> &[(String, MySqlConnectOptions)] {
        &self.servers
    }
}

impl fmt::Display for AuditTableUrl {
    /// Writes the frontends, without the user and the parameters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.servers.iter().map(|(name, _)| name.as_str()).collect();
        f.write_str(&names.join(","))
    }
}

impl fmt::Debug for AuditTableUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {self}", self.user)
    }
}

/// The name of a table with its database: `database.table`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct TableName {
    pub(super) database: String,
    pub(super) table: String,
}

/// What a text is that names no table.
#[derive(Debug, thiserror::Error)]
#[error(
    "a table is written like __internal_schema.audit_log: letters, digits and _, with its database"
)]
pub(crate) struct NotATable;

impl FromStr for TableName {
    type Err = NotATable;

    fn from_str(text: &str) -> Result<TableName, NotATable> {
        let is_name = |name: &str| {
            !name.is_empty() && name.chars().all(|char| char == '_' || char.is_alphanumeric())
        };
        match text.split_once('.') {
            Some((database, table)) if is_name(database) && is_name(table) => {
                Ok(TableName { database: database.to_string(), table: table.to_string() })
            }
            _ => Err(NotATable),
        }
    }
}

impl TryFrom<String> for TableName {
    type Error = NotATable;

    fn try_from(text: String) -> Result<TableName, NotATable> {
        text.parse()
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.database, self.table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<AuditTableUrl, AuditTableUrlError> {
        text.parse()
    }

    #[test]
    fn an_address_names_the_user_and_every_frontend() {
        let url = parse("mysql://an%40als@fe1:9031,fe2,[::1]:9030/?ssl-mode=VERIFY_CA").unwrap();
        assert_eq!(
            (url.user(), url.to_string().as_str()),
            ("an@als", "fe1:9031,fe2:9030,[::1]:9030")
        );
        let (_, last) = &url.servers()[2];
        assert_eq!((last.get_host(), last.get_port()), ("::1", 9030));
        assert!(matches!(last.get_ssl_mode(), MySqlSslMode::VerifyCa));
        assert_eq!(parse("mysql://fe1").unwrap().user(), "root");
    }

    #[test]
    fn passwords_and_unknown_parameters_are_rejected_and_not_repeated() {
        assert_eq!(parse("mysql://a:secret@fe1").unwrap_err(), AuditTableUrlError::Password);
        for text in
            ["mysql://fe1?sslmode=REQUIRED", "mysql://fe1?socket=/tmp/x", "mysql://fe1?ssl-mode=x"]
        {
            assert_eq!(parse(text).unwrap_err(), AuditTableUrlError::Parameter, "{text}");
        }
        for text in [
            "fe1:9030", "http://fe1:8030", "mysql://", "mysql://fe1,,fe2", "mysql://fe1/db",
            "mysql://fe1:x",
        ] {
            assert_eq!(parse(text).unwrap_err(), AuditTableUrlError::NotAUrl, "{text}");
        }
        assert!(!format!("{:?}", parse("mysql://a@fe1").unwrap()).contains("password"));
    }

    #[test]
    fn a_table_is_a_plain_name() {
        let table: TableName = "__internal_schema.audit_log".parse().unwrap();
        assert_eq!(table.to_string(), "__internal_schema.audit_log");
        for text in ["audit_log", "a.`b`", "a.b;c", "a.", ".b", "a.b.c", "a.b c", "a.b'"] {
            assert!(text.parse::<TableName>().is_err(), "{text}");
        }
    }
}
