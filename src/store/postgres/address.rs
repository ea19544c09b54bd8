//! Addresses of PostgreSQL.

use std::fmt;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::store::address::AddressError;

/// A parameter of PostgreSQL's own clients that sqlx does not know.
const TARGET: &str = "target_session_attrs";
/// What the servers of an address may be for. annals always writes to the server that accepts writes.
const TARGETS: [&str; 6] =
    ["any", "read-write", "primary", PREFER_REPLICAS, "standby", "read-only"];
/// Reads go to replicas of the same servers.
const PREFER_REPLICAS: &str = "prefer-standby";
/// How long one server may take to answer a new connection, in seconds. A server that is gone without a trace never answers.
const CONNECT_TIMEOUT: &str = "connect_timeout";
const CONNECT_TIME: Duration = Duration::from_secs(3);
/// How long that may be at most. What waits for a connection waits no longer.
const LONGEST_CONNECT_TIME: Duration = Duration::from_secs(10);
/// Parameters of PostgreSQL's own clients that sqlx does not know, with the values that ask for nothing that it lacks.
const WITHOUT_EFFECT: [(&str, &[&str]); 3] = [
    ("channel_binding", &["prefer", "disable"]),
    ("client_encoding", &["UTF8", "utf8", "UTF-8", "utf-8"]),
    ("gssencmode", &["prefer", "disable"]),
];
/// The parameters that sqlx knows, which ignores all others: a misspelt `sslmode` would be no TLS.
const PARAMETERS: [&str; 15] = [
    "sslmode", "sslrootcert", "sslcert", "sslkey", "host", "hostaddr", "port", "dbname", "user",
    "password", "application_name", "options", "statement-cache-capacity", TARGET, CONNECT_TIMEOUT,
];
/// The longest name of an unknown parameter that a message repeats.
const LONGEST_NAME: usize = 40;
/// How far TLS is asked for.
const SSL_MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];
/// The parameters that name files.
const FILES: [&str; 3] = ["sslrootcert", "sslcert", "sslkey"];

/// The address of a history in PostgreSQL: one database, on one server or on several, of which one accepts writes.
#[derive(Clone)]
pub(crate) struct PostgresAddress {
    /// How to connect to each server.
    servers: Vec<PgConnectOptions>,
    /// How to connect to the servers whose replicas answer reads; empty if the server that accepts writes does.
    read_servers: Vec<PgConnectOptions>,
    /// One of [`TARGETS`], if the address has it.
    target: Option<&'static str>,
    connect_time: Duration,
    /// The address without the password and the parameters.
    text: String,
}

