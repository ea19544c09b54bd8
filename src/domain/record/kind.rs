use std::fmt;

/// Whether a record is of a statement or of a load. Doris calls this the task type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Query,
    /// A load job, a stream load, or a statement whose profile calls it a load.
    Load,
}

impl Kind {
    /// Returns the name in the store and in JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Query => "query",
            Kind::Load => "load",
        }
    }

    /// Returns what several are called.
    pub(crate) fn plural(self) -> &'static str {
        match self {
            Kind::Query => "queries",
            Kind::Load => "loads",
        }
    }

    /// Returns the kind of a name, in any letter case. Every name but `load` is a query's.
    pub(crate) fn of_name(name: &str) -> Kind {
        if name.eq_ignore_ascii_case("load") { Kind::Load } else { Kind::Query }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where a record comes from. Merging prefers the later one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Origin {
    /// The summary of a profile, or a list of profiles: times to the second, durations rounded.
    Summary,
    /// An audit record: everything, to the millisecond.
    Audit,
}

impl Origin {
    /// Returns the name in the store and in JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Origin::Summary => "summary",
            Origin::Audit => "audit",
        }
    }

    /// Returns the origin of a stored name.
    pub(crate) fn of_name(name: &str) -> Origin {
        if name == "audit" { Origin::Audit } else { Origin::Summary }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
