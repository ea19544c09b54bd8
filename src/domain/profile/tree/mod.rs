//! The tree that the indentation of a profile's text describes: fragments, pipelines, operators, and their counters.
//!
//! - [`parser`] builds the tree from the lines of the text.
//! - [`headings`] recognizes the lines that open sections or begin entries.
//! - [`fragments`] lists the fragments of a plan with their times.
//! - [`render`] draws the tree as text.
//! - [`brief`] is the short form of the tree that Doris answers.

mod brief;
mod fragments;
mod headings;
mod parser;
mod render;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde::Serialize;
use utoipa::ToSchema;

use self::headings::fragment_id;
pub(super) use self::headings::is_merged;
use super::dialects;

/// The most sections, counters and lines of a tree. What a text has beyond them is not read. A profile of 60 MB has about
/// a million; two million take at most 400 MB of memory, whatever the text is.
pub(super) const MAX_ENTRIES: usize = 2_000_000;

/// The depth of the tree. Sections that a text nests deeper are siblings at this depth, because the tree is walked by
/// recursion. No plan is that deep.
const MAX_DEPTH: usize = 256;

/// A section of a profile, `Name:`, `NAME (id=3):` or `NAME (id=3):(ExecTime: 12.3ms, ...)`, with all that is indented
/// below it. It borrows from the text, unless a line of the text is not as the frontend wrote it.
#[derive(Debug, Default, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Section<'t> {
    /// The text before the colon.
    pub name: Cow<'t, str>,
    /// The text in parentheses behind the colon. Older versions write times there.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub detail: Cow<'t, str>,
    /// The `- Key: value` lines of the section.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub counters: Vec<Counter<'t>>,
    /// The lines that are neither counters nor sections, for example a plan.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<Cow<'t, str>>,
    /// The sections within this one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(no_recursion)]
    pub children: Vec<Section<'t>>,
    /// True on the root of a tree that has the most entries of a tree, and not all of the text.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_cut: bool,
}

/// A `- Key: value` line, with the lines indented below it.
#[derive(Debug, Default, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Counter<'t> {
    /// The key.
    pub name: Cow<'t, str>,
    /// The value as the text has it.
    pub value: Cow<'t, str>,
    /// The counters that this one is made of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(no_recursion)]
    pub children: Vec<Counter<'t>>,
}

impl<'t> Section<'t> {
    /// Returns the value of the counter with this name.
    pub(crate) fn counter(&self, name: &str) -> Option<&str> {
        let counter = self.counters.iter().find(|counter| counter.name == name)?;
        Some(&counter.value)
    }

    /// Returns the time of this section as the text has it: the longest of all instances if the text merges them.
    pub(crate) fn time(&self) -> Option<&str> {
        dialects::of(self).time(self)
    }

    /// Returns the first section whose name matches, among the children of the root and those of `Query`, `Load` and
    /// `Summary`.
    pub(super) fn part(&self, matches: impl Fn(&str) -> bool) -> Option<&Section<'t>> {
        let is_outer =
            |section: &Section<'_>| ["Query", "Load", "Summary"].contains(&&*section.name);
        let inner =
            self.children.iter().filter(|child| is_outer(child)).flat_map(|child| &child.children);
        self.children.iter().chain(inner).find(|section| matches(&section.name))
    }

    /// Returns the number of the fragment that this section is, if it is one.
    pub(super) fn fragment_id(&self) -> Option<&str> {
        fragment_id(&self.name)
    }
}
