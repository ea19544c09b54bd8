//! The columns of an audit table, and what its rows say.

use chrono::NaiveDateTime;
use xxhash_rust::xxh3::Xxh3;

use super::{AuditTableError, TableName};
use crate::domain::time::{LocalMinute, Zone, leading_local_time};
use crate::formats::SkipReason;
use crate::formats::audit_log::MAX_RECORD_BYTES;
use crate::formats::record_builder::Key;
use crate::formats::rows::{Columns, Entry, RowError};

/// The tables that are tried in this order: of Doris 2.1 and later, of StarRocks' AuditLoader, and of the AuditLoader of
/// older Doris, which called it by two names.
pub(super) const KNOWN_TABLES: [&str; 4] = [
    "__internal_schema.audit_log",
    "starrocks_audit_db__.starrocks_audit_tbl__",
    "doris_audit_db__.doris_audit_log_tbl__",
    "doris_audit_db__.doris_audit_tbl__",
];

/// How many rows the table has in a minute.
pub(crate) type MinuteCount = (LocalMinute, u64);

/// A table of a cluster, with its columns.
#[derive(Debug, Clone)]
pub(crate) struct AuditTable {
    pub(super) name: TableName,
    /// The names of the columns; the time is the first.
    pub(super) names: Vec<String>,
    columns: Columns,
    /// The zone of its times.
    pub(crate) zone: Zone,
}

/// A row of the table.
#[derive(Debug)]
pub(crate) struct AuditRow {
    /// The time of the row, in the table's zone.
    pub time: NaiveDateTime,
    /// A hash of all values.
    pub hash: u128,
    values: Vec<Option<String>>,
}

impl AuditTable {
    /// Returns a table with these columns, each a name and a type. Columns whose name has a backquote or a control character
    /// are not read.
    ///
    /// Errors if no column is the time.
    pub(super) fn new(
        name: TableName,
        columns: Vec<(String, String)>,
        zone: Zone,
    ) -> Result<AuditTable, AuditTableError> {
        let is_time = |(name, type_name): &(String, String)| {
            let type_name = type_name.to_ascii_lowercase();
            let has_time = type_name.starts_with("datetime") || type_name.starts_with("timestamp");
            Key::of_column(name) == Key::Timestamp && has_time
        };
        let time = columns.iter().position(is_time);
        let time = time.ok_or_else(|| AuditTableError::NoTimeColumn(name.to_string()))?;
        let mut names: Vec<String> = columns.into_iter().map(|(name, _)| name).collect();
        // A first value of 16 MiB would look like the end of the rows.
        names.swap(0, time);
        names.retain(|name| !name.contains(|char: char| char == '`' || char.is_control()));
        let columns = Columns::new(names.clone());
        Ok(AuditTable { name, names, columns, zone })
    }

    /// The name of the column that has the time.
    pub(super) fn time(&self) -> &str {
        self.names.first().map_or("time", String::as_str)
    }

    /// The name of the table.
    pub(crate) fn name(&self) -> &TableName {
        &self.name
    }

    /// Returns a row of these values, or None if the first is no time.
    pub(super) fn row(&self, values: Vec<Option<String>>) -> Option<AuditRow> {
        let (time, _) = leading_local_time(values.first()?.as_deref()?.as_bytes())?;
        let mut hash = Xxh3::new();
        for value in &values {
            match value {
                Some(value) => {
                    hash.update(&(value.len() as u64).to_le_bytes());
                    hash.update(value.as_bytes());
                }
                None => hash.update(&u64::MAX.to_le_bytes()),
            }
        }
        Some(AuditRow { time, hash: hash.digest128(), values })
    }

    /// Returns the query or the log-in of a row. Errors if the row makes none.
    pub(crate) fn entry(&self, row: &AuditRow) -> Result<Entry, SkipReason> {
        let bytes: usize = row.values.iter().flatten().map(String::len).sum();
        if bytes > MAX_RECORD_BYTES {
            return Err(SkipReason::TooLarge);
        }
        let values = row.values.iter().map(Option::as_deref);
        self.columns.row(values, self.zone).map_err(|error| match error {
            RowError::Record(reason) => reason,
            _ => SkipReason::BadRow,
        })
    }
}

impl AuditRow {
    /// The minute of the row, in the table's zone.
    pub(crate) fn minute(&self) -> LocalMinute {
        LocalMinute::of(self.time)
    }
}

/// Returns the zone of a table's times from what the cluster says of its zones, each a variable and its value.
///
/// Doris writes the times in the zone `time_zone`, StarRocks' loader in `system_time_zone`. They are the same unless a person
/// has set another `time_zone`. Errors with an offset that no zone has all year: another zone would make times wrong.
pub(super) fn zone_of(
    variables: &[(String, String)],
    table: &TableName,
) -> Result<Option<Zone>, AuditTableError> {
    let order = match table.database.starts_with("starrocks") {
        true => ["system_time_zone", "time_zone"],
        false => ["time_zone", "system_time_zone"],
    };
    for name in order {
        let found = variables.iter().find(|(variable, _)| variable.eq_ignore_ascii_case(name));
        let Some((_, value)) = found else { continue };
        if let Some(zone) = zone_named(value) {
            return Ok(Some(zone));
        }
        if value.starts_with(['+', '-']) {
            return Err(AuditTableError::Offset(value.clone()));
        }
    }
    Ok(None)
}

/// Returns what a person reads of a zone: the names of zones of a fixed offset have the opposite sign.
pub(crate) fn zone_label(zone: Zone) -> String {
    let name = zone.to_string();
    match name.strip_prefix("Etc/GMT").and_then(|offset| offset.split_at_checked(1)) {
        Some(("-", hours)) => format!("+{hours:0>2}:00"),
        Some(("+", hours)) => format!("-{hours:0>2}:00"),
        _ => name,
    }
}

