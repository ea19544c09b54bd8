//! Addresses of PostgreSQL.

use std::fmt;

use percent_encoding::percent_decode_str;
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;

use crate::store::address::AddressError;

/// A parameter of PostgreSQL's own clients that sqlx does not know.
const TARGET: &str = "target_session_attrs";
/// What the servers of an address may be for. annals always writes to the server that accepts writes.
const TARGETS: [&str; 6] =
    ["any", "read-write", "primary", PREFER_REPLICAS, "standby", "read-only"];
/// Reads go to replicas of the same servers.
const PREFER_REPLICAS: &str = "prefer-standby";
/// The parameters that sqlx knows, which ignores all others: a misspelt `sslmode` would be no TLS.
const PARAMETERS: [&str; 14] = [
    "sslmode", "sslrootcert", "sslcert", "sslkey", "host", "hostaddr", "port", "dbname", "user",
    "password", "application_name", "options", "statement-cache-capacity", TARGET,
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
        let (target, parameters) = read_parameters(parameters)?;
        let at = if user.is_empty() { "" } else { "@" };
        let servers = hosts.split(',').map(|host| {
            let of_server = format!("postgres://{user}{at}{host}{database}?{parameters}");
            // The message of the driver may quote a part of the address, and so the password.
            let options: PgConnectOptions =
                of_server.parse().map_err(|_| wrong("is not a valid URL"))?;
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

    /// Returns how to connect to each server, in the order of the address.
    pub(super) fn servers(&self) -> &[PgConnectOptions] {
        &self.servers
    }
}

fn wrong(what: &str) -> AddressError {
    AddressError(format!("the address of PostgreSQL {what}"))
}

/// Returns what the servers are for, and the parameters for sqlx.
fn read_parameters(text: &str) -> Result<(Option<&'static str>, String), AddressError> {
    let (mut target, mut rest) = (None, Vec::new());
    for parameter in text.split('&').filter(|one| !one.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if name == TARGET {
            let known = TARGETS.iter().find(|known| **known == value);
            target = Some(*known.ok_or_else(|| {
                wrong(&format!("has an unknown {TARGET}; it may be {}", TARGETS.join(", ")))
            })?);
            continue;
        }
        if !PARAMETERS.contains(&name) && !name.starts_with("options[") {
            // The name may be a part of a password with a question mark.
            let is_name =
                name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
            let is_safe = is_name && name.len() <= LONGEST_NAME && !text.contains('@');
            let name = if is_safe { format!(" {name}") } else { String::new() };
            return Err(wrong(&format!(
                "has an unknown parameter{name}; known are {}",
                PARAMETERS.join(", ")
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
        rest.push(parameter);
    }
    Ok((target, rest.join("&")))
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
}
