//! Which statement a report is of, and under which id it is kept.
//!
//! A frontend logs a statement that it cannot parse under the id of the statement before it (apache/doris#53107), so
//! reports of several statements may come with one id.

use super::{Kind, Origin, QueryId, QueryRecord};
use crate::domain::statement;

/// How far apart two reported starts of one statement may be: a list and a profile have them to the second.
const START_TOLERANCE_MS: i64 = 2_000;
/// How much later than the start a guess of the start may be: a frontend holds a record back until the backends have
/// reported what the query cost, and no longer than some minutes.
const ESTIMATE_TOLERANCE_MS: i64 = 15 * 60_000;
/// Time zones differ by multiples of this.
const ZONE_STEP_MS: i64 = 15 * 60_000;
/// No two time zones differ by more.
const ZONE_SPAN_MS: i64 = 26 * 3_600_000;

impl QueryRecord {
    /// Returns whether two reports of one query id are of one statement.
    ///
    /// Statements of one id differ in their number on the connection, in their text or in their start. A field that one
    /// of the reports does not have decides nothing. Two loads of one id are the same, unless they are jobs of two clusters.
    pub(crate) fn is_same_statement(&self, other: &QueryRecord) -> bool {
        if self.is_of_other_cluster(other) && self.query_id.is_number() {
            return false;
        }
        if self.kind == Kind::Load || other.kind == Kind::Load {
            return true;
        }
        if self.statement_id.zip(other.statement_id).is_some_and(|(mine, theirs)| mine != theirs) {
            return false;
        }
        let texts = self.statement.as_deref().zip(other.statement.as_deref());
        let same_text = texts.map(|(mine, theirs)| statement::is_same_statement(mine, theirs));
        let starts_agree = self.start_agrees_with(other, same_text == Some(true));
        let outcomes = self.outcome().zip(other.outcome());
        let outcomes_agree = outcomes.is_none_or(|(mine, theirs)| mine == theirs);
        match same_text {
            // The log may break off within the statement.
            Some(false) if self.has_number_of(other) && starts_agree == Some(true) => texts
                .is_some_and(|(mine, theirs)| mine.starts_with(theirs) || theirs.starts_with(mine)),
            // A frontend writes one text into all audit records of a statement.
            Some(false) if self.origin == Origin::Audit && other.origin == Origin::Audit => false,
            // The audit log hides passwords, so a profile may have another text, but of the same shape.
            Some(false) => outcomes_agree && starts_agree == Some(true) && self.has_shape_of(other),
            None => outcomes_agree && starts_agree != Some(false),
            Some(true) => starts_agree != Some(false),
        }
    }

    fn has_shape_of(&self, other: &QueryRecord) -> bool {
        let shape = |record: &QueryRecord| record.statement.as_deref().map(statement::normalize);
        shape(self) == shape(other)
    }

    /// Returns whether the query failed, or None if it runs or its state is unknown.
    fn outcome(&self) -> Option<bool> {
        let is_known = self.state.is_some() || self.error_code.is_some();
        (is_known && !self.is_running()).then(|| self.is_failed())
    }

    fn has_number_of(&self, other: &QueryRecord) -> bool {
        self.statement_id.is_some() && self.statement_id == other.statement_id
    }

    /// Returns whether the starts of two reports can be those of one statement, or None if a start is unknown. Reports of
    /// the same text may have been read in different time zones.
    fn start_agrees_with(&self, other: &QueryRecord, same_text: bool) -> Option<bool> {
        let (mine, theirs) = self.started_ms.zip(other.started_ms)?;
        let apart = mine.saturating_sub(theirs);
        let tolerated = match (self.is_start_estimated, other.is_start_estimated) {
            (false, false) => apart.abs() <= START_TOLERANCE_MS,
            (true, false) => (-START_TOLERANCE_MS..=ESTIMATE_TOLERANCE_MS).contains(&apart),
            (false, true) => (-ESTIMATE_TOLERANCE_MS..=START_TOLERANCE_MS).contains(&apart),
            // The lines of one statement are written together.
            (true, true) => apart.abs() <= START_TOLERANCE_MS,
        };
        let of_other_zone = || {
            let rest = apart.abs() % ZONE_STEP_MS;
            apart.abs() <= ZONE_SPAN_MS
                && (rest <= START_TOLERANCE_MS || rest >= ZONE_STEP_MS - START_TOLERANCE_MS)
        };
        Some(tolerated || same_text && of_other_zone())
    }

    /// Returns whether the query id that both reports came with belongs to this report, and not to a stored one of another
    /// statement. An id belongs to the statement that ran: the one with a profile, else the one that did not fail, else
    /// the earlier one.
    pub(crate) fn owns_id_before(&self, stored: &QueryRecord, has_profile: bool) -> bool {
        // Each of the two jobs ran.
        if self.is_of_other_cluster(stored) {
            return false;
        }
        let rank = |record: &QueryRecord, has_profile: bool| {
            let start = record.started_ms.unwrap_or(i64::MAX);
            let number = record.statement_id.unwrap_or(i64::MAX);
            (!has_profile, record.is_failed(), start, number)
        };
        // Only a profile, or a list of profiles, gives a summary.
        let mine = rank(self, self.origin == Origin::Summary);
        let theirs = rank(stored, has_profile || stored.origin == Origin::Summary);
        (mine, &self.statement) < (theirs, &stored.statement)
    }

    /// Returns the ids under which a statement is stored, in this order, if its own id belongs to another statement. Each
    /// id but the last is derived from the one before. The last is derived from the report, for an id with which very many
    /// statements came.
    pub(crate) fn alternative_ids(&self) -> impl Iterator<Item = QueryId> + use<> {
        const CHAINED: usize = 8;
        let text = |value: Option<i64>| value.map_or(String::new(), |value| value.to_string());
        let (number, start) = (text(self.statement_id), text(self.started_ms));
        let statement = self.statement.as_deref().unwrap_or_default();
        let own =
            QueryId::derived(&["one of many", self.query_id.as_str(), &number, &start, statement]);
        let next = |id: &QueryId| Some(QueryId::derived(&["another statement", id.as_str()]));
        std::iter::successors(next(&self.query_id), next).take(CHAINED).chain([own])
    }
}
