//! Profiles: the text that a frontend writes about the execution of one query.
//!
//! The text is indented by two spaces a level. `Name:` opens a section, `- Key: value` is an entry of a section. The
//! summary at its head says which query the profile is of. Up to Doris 2.0 the whole text is below `Query:`, later it
//! starts with `Summary:`.
//!
//! - [`text`] finds where a profile begins and gives its lines as the frontend wrote them.
//! - [`tree`] reads the lines into sections and counters.
//! - [`summary`] reads the head into a query record.
//! - [`phases`] reads where the time went outside of the execution.
//! - [`operators`](mod@operators) reads the operators of the plan.
//! - [`plan`] joins the operators of all fragments into the nodes of one plan, and compares two plans.
//! - [`findings`](mod@findings) finds in a plan what is worth a look.
//! - [`flame_graph`] stacks the operators for a flame graph.
//! - [`dialects`] has what the engines and their versions write differently.

mod dialects;
mod findings;
mod flame_graph;
mod operators;
mod phases;
mod plan;
mod summary;
#[cfg(test)]
mod tests;
mod text;
mod tree;

use std::borrow::Cow;

use self::summary::Summary;
use crate::domain::record::{QueryIdError, QueryRecord};
use crate::domain::time::Zone;

pub(crate) use findings::{
    Finding, FindingsOverview, FindingsReport, FoundRun, FoundStatement, RuleOverview, findings,
    meaning_of, size_text,
};
pub(crate) use flame_graph::flame_stacks;
pub(crate) use operators::{Operator, operators, walk};
pub(crate) use phases::{Phase, Phases, RecordedTimes};
pub(crate) use plan::{
    InvalidPlanFingerprint, Node, NodeDifference, Plan, PlanChange, PlanFingerprint, PlanReport,
    PlanRun, PlanStatistics, PlanSummary, ProfiledRun, ProfiledStatement, ProfiledStatements,
    ReportedNode, StatementPlans, Usual, UsualNode, compare,
};
pub(crate) use tree::Section;

/// A profile with the record that its summary gives.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Profile {
    pub summary: QueryRecord,
    /// The text as it arrived. It need not be UTF-8.
    pub text: Vec<u8>,
}

/// Why a text is not accepted as a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub(crate) enum ProfileError {
    #[error("this is not a profile: it must begin with 'Summary:', 'Query:' or 'Load:'")]
    NotAProfile,
    #[error("the summary has no usable 'Profile ID' or 'Query ID': {0}")]
    QueryId(#[from] QueryIdError),
}

impl Profile {
    /// Returns the byte offset at which a profile begins, given the first bytes of a text; None if no profile begins
    /// there.
    ///
    /// A profile begins with `Query:`, `Load:` or `Summary:` and a summary below it, indented or not, and also within a
    /// client's table (`| `) or a quotation (`> `). Up to 64 lines may precede: headings, notes, a code fence, the
    /// border of a table. [`Profile::parse`] reads the text from the offset on, and ignores a fence or border behind
    /// the profile.
    pub(crate) fn find_start(head: &[u8]) -> Option<usize> {
        text::find_start(head)
    }

    /// Returns whether a text is a profile with nothing before it, given the first bytes of the text.
    pub(crate) fn sniff(head: &[u8]) -> bool {
        let is_blank = |before: &[u8]| text::trim(&String::from_utf8_lossy(before)).is_empty();
        Profile::find_start(head).is_some_and(|start| is_blank(&head[..start]))
    }

    /// Reads the summary, whose times are local to `zone`, and keeps the text. A text copied from a frontend's page, in
    /// which every space is doubled, is a profile as well.
    pub(crate) fn parse(text: Vec<u8>, zone: Zone) -> Result<Profile, ProfileError> {
        Ok(Profile { summary: Profile::summary_of(&text, zone)?, text })
    }

    /// Reads the summary alone.
    pub(crate) fn summary_of(text: &[u8], zone: Zone) -> Result<QueryRecord, ProfileError> {
        if Profile::find_start(text).is_none() {
            return Err(ProfileError::NotAProfile);
        }
        Ok(Summary::read(&lossy(text)).into_record(zone)?)
    }

    /// Returns whether a new profile of `text_bytes` bytes should replace the `stored` profile of the same query:
    /// a profile of a finished query replaces one of a running query, and then the longer one replaces the shorter.
    pub(crate) fn should_replace(is_running: bool, text_bytes: usize, stored: &[u8]) -> bool {
        (!is_running, text_bytes) > (!Profile::is_running(stored), stored.len())
    }

    /// Returns whether a text is the profile of a running query.
    pub(crate) fn is_running(text: &[u8]) -> bool {
        let text = lossy(text);
        let summary = Summary::read(&text);
        summary.state().is_some_and(|state| state.eq_ignore_ascii_case("RUNNING"))
    }
}

/// Replaces bytes that are not UTF-8 by U+FFFD. Nearly all profiles are UTF-8, which `from_utf8` checks faster than
/// `from_utf8_lossy`.
pub(crate) fn lossy(text: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(text).map_or_else(|_| String::from_utf8_lossy(text), Cow::Borrowed)
}
