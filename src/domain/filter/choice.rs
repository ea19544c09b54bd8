//! The values that the texts of a query may have.

/// The values that one text of a query may have. The default allows any.
#[derive(Debug, Default, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Choice {
    /// The text is one of these; any text or none if this is empty.
    pub any_of: Vec<String>,
    /// The text is none of these. A query whose text is unknown has none of them.
    pub none_of: Vec<String>,
    /// A query whose text is unknown is chosen, beside those with one of `any_of`.
    pub is_unknown: bool,
}

impl Choice {
    /// Returns the choice of one value.
    pub(crate) fn one(value: impl Into<String>) -> Choice {
        Choice { any_of: vec![value.into()], ..Choice::default() }
    }

    /// Returns whether every query is chosen.
    pub(crate) fn is_any(&self) -> bool {
        self.any_of.is_empty() && self.none_of.is_empty() && !self.is_unknown
    }

    /// Returns the value that is the only one to be chosen, if nothing else is said.
    pub(crate) fn only(&self) -> Option<&str> {
        match (&*self.any_of, &*self.none_of, self.is_unknown) {
            ([value], [], false) => Some(value),
            _ => None,
        }
    }

    /// Returns the choice of what both this choice and a list choose.
    pub(super) fn narrowed_to(&self, allowed: &[String]) -> Choice {
        let mut any_of = allowed.to_vec();
        if !self.any_of.is_empty() || self.is_unknown {
            any_of.retain(|value| self.any_of.contains(value));
        }
        if any_of.is_empty() {
            // Nothing is a value and not that value.
            let value = vec![String::new()];
            return Choice { any_of: value.clone(), none_of: value, is_unknown: false };
        }
        Choice { any_of, none_of: self.none_of.clone(), is_unknown: false }
    }

    /// Returns whether a query with this value is chosen; None is an unknown value.
    pub(crate) fn chooses(&self, value: Option<&str>) -> bool {
        let is = |one: &String| value == Some(one);
        let is_free = self.any_of.is_empty() && !self.is_unknown;
        let is_one = self.is_unknown && value.is_none() || self.any_of.iter().any(is);
        (is_free || is_one) && !self.none_of.iter().any(is)
    }
}

/// A text of a query that a filter chooses by its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChosenText {
    User,
    Db,
    /// In any letter case.
    State,
    /// The host of the client, or the host and the port.
    Client,
    Frontend,
    WorkloadGroup,
    ComputeGroup,
    Cluster,
    Catalog,
    /// What a frontend calls the statement: `SELECT`.
    StatementType,
    /// A table that the query reads or the load writes: its name alone, behind its database, or behind its catalog and its
    /// database; behind `=`, the whole name as a list has it.
    Table,
    /// The session of the client, as the frontend numbers or names it.
    Session,
    /// The statement without its values. A filter chooses it by this only where it is unknown.
    Fingerprint,
}

impl ChosenText {
    /// Every text with the name of its parameter.
    pub(crate) const NAMES: [(&str, ChosenText); 13] = [
        ("user", ChosenText::User),
        ("db", ChosenText::Db),
        ("state", ChosenText::State),
        ("client", ChosenText::Client),
        ("frontend", ChosenText::Frontend),
        ("workload_group", ChosenText::WorkloadGroup),
        ("compute_group", ChosenText::ComputeGroup),
        ("cluster", ChosenText::Cluster),
        ("catalog", ChosenText::Catalog),
        ("statement_type", ChosenText::StatementType),
        ("table", ChosenText::Table),
        ("session_id", ChosenText::Session),
        ("fingerprint", ChosenText::Fingerprint),
    ];

    /// Returns the text of a parameter's name.
    pub(crate) fn named(name: &str) -> Option<ChosenText> {
        ChosenText::NAMES.into_iter().find(|(known, _)| *known == name).map(|(_, text)| text)
    }

    /// Returns what `"`, brackets and spaces leave of the name of a table: lists of tables are compared without them.
    pub(crate) fn plain_table(name: &str) -> String {
        name.replace(['"', '[', ']', ' '], "")
    }

    /// Returns the texts of which a list of tables like `,a,b.c,` has one if it names a table.
    pub(crate) fn table_in_list(name: &str) -> Vec<String> {
        let name = ChosenText::plain_table(name);
        match name.strip_prefix('=') {
            Some(whole) => vec![format!(",{whole},")],
            None => vec![format!(",{name},"), format!(".{name},")],
        }
    }

    /// Returns the host of a client, which sources report with its port.
    pub(crate) fn host(client: &str) -> &str {
        match client.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => client,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_narrowed_to_what_a_list_allows() {
        let allowed = ["a".to_string(), "b".to_string()];
        let not_b = Choice { none_of: vec!["b".to_string()], ..Choice::default() };
        let unknown = Choice { is_unknown: true, ..Choice::default() };
        let a_or_unknown = Choice { is_unknown: true, ..Choice::one("a") };
        let values = [Some("a"), Some("b"), None];
        assert_eq!(values.map(|value| unknown.chooses(value)), [false, false, true]);
        assert_eq!(values.map(|value| a_or_unknown.chooses(value)), [true, false, true]);
        assert_eq!(
            (a_or_unknown.only(), a_or_unknown.is_any(), unknown.is_any()),
            (None, false, false)
        );
        let of_c = Choice::one("c");
        for (choice, chosen) in [
            (Choice::default(), [true, true, false, false]),
            (Choice::one("a"), [true, false, false, false]),
            (not_b, [true, false, false, false]),
            (of_c, [false, false, false, false]),
            (unknown, [false, false, false, false]),
            (a_or_unknown, [true, false, false, false]),
        ] {
            let narrowed = choice.narrowed_to(&allowed);
            let values = [Some("a"), Some("b"), Some("c"), None];
            assert_eq!(values.map(|value| narrowed.chooses(value)), chosen, "{choice:?}");
            let none = choice.narrowed_to(&[]);
            assert_eq!(values.map(|value| none.chooses(value)), [false; 4], "{choice:?}");
        }
    }
}
