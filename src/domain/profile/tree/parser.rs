//! Builds the tree from the lines of a profile's text.

use std::borrow::Cow;

use super::headings::{
    BARE_KEYS, FREE_SECTIONS, LONG_KEYS, can_begin, dashless, entry, header, heading, is_execution,
    split_counter,
};
use super::{Counter, MAX_DEPTH, MAX_ENTRIES, Section};
use crate::domain::profile::text::{indented, lines, trim};

impl<'t> Section<'t> {
    /// Reads the text of a profile into a tree, whose root has no name. Any text gives a tree.
    pub(crate) fn parse(text: &'t str) -> Section<'t> {
        Section::parse_within(text, MAX_ENTRIES)
    }

    /// The same, for at most `max` sections, counters and lines.
    pub(in crate::domain::profile) fn parse_within(text: &'t str, max: usize) -> Section<'t> {
        Parser::read(text, max, |_| false)
    }

    /// Reads the part of a profile before the execution: the summaries, the planner, the variables.
    pub(in crate::domain::profile) fn parse_head(text: &'t str) -> Section<'t> {
        Parser::read(text, MAX_ENTRIES, |parser| parser.in_execution)
    }
}

/// A value of several lines that may continue.
#[derive(Clone, Copy)]
struct LongValue {
    /// The column of the key.
    column: usize,
    /// Whether a dash precedes the key.
    is_dashed: bool,
}

/// The sections and counters that are open at the current line, each with its column, the outermost first.
#[derive(Default)]
struct Parser<'t> {
    root: Section<'t>,
    sections: Vec<(usize, Section<'t>)>,
    /// The open counters of the innermost section.
    counters: Vec<(usize, Counter<'t>)>,
    /// The value that the current line may continue.
    long_value: Option<LongValue>,
    /// Whether a section of the execution was opened.
    in_execution: bool,
    /// The number of sections, counters and lines so far.
    entries: usize,
}

impl<'t> Parser<'t> {
    /// Reads lines until the text ends, `is_done`, or the tree is full.
    fn read(text: &'t str, max: usize, is_done: impl Fn(&Parser<'t>) -> bool) -> Section<'t> {
        let mut parser = Parser::default();
        let mut lines = lines(text);
        while let Some(line) = lines.next() {
            if parser.entries >= max {
                parser.root.is_cut = true;
                break;
            }
            match &line {
                Cow::Borrowed(line) => parser.line(line, Cow::Borrowed, || next_content(&lines)),
                Cow::Owned(line) => {
                    let keep = |part: &str| Cow::Owned(part.to_string());
                    parser.line(line, keep, || next_content(&lines));
                }
            }
            if is_done(&parser) {
                break;
            }
        }
        parser.finish()
    }

    /// Reads a line. `keep` makes a part of the line a part of the tree. `next` returns the next line that is not empty.
    fn line<'l, 'n>(
        &mut self,
        line: &'l str,
        keep: fn(&'l str) -> Cow<'t, str>,
        next: impl Fn() -> Option<Cow<'n, str>>,
    ) {
        let (column, content) = indented(line);
        if let Some(long_value) = self.long_value {
            if !long_value.ends_at(column, content, next) {
                if let Some((_, counter)) = self.counters.last_mut() {
                    let value = counter.value.to_mut();
                    value.push('\n');
                    value.push_str(line);
                }
                return;
            }
            self.long_value = None;
        }
        if content.is_empty() {
            return;
        }
        self.entries += 1;
        // Only a heading ends free text. Doris 2.1 writes ` MergedProfile ` with a space before it.
        if let Some(&(free, _)) =
            self.sections.last().filter(|(_, section)| FREE_SECTIONS.contains(&&*section.name))
        {
            match heading(content).filter(|_| column <= free + 1) {
                Some((name, detail)) => {
                    self.open_section(column.min(free), keep(name), keep(detail));
                }
                None => self.innermost().lines.push(keep(content)),
            }
        } else if let Some(counter) = content.strip_prefix("- ") {
            let (column, name, value) = split_counter(column, counter);
            self.open_counter(column, keep(name), keep(value), true);
        } else if self.innermost().name == "Summary"
            && let Some((key, value)) = dashless(content)
        {
            self.open_counter(column, keep(key), keep(value), false);
        } else if let Some((name, detail)) = heading(content).or_else(|| header(content)) {
            self.open_section(column, keep(name), keep(detail));
        } else {
            self.close_counters(0);
            self.innermost().lines.push(keep(content));
        }
    }

    fn open_counter(
        &mut self,
        column: usize,
        name: Cow<'t, str>,
        value: Cow<'t, str>,
        is_dashed: bool,
    ) {
        self.close_counters(column);
        self.close_sections(column);
        self.long_value = LONG_KEYS.contains(&&*name).then_some(LongValue { column, is_dashed });
        if self.counters.len() < MAX_DEPTH {
            self.counters.push((column, Counter { name, value, children: Vec::new() }));
        } else {
            self.long_value = None;
        }
    }

    fn open_section(&mut self, column: usize, name: Cow<'t, str>, detail: Cow<'t, str>) {
        self.close_counters(0);
        self.close_sections(column);
        if self.sections.len() >= MAX_DEPTH {
            self.close_section();
        }
        self.in_execution |= is_execution(&name);
        self.sections.push((column, Section { name, detail, ..Section::default() }));
    }

    fn innermost(&mut self) -> &mut Section<'t> {
        match self.sections.last_mut() {
            Some((_, section)) => section,
            None => &mut self.root,
        }
    }

    /// Closes the counters that are not left of a column.
    fn close_counters(&mut self, column: usize) {
        while self.counters.last().is_some_and(|(open, _)| *open >= column) {
            let Some((_, mut counter)) = self.counters.pop() else { return };
            if LONG_KEYS.contains(&&*counter.name) {
                counter.value = match counter.value {
                    Cow::Borrowed(value) => Cow::Borrowed(trim(value)),
                    Cow::Owned(value) => Cow::Owned(trim(&value).to_string()),
                };
            }
            match self.counters.last_mut() {
                Some((_, parent)) => parent.children.push(counter),
                None => self.innermost().counters.push(counter),
            }
        }
    }

    /// Closes the sections that are not left of a column.
    fn close_sections(&mut self, column: usize) {
        while self.sections.last().is_some_and(|(open, _)| *open >= column) {
            self.close_counters(0);
            self.close_section();
        }
    }

    fn close_section(&mut self) {
        if let Some((_, section)) = self.sections.pop() {
            self.innermost().children.push(section);
        }
    }

    fn finish(mut self) -> Section<'t> {
        self.close_counters(0);
        self.close_sections(0);
        self.root
    }
}

impl LongValue {
    /// Returns whether the value ends before a line. SQL may hold any line, so the value ends only before an entry in
    /// the column of its own key, or before a heading that is not further right and that a fitting line follows.
    fn ends_at<'a>(
        self,
        column: usize,
        content: &str,
        next: impl Fn() -> Option<Cow<'a, str>>,
    ) -> bool {
        let is_entry = || match self.is_dashed {
            true => {
                let bare = content.strip_prefix("- ").is_some_and(|key| BARE_KEYS.contains(&key));
                bare || entry(content).is_some()
            }
            false => dashless(content).is_some(),
        };
        let is_heading =
            || heading(content).is_some_and(|(name, _)| can_begin(name, column, next().as_deref()));
        column == self.column && is_entry() || column <= self.column && is_heading()
    }
}

/// Returns the next line that is not empty.
fn next_content<'a>(lines: &(impl Iterator<Item = Cow<'a, str>> + Clone)) -> Option<Cow<'a, str>> {
    lines.clone().find(|line| !trim(line).is_empty())
}
