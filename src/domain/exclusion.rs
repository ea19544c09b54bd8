//! Exclusion rules: which queries are not stored, for example the keep-alive statements of tools.

use regex::{Regex, RegexBuilder};
use serde::Deserialize;

use crate::domain::record::QueryRecord;

/// What annals writes before each statement that it sends to a cluster.
pub(crate) const OWN_MARK: &str = "/* annals */";

/// Excludes the queries that any of the rules matches, and the statements that annals itself sends to a cluster.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(transparent)]
pub(crate) struct ExclusionRules(Vec<Rule>);

/// Matches a query that meets all conditions of the rule. An unknown field of a record meets no condition.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Conditions")]
struct Rule(Conditions);

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Conditions {
    user: Option<NamePattern>,
    db: Option<NamePattern>,
    /// Matches the host, or the host and the port.
    client: Option<NamePattern>,
    cluster: Option<NamePattern>,
    statement: Option<StatementPattern>,
    shorter_than_ms: Option<i64>,
}

#[derive(Debug, thiserror::Error)]
#[error("a rule needs at least one of user, db, client, cluster, statement and shorter_than_ms")]
struct EmptyRule;

impl TryFrom<Conditions> for Rule {
    type Error = EmptyRule;

    fn try_from(conditions: Conditions) -> Result<Rule, EmptyRule> {
        let Conditions { user, db, client, cluster, statement, shorter_than_ms } = &conditions;
        let has_name = [user, db, client, cluster].iter().any(|pattern| pattern.is_some());
        // A rule without a condition would exclude all queries.
        if has_name || statement.is_some() || shorter_than_ms.is_some() {
            Ok(Rule(conditions))
        } else {
            Err(EmptyRule)
        }
    }
}

impl ExclusionRules {
    /// Returns whether a record is excluded.
    ///
    /// The duration of a running query is not known, so `shorter_than_ms` excludes the query while it runs. Otherwise
    /// its record would remain in the history as running if the finished query is excluded.
    pub(crate) fn excludes(&self, record: &QueryRecord) -> bool {
        let is_own = record.statement.as_ref().is_some_and(|text| text.starts_with(OWN_MARK));
        is_own || self.0.iter().any(|rule| rule.0.matches(record))
    }
}

impl Conditions {
    fn matches(&self, record: &QueryRecord) -> bool {
        let meets = |pattern: &Option<NamePattern>, value: &Option<String>| match (pattern, value) {
            (None, _) => true,
            (Some(pattern), Some(value)) => pattern.0.is_match(value),
            (Some(_), None) => false,
        };
        let client_meets = match (&self.client, &record.client) {
            (Some(NamePattern(pattern)), Some(client)) => {
                let host = client.rsplit_once(':').map_or(client.as_str(), |(host, _)| host);
                pattern.is_match(host) || pattern.is_match(client)
            }
            (pattern, _) => pattern.is_none(),
        };
        let statement_meets = match (&self.statement, &record.statement) {
            (Some(StatementPattern(pattern)), Some(statement)) => pattern.is_match(statement),
            (pattern, _) => pattern.is_none(),
        };
        let is_short = self.shorter_than_ms.is_none_or(|bound_ms| {
            record.is_running() || record.duration_ms.is_some_and(|ms| ms < bound_ms)
        });
        meets(&self.user, &record.user)
            && meets(&self.db, &record.db)
            && meets(&self.cluster, &record.cluster)
            && client_meets
            && statement_meets
            && is_short
    }
}

/// A pattern for a whole name. `*` stands for any text.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
struct NamePattern(Regex);

impl TryFrom<String> for NamePattern {
    type Error = regex::Error;

    fn try_from(text: String) -> Result<NamePattern, regex::Error> {
        let expression = format!("^{}$", regex::escape(&text).replace(r"\*", ".*"));
        RegexBuilder::new(&expression).dot_matches_new_line(true).build().map(NamePattern)
    }
}