/// Returns the zone of a name that a frontend writes, or None if it names none.
fn zone_named(name: &str) -> Option<Zone> {
    let name = match name.trim() {
        // Frontends are of China, and call its zone so.
        "CST" => "Asia/Shanghai",
        "Z" => "UTC",
        name => name,
    };
    if let Ok(zone) = name.parse() {
        return Some(zone);
    }
    // The names of the zones of a fixed offset have the opposite sign.
    let (sign, offset) = match name.split_at_checked(1)? {
        ("+", offset) => ("-", offset),
        ("-", offset) => ("+", offset),
        _ => return None,
    };
    let (hours, minutes) = offset.split_once(':')?;
    let hours: u8 = hours.parse().ok()?;
    match (hours, minutes) {
        (0, "00") => Some(Zone::UTC),
        (hours, "00") => format!("Etc/GMT{sign}{hours}").parse().ok(),
        // Zones that have had no other offset since clusters exist.
        (4, "30") if sign == "-" => "Asia/Kabul".parse().ok(),
        (5, "30") if sign == "-" => "Asia/Kolkata".parse().ok(),
        (5, "45") if sign == "-" => "Asia/Kathmandu".parse().ok(),
        (6, "30") if sign == "-" => "Asia/Yangon".parse().ok(),
        (9, "30") if sign == "-" => "Australia/Darwin".parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(columns: &[(&str, &str)]) -> Result<AuditTable, AuditTableError> {
        let columns =
            columns.iter().map(|(name, kind)| (name.to_string(), kind.to_string())).collect();
        AuditTable::new("a.b".parse().unwrap(), columns, Zone::UTC)
    }

    fn values(texts: &[Option<&str>]) -> Vec<Option<String>> {
        texts.iter().map(|text| text.map(str::to_string)).collect()
    }

    #[test]
    fn columns_go_by_their_names_and_unknown_ones_are_kept() {
        let table = table(&[
            ("queryId", "varchar(64)"),
            ("timestamp", "datetime"),
            ("stmt", "varchar(1048576)"),
            ("queryTime", "bigint"),
            ("newThing", "int"),
            ("od`d", "int"),
        ]);
        let table = table.unwrap();
        assert_eq!(table.names, ["timestamp", "queryId", "stmt", "queryTime", "newThing"]);
        let row = values(&[
            Some("2024-01-02 11:15:51"),
            Some("0191-aa"),
            Some("select 1"),
            None,
            Some("7"),
        ]);
        let row = table.row(row).unwrap();
        assert_eq!(row.minute().to_string(), "2024-01-02 11:15");
        let Ok(Entry::Record(record)) = table.entry(&row) else { panic!("{row:?}") };
        assert_eq!(record.started_ms, Some(1_704_194_151_000));
        assert_eq!((record.query_id.as_str(), record.duration_ms), ("0191-aa", None));
        assert_eq!(record.extra.get("newThing").map(String::as_str), Some("7"));
    }

    #[test]
    fn rows_with_other_values_have_other_hashes() {
        let table = table(&[("time", "datetime(3)"), ("user", "text"), ("db", "text")]).unwrap();
        let hash = |user, db| {
            table.row(values(&[Some("2024-01-02 11:15:51.248"), user, db])).unwrap().hash
        };
        assert_eq!(hash(Some("a"), None), hash(Some("a"), None));
        let rows = [
            hash(Some("ab"), Some("")),
            hash(Some("a"), Some("b")),
            hash(Some("ab"), None),
            hash(None, Some("ab")),
        ];
        for (at, row) in rows.iter().enumerate() {
            assert!(!rows[at + 1..].contains(row));
        }
    }

    #[test]
    fn a_table_without_a_time_is_no_audit_table() {
        for columns in [&[("query_id", "text")][..], &[("time", "bigint")]] {
            assert!(matches!(table(columns), Err(AuditTableError::NoTimeColumn(_))));
        }
    }

    #[test]
    fn the_zone_is_the_one_in_which_the_loader_writes() {
        let variables = |global: &str, system: &str| {
            [("time_zone", global), ("system_time_zone", system)]
                .map(|(name, value)| (name.to_string(), value.to_string()))
        };
        let doris: TableName = "__internal_schema.audit_log".parse().unwrap();
        let starrocks: TableName = "starrocks_audit_db__.starrocks_audit_tbl__".parse().unwrap();
        let zone = |variables: [(String, String); 2], table| {
            zone_of(&variables, table).unwrap().map(zone_label)
        };
        let both = || variables("Europe/Berlin", "Asia/Shanghai");
        assert_eq!(zone(both(), &doris).as_deref(), Some("Europe/Berlin"));
        assert_eq!(zone(both(), &starrocks).as_deref(), Some("Asia/Shanghai"));
        for (global, name) in [
            ("CST", "Asia/Shanghai"),
            ("+08:00", "+08:00"),
            ("-05:00", "-05:00"),
            ("+00:00", "UTC"),
            ("SYSTEM", "UTC"),
            ("+05:45", "Asia/Kathmandu"),
        ] {
            assert_eq!(zone(variables(global, "UTC"), &doris).as_deref(), Some(name), "{global}");
        }
        assert_eq!(zone(variables("SYSTEM", "nowhere"), &doris), None);
        let error = zone_of(&variables("+03:30", "UTC"), &doris).unwrap_err();
        assert!(error.to_string().contains("+03:30"), "{error}");
    }
}
