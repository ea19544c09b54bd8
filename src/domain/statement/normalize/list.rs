//! Shortens lists: an element that normalizes like the first element of its list is removed.

use super::normalizer::Normalizer;

/// Lists that are nested deeper are not shortened.
const MAX_DEPTH: usize = 256;

/// The content of two parentheses, or the rows behind VALUES.
pub(super) struct List {
    kind: ListKind,
    /// Where the current element begins.
    pub(super) element: usize,
    /// Where the first element begins and ends.
    first: Option<(usize, usize)>,
    /// Where the last element ends that stays.
    end: usize,
    /// The value of [`Normalizer::tables_depth`] outside of the list.
    pub(super) tables_depth: Option<usize>,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum ListKind {
    /// The length of the list matters.
    Other,
    /// The length of the list does not matter.
    Values,
    /// The same, and names in the list are names of partitions.
    Partitions,
    /// The rows of VALUES, which no parentheses enclose. Their number does not matter.
    Rows,
}

impl Normalizer<'_, '_> {
    /// Returns the number of open parentheses and lists.
    pub(super) fn depth(&self) -> usize {
        self.lists.len() + self.deeper
    }

    /// Begins a list whose first element begins at `element`.
    pub(super) fn open_list(&mut self, kind: ListKind, element: usize) {
        if self.lists.len() < MAX_DEPTH {
            let tables_depth = self.tables_depth;
            self.lists.push(List { kind, element, first: None, end: element, tables_depth });
        } else if kind != ListKind::Rows {
            self.deeper += 1;
        }
    }

    /// Ends the current element, and removes it if it is like the first of its list.
    pub(super) fn end_element(&mut self) {
        let Some(list) = self.lists.last_mut().filter(|list| list.kind != ListKind::Other) else {
            return;
        };
        let is_partition_name = || {
            list.kind == ListKind::Partitions
                && self.text.get(list.element..).is_some_and(|name| {
                    // Not `day = ?`, not `*`.
                    !name.is_empty() && !name.contains(['=', '*', '('])
                })
        };
        // The lists of a refresh hold names of partitions, although no keyword says so.
        if self.is_refresh || is_partition_name() {
            self.text.truncate(list.element);
            self.text.push('?');
        }
        let end = self.text.len();
        match list.first {
            None => list.first = Some((list.element, end)),
            Some((first_start, first_end)) => {
                if self.text.get(first_start..first_end) == self.text.get(list.element..end) {
                    self.text.truncate(list.end);
                }
            }
        }
        list.end = self.text.len();
        // The end of what is whole moves back with the text.
        self.whole_end = self.whole_end.min(self.text.len());
    }

    /// Ends the rows of VALUES, if the current list is one.
    pub(super) fn end_rows(&mut self) {
        if self.lists.last().is_some_and(|list| list.kind == ListKind::Rows) {
            self.end_element();
            self.lists.pop();
        }
    }

    /// Returns the end of the last whole element of the list of values in which the statement was cut, if it was.
    pub(super) fn end_of_cut_list(&self) -> Option<usize> {
        let list = self.lists.iter().find(|list| {
            let is_query = |text: &str| text.starts_with("select ") || text.starts_with("with ");
            matches!(list.kind, ListKind::Values | ListKind::Partitions)
                && !self.text.get(list.element..).is_some_and(is_query)
        })?;
        Some(list.first.map_or(list.element, |_| list.end))
    }
}
