//! Numbers with their names and units.

use std::fmt;

use serde::Serialize;
use utoipa::ToSchema;

/// The unit of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Unit {
    Rows,
    Bytes,
    /// Nanoseconds.
    Ns,
    /// A factor.
    Times,
    Percent,
    /// A number of things.
    Count,
}

/// A number with its name and its unit. As text it is in the unit that fits: `1.50 s`, `1.5 GB`, `9,000 rows`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub(crate) struct Quantity {
    #[schema(value_type = String)]
    pub name: &'static str,
    pub value: f64,
    pub unit: Unit,
}

impl Quantity {
    pub(super) const fn new(name: &'static str, value: f64, unit: Unit) -> Quantity {
        Quantity { name, value, unit }
    }

    /// Returns whether a number in the unit of this threshold reaches it.
    pub(super) fn is_met(self, value: f64) -> bool {
        value >= self.value
    }
}

/// Returns a number of rows.
pub(super) fn rows(name: &'static str, value: u64) -> Quantity {
    Quantity { name, value: value as f64, unit: Unit::Rows }
}

/// Returns a number of bytes.
pub(super) fn bytes(name: &'static str, value: u64) -> Quantity {
    Quantity { name, value: value as f64, unit: Unit::Bytes }
}

/// Returns a number of bytes as text, in the unit that fits by 1024: `1.5 GB`.
pub(crate) fn size_text(value: u64) -> String {
    bytes("", value).to_string()
}

/// Returns a time in nanoseconds.
pub(super) fn ns(name: &'static str, value: u64) -> Quantity {
    Quantity { name, value: value as f64, unit: Unit::Ns }
}

/// Returns a number of things.
pub(super) fn count(name: &'static str, value: u64) -> Quantity {
    Quantity { name, value: value as f64, unit: Unit::Count }
}

/// Returns a number over another, of which 0 counts as 1.
pub(super) fn ratio(value: u64, over: u64) -> f64 {
    value as f64 / over.max(1) as f64
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value;
        match self.unit {
            Unit::Rows if value == 1.0 => f.write_str("1 row"),
            Unit::Rows => write!(f, "{} rows", grouped(value)),
            Unit::Count => f.write_str(&grouped(value)),
            Unit::Bytes => scaled(f, value, 1024.0, &["B", "KB", "MB", "GB", "TB", "PB"]),
            Unit::Ns if value < 1e6 => write!(f, "{:.1} µs", value / 1e3),
            Unit::Ns if value < 1e9 => write!(f, "{:.0} ms", value / 1e6),
            Unit::Ns => write!(f, "{:.2} s", value / 1e9),
            Unit::Times if value < 100.0 => write!(f, "{} times", rounded(value)),
            Unit::Times => write!(f, "{} times", grouped(value)),
            Unit::Percent => write!(f, "{} %", rounded(value)),
        }
    }
}

/// Returns a number with one digit behind the point, or none if that digit is 0.
fn rounded(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map(str::to_string).unwrap_or(text)
}

/// Returns a whole number with its thousands separated: `1,234,567`.
fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.max(0.0));
    let mut text = String::with_capacity(digits.len() * 4 / 3 + 1);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Writes a number in the largest of the units, each of which is `step` times the one before.
fn scaled(f: &mut fmt::Formatter<'_>, value: f64, step: f64, units: &[&str]) -> fmt::Result {
    let (mut value, mut unit) = (value, 0);
    while value >= step && unit + 1 < units.len() {
        value /= step;
        unit += 1;
    }
    write!(f, "{} {}", rounded(value), units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_in_the_unit_that_fits() {
        for (value, unit, text) in [
            (9e6, Unit::Rows, "9,000,000 rows"),
            (1.0, Unit::Rows, "1 row"),
            (0.0, Unit::Rows, "0 rows"),
            (999.0, Unit::Count, "999"),
            (1.5 * 1024.0 * 1024.0 * 1024.0, Unit::Bytes, "1.5 GB"),
            (0.0, Unit::Bytes, "0 B"),
            (1_500.0, Unit::Ns, "1.5 µs"),
            (2e8, Unit::Ns, "200 ms"),
            (1.5e9, Unit::Ns, "1.50 s"),
            (3.25, Unit::Times, "3.2 times"),
            (12_345.0, Unit::Times, "12,345 times"),
            (45.0, Unit::Percent, "45 %"),
        ] {
            assert_eq!(Quantity::new("", value, unit).to_string(), text);
        }
    }
}
