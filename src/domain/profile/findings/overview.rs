//! Which findings the runs of a period had.

use std::cmp::Reverse;
use std::collections::HashMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::statement::Fingerprint;
use crate::domain::statistics::KnownSum;

/// Statements of a rule that are named, those whose runs took longest.
const NAMED_STATEMENTS: usize = 5;

/// A run in whose profile a rule found something.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FoundRun {
    pub query_id: String,
    /// The statement; none if the query has no text.
    pub fingerprint: Option<Fingerprint>,
    pub duration_ms: Option<i64>,
    /// The rules, as the store has them: a JSON array of their ids.
    pub findings: String,
}

/// What the rules found in the profiles of a period.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct FindingsOverview {
    /// The rules that found something, the one whose runs took longest together first.
    pub rules: Vec<RuleOverview>,
    /// Runs with a finding.
    pub runs: usize,
    /// Whether there are more runs, whose profiles arrived earlier.
    pub is_cut: bool,
    /// Profiles of any time that annals has stored and not read yet. Their findings are missing.
    pub unread_profiles: i64,
}

/// The runs in which a rule found something.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct RuleOverview {
    /// The id of the rule.
    pub rule: String,
    /// Number of runs.
    pub runs: usize,
    /// The sum of their known durations; none if no run has one.
    pub total_ms: Option<i64>,
    /// The statements whose runs took longest together, at most five.
    pub statements: Vec<FoundStatement>,
}

/// The runs of one statement in which a rule found something.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct FoundStatement {
    /// 16 hex digits.
    #[schema(value_type = String, pattern = "^[0-9a-f]{16}$")]
    pub fingerprint: Fingerprint,
    /// The statement without its values, its first 64 KiB.
    pub normalized: String,
    /// Number of runs.
    pub runs: usize,
    /// The sum of their known durations; none if no run has one.
    pub total_ms: Option<i64>,
    /// The id of the run whose profile arrived last.
    pub newest_query_id: String,
}

/// The runs of a rule, and of each of its statements with the position of the newest run.
#[derive(Default)]
struct OneRule {
    runs: usize,
    total_ms: KnownSum,
    statements: HashMap<Fingerprint, (usize, KnownSum, usize)>,
}

impl FindingsOverview {
    /// Returns what runs had, the newest first. `is_cut` says whether there are more runs.
    pub(crate) fn of(runs: &[FoundRun], is_cut: bool) -> FindingsOverview {
        let mut rules: HashMap<String, OneRule> = HashMap::new();
        for (position, run) in runs.iter().enumerate() {
            // Whatever else somebody wrote into the column counts as nothing.
            let ids: Vec<String> = serde_json::from_str(&run.findings).unwrap_or_default();
            for id in ids {
                let rule = rules.entry(id).or_default();
                rule.runs += 1;
                rule.total_ms.add(run.duration_ms);
                if let Some(fingerprint) = run.fingerprint {
                    let newest = (0, KnownSum::default(), position);
                    let (runs, total_ms, _) = rule.statements.entry(fingerprint).or_insert(newest);
                    *runs += 1;
                    total_ms.add(run.duration_ms);
                }
            }
        }
        let mut rules: Vec<_> =
            rules.into_iter().map(|(id, rule)| rule.overview(id, runs)).collect();
        rules.sort_by(|a, b| b.total_ms.cmp(&a.total_ms).then_with(|| a.rule.cmp(&b.rule)));
        FindingsOverview { rules, runs: runs.len(), is_cut, unread_profiles: 0 }
    }
}

impl OneRule {
    fn overview(self, rule: String, runs: &[FoundRun]) -> RuleOverview {
        let statements = self.statements.into_iter();
        let statements =
            statements.map(|(fingerprint, (count, total_ms, newest))| FoundStatement {
                fingerprint,
                normalized: String::new(),
                runs: count,
                total_ms: total_ms.bounded(),
                newest_query_id: runs
                    .get(newest)
                    .map(|run| run.query_id.clone())
                    .unwrap_or_default(),
            });
        let mut statements: Vec<_> = statements.collect();
        statements.sort_by_key(|one| (Reverse(one.total_ms), one.fingerprint.to_signed()));
        statements.truncate(NAMED_STATEMENTS);
        RuleOverview { rule, runs: self.runs, total_ms: self.total_ms.bounded(), statements }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_whose_runs_took_longest_comes_first() {
        let run = |id: &str, statement: i64, ms: i64, findings: &str| FoundRun {
            query_id: id.to_string(),
            fingerprint: Some(Fingerprint::from_signed(statement)),
            duration_ms: Some(ms),
            findings: findings.to_string(),
        };
        let runs = [
            run("3-1", 1, 10, r#"["spill"]"#),
            run("2-1", 2, 500, r#"["skewed-instances","spill"]"#),
            run("1-1", 1, 20, r#"["spill"]"#),
            run("0-1", 1, 20, "no JSON"),
        ];
        let overview = FindingsOverview::of(&runs, false);
        let rules: Vec<_> =
            overview.rules.iter().map(|it| (&*it.rule, it.runs, it.total_ms)).collect();
        assert_eq!(rules, [("spill", 3, Some(530)), ("skewed-instances", 1, Some(500))]);
        let statements = overview.rules[0].statements.iter();
        let statements: Vec<_> = statements
            .map(|it| (it.fingerprint.to_signed(), it.runs, it.total_ms, &*it.newest_query_id))
            .collect();
        assert_eq!(statements, [(2, 1, Some(500), "2-1"), (1, 2, Some(30), "3-1")]);
    }

    #[test]
    fn the_total_of_unknown_durations_is_unknown() {
        let run = FoundRun {
            query_id: "1-1".to_string(),
            fingerprint: None,
            duration_ms: None,
            findings: r#"["spill"]"#.to_string(),
        };
        assert_eq!(FindingsOverview::of(&[run], false).rules[0].total_ms, None);
    }
}
