//! Addresses of PostgreSQL.

use std::fmt;

use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;

use crate::store::address::AddressError;

/// A parameter of PostgreSQL's own clients that sqlx does not know. annals always writes to the server that accepts writes.
const TARGET: &str = "target_session_attrs";

/// The address of a history in PostgreSQL: one database, on one server or on several, of which one accepts writes.
#[derive(Clone)]
pub(crate) struct PostgresAddress {
    /// How to connect to each server.
    servers: Vec<PgConnectOptions>,
    /// The address without the password and the parameters.
    text: String,
}

impl PostgresAddress {
    /// Reads an address like `postgres://user:password@host1:5432,host2/database?sslmode=verify-full`. The password may also
    /// be in `PGPASSWORD`, or in the file that `PGPASSFILE` names.
    pub(crate) fn parse(url: &str) -> Result<PostgresAddress, AddressError> {
        let wrong = |what: &str| AddressError(format!("the address of PostgreSQL {what}"));
        let (_, rest) = url.split_once("://").ok_or_else(|| wrong("has no ://"))?;
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (user, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (database, parameters) = path.split_once('?').unwrap_or((path, ""));
        let parameters: Vec<&str> = parameters
            .split('&')
            .filter(|one| !one.is_empty() && one.split('=').next() != Some(TARGET))
            .collect();
        let (at, parameters) = (if user.is_empty() { "" } else { "@" }, parameters.join("&"));
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
        Ok(PostgresAddress {
            servers: servers.collect::<Result<_, _>>()?,
            text: format!("postgres://{name}{at}{hosts}{database}"),
        })
    }

    /// Returns how to connect to each server, in the order of the address.
    pub(super) fn servers(&self) -> &[PgConnectOptions] {
        &self.servers
    }
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
}
