//! Rows of values between separators.

use super::{Columns, Entry, RowError};
use crate::domain::time::Zone;
use crate::formats::SkipReason;
use crate::formats::audit_log::MAX_RECORD_BYTES;

/// Reads the rows of a body, as [`super::Format::Csv`] describes them.
pub(super) struct CsvReader<'f> {
    pub columns: Columns,
    pub separator: &'f str,
    pub delimiter: &'f str,
    pub skip_lines: usize,
    pub trim_double_quotes: bool,
}

impl<'f> CsvReader<'f> {
    /// Returns each row of a body with the number of its line.
    pub(super) fn rows<'a>(
        self,
        body: &'a str,
        zone: Zone,
    ) -> impl Iterator<Item = (u64, Result<Entry, RowError>)> + use<'a, 'f>
    where
        'f: 'a,
    {
        let body = body.strip_suffix(self.delimiter).unwrap_or(body);
        let lines = (!body.is_empty()).then(|| body.split(self.delimiter));
        let lines = (1..).zip(lines.into_iter().flatten()).skip(self.skip_lines);
        lines.map(move |(number, line)| (number, self.row(line, zone)))
    }

    fn row(&self, line: &str, zone: Zone) -> Result<Entry, RowError> {
        if line.len() > MAX_RECORD_BYTES {
            return Err(SkipReason::TooLarge.into());
        }
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
        self.columns.row(values, zone)
    }
}

fn without_double_quotes(value: &str) -> &str {
    value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value)
}