impl PostgresAddress {
    /// Reads an address like `postgres://user:password@host1:5432,host2/database?sslmode=verify-full`. The password may also
    /// be in `PGPASSWORD`, or in the file that `PGPASSFILE` names.
    pub(crate) fn parse(url: &str) -> Result<PostgresAddress, AddressError> {
        let (_, rest) = url.split_once("://").ok_or_else(|| wrong("has no ://"))?;
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (user, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (database, parameters) = path.split_once('?').unwrap_or((path, ""));
        let Parameters { target, connect_time, has_authorities, rest } =
            read_parameters(parameters)?;
        let at = if user.is_empty() { "" } else { "@" };
        let servers = hosts.split(',').map(|host| {
            let of_server = match host {
                // A URL has no user without a host. PostgreSQL's own clients find the host elsewhere then: in a parameter, as
                // the folder of a socket, or in `PGHOST`.
                "" => format!("postgres://{database}?{}{rest}", user_parameters(user)),
                host => format!("postgres://{user}{at}{host}{database}?{rest}"),
            };
            // The message of the driver may quote a part of the address, and so the password.
            let options: PgConnectOptions =
                of_server.parse().map_err(|_| wrong("is not a valid URL"))?;
            let options = match options.get_host().strip_prefix('[') {
                // The driver looks for a host with the brackets that a URL has around an IPv6 address.
                Some(host) => options.clone().host(host.trim_end_matches(']')),
                None => options,
            };
            // As PostgreSQL's own clients do: who names authorities wants them to be asked.
            let options = match options.get_ssl_mode() {
                PgSslMode::Require if has_authorities => options.ssl_mode(PgSslMode::VerifyCa),
                _ => options,
            };
            let options = if options.get_application_name().is_some() {
                options
            } else {
                options.application_name("annals")
            };
            // Statements at a length of a second would be logged with their text.
            Ok(options.disable_statement_logging())
        });
        let name = user.split(':').next().unwrap_or_default();
        let servers = servers.collect::<Result<Vec<_>, _>>()?;
        let read_servers =
            if target == Some(PREFER_REPLICAS) { servers.clone() } else { Vec::new() };
        Ok(PostgresAddress {
            servers,
            read_servers,
            target,
            connect_time,
            text: format!("postgres://{name}{at}{hosts}{database}"),
        })
    }

    /// Returns the address of a history whose reads go to the replicas among the servers of another address.
    ///
    /// Errors if one of the addresses asks for other servers.
    pub(crate) fn with_reads_from(self, reads: PostgresAddress) -> Result<Self, AddressError> {
        match reads.target {
            Some(target @ ("primary" | "read-write")) => {
                Err(wrong(&format!("for reads has {TARGET}={target}; leave it out")))
            }
            _ => Ok(PostgresAddress { read_servers: reads.servers, ..self }),
        }
    }

    /// Errors if annals could not write to servers of this kind.
    pub(crate) fn check_target(&self) -> Result<(), AddressError> {
        match self.target {
            Some(target @ ("standby" | "read-only")) => Err(wrong(&format!(
                "has {TARGET}={target}, and annals writes to it; name servers that only answer reads by --db-read"
            ))),
            _ => Ok(()),
        }
    }

    /// Returns how to connect to the servers whose replicas answer reads; none if the server that accepts writes does.
    pub(super) fn read_servers(&self) -> &[PgConnectOptions] {
        &self.read_servers
    }

    /// Returns how long one server may take to answer a new connection.
    pub(super) fn connect_time(&self) -> Duration {
        self.connect_time
    }

    /// Returns how to connect to each server, in the order of the address.
    pub(super) fn servers(&self) -> &[PgConnectOptions] {
        &self.servers
    }
}

/// Returns a user and a password as parameters, which have other signs with a meaning than the part before the host.
fn user_parameters(user: &str) -> String {
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    let parameter = |name: &str, value: &str| match value {
        "" => String::new(),
        value => format!("{name}={}&", value.replace('&', "%26").replace('+', "%2B")),
    };
    parameter("user", name) + &parameter("password", password)
}

fn wrong(what: &str) -> AddressError {
    AddressError(format!("the address of PostgreSQL {what}"))
}

/// The parameters of an address.
struct Parameters {
    /// What the servers are for, one of [`TARGETS`].
    target: Option<&'static str>,
    connect_time: Duration,
    /// Whether authorities are named that sign the certificate of the server.
    has_authorities: bool,
    /// The parameters for sqlx.
    rest: String,
}

fn read_parameters(text: &str) -> Result<Parameters, AddressError> {
    let (mut target, mut connect_time, mut rest) = (None, CONNECT_TIME, Vec::new());
    let mut has_authorities = std::env::var_os("PGSSLROOTCERT").is_some();
    for parameter in text.split('&').filter(|one| !one.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if name == TARGET {
            let known = TARGETS.iter().find(|known| **known == value);
            target = Some(*known.ok_or_else(|| {
                wrong(&format!("has an unknown {TARGET}; it may be {}", TARGETS.join(", ")))
            })?);
            continue;
        }
        if name == CONNECT_TIMEOUT {
            let seconds = value.parse().ok().filter(|seconds| *seconds > 0);
            let time = seconds.map(Duration::from_secs).filter(|it| *it <= LONGEST_CONNECT_TIME);
            connect_time = time.ok_or_else(|| {
                let longest = LONGEST_CONNECT_TIME.as_secs();
                wrong(&format!(
                    "has a {CONNECT_TIMEOUT} that is not a number of seconds up to {longest}"
                ))
            })?;
            continue;
        }
        if let Some((name, values)) = WITHOUT_EFFECT.iter().find(|(known, _)| *known == name) {
            if values.contains(&value) {
                continue;
            }
            return Err(wrong(&format!(
                "has a {name} that annals does not support; it may be {}, or removed",
                values.join(", ")
            )));
        }
        if !PARAMETERS.contains(&name) && !name.starts_with("options[") {
            // The name may be a part of a password with a question mark.
            let is_name =
                name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
            let is_safe = is_name && name.len() <= LONGEST_NAME && !text.contains('@');
            let name = if is_safe { format!(" {name}") } else { String::new() };
            let known = PARAMETERS.into_iter().chain(WITHOUT_EFFECT.map(|(known, _)| known));
            return Err(wrong(&format!(
                "has an unknown parameter{name}; remove it; known are {}",
                known.collect::<Vec<_>>().join(", ")
            )));
        }
        if name == "sslmode" && !SSL_MODES.contains(&value) {
            return Err(wrong(&format!(
                "has an unknown sslmode; it may be {}",
                SSL_MODES.join(", ")
            )));
        }
        if FILES.contains(&name) {
            // The driver's message would not name the file.
            let file = percent_decode_str(value).decode_utf8_lossy();
            std::fs::File::open(&*file).map_err(|error| {
                wrong(&format!("has {name}={file}, which cannot be read: {error}"))
            })?;
        }
        has_authorities |= name == "sslrootcert";
        rest.push(parameter);
    }
    Ok(Parameters { target, connect_time, has_authorities, rest: rest.join("&") })
}

impl fmt::Display for PostgresAddress {
    /// Writes the address without the password and the parameters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for PostgresAddress {
    /// Writes what `Display` does: the options have the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for PostgresAddress {
    fn eq(&self, other: &PostgresAddress) -> bool {
        self.text == other.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_servers_and_never_its_password() {
        let text = "postgresql://ann:s3cret@db1:5433,db2/history?target_session_attrs=read-write&sslmode=require";
        let address = PostgresAddress::parse(text).unwrap();
        assert_eq!(address.to_string(), "postgres://ann@db1:5433,db2/history");
        assert_eq!(format!("{address:?}"), "postgres://ann@db1:5433,db2/history");
        let places: Vec<(&str, u16, Option<&str>)> = address
            .servers()
            .iter()
            .map(|server| (server.get_host(), server.get_port(), server.get_database()))
            .collect();
        let database = Some("history");
        assert_eq!(places, [("db1", 5433, database), ("db2", 5432, database)]);
        for wrong in ["postgres://ann:s3cret@db:port/x", "postgres://ann:s3cret@[::1/x"] {
            let error = PostgresAddress::parse(wrong).unwrap_err().to_string();
            assert!(!error.contains("s3cret"), "{error}");
        }
        let alone = PostgresAddress::parse("postgres://localhost/history").unwrap();
        assert_eq!(alone.to_string(), "postgres://localhost/history");
    }

    #[test]
    fn a_host_may_be_an_ipv6_address_or_a_folder() {
        let server = |text: &str| PostgresAddress::parse(text).unwrap().servers()[0].clone();
        let six = server("postgres://ann@[::1]:5433/history");
        assert_eq!((six.get_host(), six.get_port()), ("::1", 5433));
        assert_eq!(super::super::primary::place(&six), "[::1]:5433");
        for text in [
            "postgres://ann:a%26b+c@/history?host=/run/pg&port=5433",
            "postgres://ann:a%26b+c@%2Frun%2Fpg:5433/history",
        ] {
            let folder = server(text);
            assert_eq!(
                folder.get_socket().map(|it| it.display().to_string()).as_deref(),
                Some("/run/pg"),
                "{text}"
            );
            assert_eq!((folder.get_username(), folder.get_port()), ("ann", 5433), "{text}");
            assert_eq!(folder.get_database(), Some("history"), "{text}");
            assert!(format!("{folder:?}").contains("a&b+c"), "{text}");
        }
    }

    #[test]
    fn reads_go_to_replicas_of_an_address_that_says_so() {
        let address = |target: &str| {
            PostgresAddress::parse(&format!("postgres://a,b/history?{TARGET}={target}"))
        };
        for target in TARGETS {
            let (plain, parsed) = (address("any").unwrap(), address(target).unwrap());
            let read_servers = if target == PREFER_REPLICAS { 2 } else { 0 };
            assert_eq!(parsed.read_servers().len(), read_servers, "{target}");
            let is_writable = !["standby", "read-only"].contains(&target);
            assert_eq!(parsed.check_target().is_ok(), is_writable, "{target}");
            let is_readable = !["primary", "read-write"].contains(&target);
            assert_eq!(plain.with_reads_from(parsed).is_ok(), is_readable, "{target}");
        }
        assert!(address("secondary").unwrap_err().to_string().contains("prefer-standby"));
        for wrong in [
            "postgres://a/b?sslmod=require", "postgres://u:pa?s3cret@host/b",
            "postgres://u:pa?s3cret=1@host/b", "postgres://u@h/b?sslmode=s3cret",
        ] {
            let error = PostgresAddress::parse(wrong).unwrap_err().to_string();
            assert!(error.contains("sslmode") && !error.contains("s3cret"), "{error}");
        }
        for (parameters, name) in
            [("sslmod=verify-full", " sslmod;"), ("sslmode=require&foo=bar", " foo;")]
        {
            let error = PostgresAddress::parse(&format!("postgres://u@h/b?{parameters}"));
            let error = error.unwrap_err().to_string();
            assert!(error.contains(name) && !error.contains("bar"), "{error}");
        }
    }

    #[test]
    fn parameters_of_other_clients_are_kept_or_named() {
        let parsed =
            |parameters: &str| PostgresAddress::parse(&format!("postgres://u@h/b?{parameters}"));
        let harmless = "channel_binding=prefer&gssencmode=disable&client_encoding=utf8";
        assert_eq!(parsed(harmless).unwrap().connect_time(), CONNECT_TIME);
        let longer = parsed("connect_timeout=7&sslmode=require").unwrap();
        assert_eq!(longer.connect_time(), Duration::from_secs(7));
        for wrong in [
            "connect_timeout=0", "connect_timeout=11", "connect_timeout=-1",
            "channel_binding=require", "gssencmode=require",
        ] {
            let error = parsed(wrong).unwrap_err().to_string();
            assert!(error.contains(wrong.split('=').next().unwrap()), "{error}");
        }
        assert!(parsed("sslcrl=x").unwrap_err().to_string().contains("sslcrl; remove it"));
    }

    #[test]
    fn who_names_authorities_has_the_certificate_checked() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mode = |parameters: &str| {
            let address = PostgresAddress::parse(&format!("postgres://u@h/b?{parameters}"));
            address.unwrap().servers()[0].get_ssl_mode()
        };
        let authorities = format!("sslrootcert={}", file.path().display());
        assert!(matches!(mode("sslmode=require"), PgSslMode::Require));
        assert!(matches!(mode(&format!("{authorities}&sslmode=require")), PgSslMode::VerifyCa));
        assert!(matches!(mode(&format!("sslmode=prefer&{authorities}")), PgSslMode::Prefer));
    }
}
