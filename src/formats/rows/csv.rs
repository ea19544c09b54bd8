//! Rows of values between separators.

use super::{Columns, Entry, RowError};
use crate::domain::time::Zone;

/// Reads the rows of a body, as [`super::Format::Csv`] describes them.
pub(super) struct CsvReader<'f> {
    pub columns: Columns,
    pub separator: &'f str,
    pub delimiter: &'f str,
    pub skip_lines: usize,
    pub trim_double_quotes: bool,
}

impl CsvReader<'_> {
    /// Calls `emit` with each row and the number of its line.
    pub(super) fn read(
        &self,
        body: &str,
        zone: Zone,
        emit: &mut impl FnMut(u64, Result<Entry, RowError>),
    ) {
        let body = body.strip_suffix(self.delimiter).unwrap_or(body);
        if body.is_empty() {
            return;
        }
        for (number, line) in (1..).zip(body.split(self.delimiter)).skip(self.skip_lines) {
            // On Windows a line ends with CR and LF.
            let line = match self.delimiter {
                "\n" => line.strip_suffix('\r').unwrap_or(line),
                _ => line,
            };
            let values = line.split(self.separator).map(|value| {
                let value = match self.trim_double_quotes {
                    true => without_double_quotes(value),
                    false => value,
                };
                (value != "\\N").then_some(value)
            });
            emit(number, self.columns.row(values, zone));
        }
    }
}

fn without_double_quotes(value: &str) -> &str {
    value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value)
}
