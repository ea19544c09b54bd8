//! Whether the times of a record depend on the zone in which they were read.

/// What is known of the zone of a record's times. A record has one: its start and its end are written alike.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Zoned {
    /// Nothing: an annals before this was noted stored the record.
    #[default]
    Unknown,
    /// The source wrote an instant, as Unix milliseconds or with a zone.
    Instant,
    /// The source wrote local times, which were read just now in the zone of the source.
    Local,
    /// The same, and the store knows source and zone by this number.
    Noted(i64),
}

impl Zoned {
    /// Returns what is known of a time that was just read.
    pub(crate) fn of_read(is_local: bool) -> Zoned {
        if is_local { Zoned::Local } else { Zoned::Instant }
    }

    /// Returns what is known by the number in the store.
    pub(crate) fn of_number(number: Option<i64>) -> Zoned {
        match number {
            None => Zoned::Unknown,
            Some(0) => Zoned::Instant,
            Some(number) => Zoned::Noted(number),
        }
    }

    /// Returns the number in the store.
    pub(crate) fn number(self) -> Option<i64> {
        match self {
            Zoned::Unknown | Zoned::Local => None,
            Zoned::Instant => Some(0),
            Zoned::Noted(number) => Some(number),
        }
    }
}