/// A regular expression that may match anywhere in a statement, in any letter case.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
struct StatementPattern(Regex);

impl TryFrom<String> for StatementPattern {
    type Error = regex::Error;

    fn try_from(text: String) -> Result<StatementPattern, regex::Error> {
        let mut builder = RegexBuilder::new(&text);
        builder.case_insensitive(true).dot_matches_new_line(true).build().map(StatementPattern)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::record::{Kind, Origin};

    fn rules(text: &str) -> Result<ExclusionRules, toml::de::Error> {
        #[derive(Deserialize)]
        struct File {
            exclude: ExclusionRules,
        }
        toml::from_str::<File>(text).map(|file| file.exclude)
    }

    fn query(statement: &str) -> QueryRecord {
        let mut record = QueryRecord::new("1-2".parse().unwrap(), Kind::Query, Origin::Audit);
        record.statement = Some(statement.to_string());
        record.user = Some("bi".to_string());
        record.db = Some("shop".to_string());
        record.client = Some("10.0.0.7:5123".to_string());
        record.cluster = Some("test-2".to_string());
        record.state = Some("EOF".to_string());
        record.duration_ms = Some(3);
        record
    }

    #[test]
    fn the_statements_of_annals_are_excluded_without_a_rule() {
        let none = ExclusionRules::default();
        assert!(none.excludes(&query("/* annals */ SELECT 1")));
        assert!(!none.excludes(&query("SELECT 1 /* annals */")));
    }

    #[test]
    fn a_rule_matches_what_meets_all_its_conditions() {
        let keep_alive = rules("[[exclude]]\nuser = 'b*'\nstatement = '^\\s*select 1\\s*;?$'");
        let keep_alive = keep_alive.unwrap();
        assert!(keep_alive.excludes(&query("SELECT 1;")));
        assert!(!keep_alive.excludes(&query("select 1 from t")));
        let mut other = query("select 1");
        other.user = Some("abi".to_string());
        assert!(!keep_alive.excludes(&other));
        other.user = None;
        assert!(!keep_alive.excludes(&other));
    }

    #[test]
    fn each_condition_alone() {
        for (text, excluded) in [
            ("user = 'bi'", true),
            ("user = 'b'", false),
            ("user = 'b.'", false),
            ("db = 'sh*p'", true),
            ("client = '10.0.0.7'", true),
            ("client = '10.0.0.7:5123'", true),
            ("client = '10.0.0.*'", true),
            ("client = '10.0.0'", false),
            ("cluster = 'test*'", true),
            ("cluster = 'prod'", false),
            ("statement = 'FROM\\s+T'", true),
            ("shorter_than_ms = 4", true),
            ("shorter_than_ms = 3", false),
        ] {
            let rules = rules(&format!("[[exclude]]\n{text}")).unwrap();
            assert_eq!(rules.excludes(&query("select *\nfrom\nt")), excluded, "{text}");
        }
        assert!(!ExclusionRules::default().excludes(&query("select 1")));
    }

    #[test]
    fn a_running_query_is_excluded_if_its_duration_matters() {
        let short = rules("[[exclude]]\nshorter_than_ms = 10").unwrap();
        let mut running = query("select 1");
        running.state = Some("RUNNING".to_string());
        running.duration_ms = None;
        assert!(short.excludes(&running));
        running.state = Some("EOF".to_string());
        running.duration_ms = Some(5000);
        assert!(!short.excludes(&running));
    }

    #[test]
    fn rules_without_a_meaning_are_rejected() {
        for (text, sentence) in [
            ("[[exclude]]\n", "at least one of"),
            ("[[exclude]]\nusr = 'a'", "unknown field `usr`"),
            ("[[exclude]]\nstatement = '('", "unclosed group"),
        ] {
            let error = rules(text).unwrap_err().to_string();
            assert!(error.contains(sentence), "{error}");
        }
    }
}
