//! The statements that annals sends to a cluster. `docs/audit-table.md` lists them.
//!
//! Frontends of some versions reject prepared statements, so values stand in the text. They are minutes, which annals
//! writes itself, and names of columns and tables that hold no backquote.

use super::{MinuteRange, TableName};
use crate::domain::exclusion::OWN_MARK;

/// How a minute is written by the server, as by [`crate::domain::time::LocalMinute`].
const MINUTE: &str = "%Y-%m-%d %H:%i";

/// Returns the statement for the zones of the cluster.
pub(super) fn zones() -> String {
    format!("{OWN_MARK} SHOW GLOBAL VARIABLES LIKE '%time_zone'")
}

/// Returns the statement for the columns of a table.
pub(super) fn columns(table: &TableName) -> String {
    format!("{OWN_MARK} DESC {}", quoted(table))
}

/// Returns the statement for the number of rows of each minute.
pub(super) fn minutes(table: &TableName, time: &str, range: MinuteRange) -> String {
    let minute = format!("DATE_FORMAT(`{time}`, '{MINUTE}')");
    format!(
        "{OWN_MARK} SELECT {minute}, COUNT(*) FROM {} WHERE {} GROUP BY {minute}",
        quoted(table),
        within(time, range)
    )
}

/// Returns the statement for the last minute of a range that has rows, and for the number of rows.
pub(super) fn totals(table: &TableName, time: &str, range: MinuteRange) -> String {
    format!(
        "{OWN_MARK} SELECT DATE_FORMAT(MAX(`{time}`), '{MINUTE}'), COUNT(*) FROM {} WHERE {}",
        quoted(table),
        within(time, range)
    )
}

/// Returns the statement for the rows of a range, with some of their columns.
pub(super) fn rows(
    table: &TableName,
    columns: &[String],
    time: &str,
    range: MinuteRange,
) -> String {
    let columns: Vec<String> = columns.iter().map(|name| format!("`{name}`")).collect();
    let columns = columns.join(", ");
    format!("{OWN_MARK} SELECT {columns} FROM {} WHERE {}", quoted(table), within(time, range))
}

fn quoted(table: &TableName) -> String {
    format!("`{}`.`{}`", table.database, table.table)
}

fn within(time: &str, range: MinuteRange) -> String {
    let from = format!("`{time}` >= '{}:00'", range.from);
    match range.before {
        Some(before) => format!("{from} AND `{time}` < '{before}:00'"),
        None => from,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::LocalMinute;

    #[test]
    fn statements_have_the_mark_and_read_ranges_of_minutes() {
        let table: TableName = "__internal_schema.audit_log".parse().unwrap();
        let minute = |text| LocalMinute::parse(text).unwrap();
        let range = MinuteRange {
            from: minute("2024-01-02 11:15"),
            before: Some(minute("2024-01-02 11:20")),
        };
        assert_eq!(
            rows(&table, &["time".to_string(), "stmt".to_string()], "time", range),
            "/* annals */ SELECT `time`, `stmt` FROM `__internal_schema`.`audit_log` \
             WHERE `time` >= '2024-01-02 11:15:00' AND `time` < '2024-01-02 11:20:00'"
        );
        assert_eq!(
            minutes(&table, "time", MinuteRange { before: None, ..range }),
            "/* annals */ SELECT DATE_FORMAT(`time`, '%Y-%m-%d %H:%i'), COUNT(*) \
             FROM `__internal_schema`.`audit_log` WHERE `time` >= '2024-01-02 11:15:00' \
             GROUP BY DATE_FORMAT(`time`, '%Y-%m-%d %H:%i')"
        );
    }
}
