//! A profile's text as the tree its indentation draws: fragments, pipelines, operators, and what each of
//! them counted.

use serde::Serialize;
use utoipa::ToSchema;

use super::{is_section, plain_spaces, trim};
use crate::time::parse_duration_ns;

/// Deeper than any plan; what a text nests deeper hangs here. Trees are walked by recursion.
const MAX_DEPTH: usize = 256;

/// A section of a profile: `Name:`, `NAME (id=3):` or `NAME (id=3):(ExecTime: 12.3ms, ...)`, and all that
/// is indented below it.
#[derive(Debug, Default, Clone, PartialEq, Serialize, ToSchema)]
pub struct Section {
    /// What stands before the colon.
    pub name: String,
    /// What stands in parentheses behind it, as older versions write times.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// Its `- Key: value` lines.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub counters: Vec<Counter>,
    /// Lines that are neither, like a plan.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<String>,
    /// The sections within.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(no_recursion)]
    pub children: Vec<Section>,
}

/// A `- Key: value` line, and those indented below it.
#[derive(Debug, Default, Clone, PartialEq, Serialize, ToSchema)]
pub struct Counter {
    /// What is counted.
    pub name: String,
    /// As the text has it.
    pub value: String,
    /// Of what it is the sum.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(no_recursion)]
    pub children: Vec<Counter>,
}

/// A fragment of a plan, and how long it took.
#[derive(Debug, PartialEq)]
pub struct Fragment {
    /// Its number.
    pub id: String,
    /// The time of its slowest part, as the text has it.
    pub time: String,
    /// The time of each instance, in profiles that tell instances apart.
    pub instances: Vec<(String, String)>,
}

impl Section {
    /// Reads a profile's text. The tree's root has no name. Any text gives a tree.
    pub fn parse(text: &str) -> Section {
        let doubled = super::has_doubled_spaces(text);
        let mut reader = Reader::default();
        for line in text.lines() {
            reader.line(&plain_spaces(line, doubled));
        }
        reader.finish()
    }

    /// A counter's value, by name.
    pub fn counter(&self, name: &str) -> Option<&str> {
        self.counters.iter().find(|counter| counter.name == name).map(|found| found.value.as_str())
    }

    /// How long this section was at work, as the text has it: the longest of all instances where the
    /// text merges them.
    pub fn time(&self) -> Option<&str> {
        let detail = ["Active: ", "ExecTime: "].iter().find_map(|key| {
            let (_, behind) = self.detail.split_once(key)?;
            behind.split([',', ')']).next()
        });
        detail.or_else(|| {
            let value = self.counter("ExecTime").or_else(|| self.counter("TotalTime"))?;
            let longest = value.split_once("max ").map_or(value, |(_, behind)| behind);
            longest.split(',').next()
        })
    }

    fn walk<'a>(&'a self, visit: &mut impl FnMut(&'a Section)) {
        visit(self);
        for child in &self.children {
            child.walk(visit);
        }
    }

    /// The fragments, in the order of the text. Where the text has both a merged and a detailed part, those
    /// of the merged one.
    pub fn fragments(&self) -> Vec<Fragment> {
        let mut fragments: Vec<Fragment> = Vec::new();
        self.walk(&mut |section| {
            let Some(id) = section.name.strip_prefix("Fragment ") else { return };
            if fragments.iter().any(|fragment| fragment.id == id) {
                return;
            }
            let instances: Vec<(String, String)> = section
                .children
                .iter()
                .filter_map(|child| {
                    let name = child.name.strip_prefix("Instance ")?;
                    let name = name.split_once(' ').map_or(name, |(name, _)| name);
                    Some((name.to_string(), child.time().unwrap_or("N/A").to_string()))
                })
                .collect();
            let mut times = Vec::new();
            section.walk(&mut |part| times.extend(part.time()));
            let ns = |time: &str| parse_duration_ns(time).unwrap_or(-1.0);
            let time = times.into_iter().max_by(|a, b| ns(a).total_cmp(&ns(b))).unwrap_or("N/A");
            fragments.push(Fragment { id: id.to_string(), time: time.to_string(), instances });
        });
        fragments
    }

    /// The fragments and all below them, a line each with its time, drawn as a tree.
    pub fn drawn(&self) -> String {
        let mut drawn = String::new();
        let mut seen: Vec<&str> = Vec::new();
        self.walk(&mut |section| {
            if section.name.starts_with("Fragment ") && !seen.contains(&section.name.as_str()) {
                seen.push(&section.name);
                section.draw("", "", &mut drawn);
            }
        });
        drawn
    }

    fn draw(&self, first: &str, rest: &str, drawn: &mut String) {
        drawn.push_str(first);
        drawn.push_str(&self.name);
        if let Some(time) = self.time() {
            drawn.push_str("  ");
            drawn.push_str(time);
        }
        drawn.push('\n');
        for (at, child) in self.children.iter().enumerate() {
            let last = at + 1 == self.children.len();
            let (branch, below) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            child.draw(&format!("{rest}{branch}"), &format!("{rest}{below}"), drawn);
        }
    }
}

/// The sections and counters that are open, from the root to where the text is.
#[derive(Default)]
struct Reader {
    root: Section,
    sections: Vec<(usize, Section)>,
    /// Of the innermost section.
    counters: Vec<(usize, Counter)>,
    /// Whether a statement may go on.
    in_statement: Option<usize>,
}

impl Reader {
    fn line(&mut self, line: &str) {
        let content = trim(line);
        let column = line.chars().take_while(|c| super::is_space(*c)).count();
        if let Some(statement_column) = self.in_statement {
            // As in a summary: SQL has lines of any kind.
            let next_entry = column == statement_column && super::entry(line).is_some();
            if !next_entry && !is_section(line) {
                if let Some((_, counter)) = self.counters.last_mut() {
                    counter.value.push('\n');
                    counter.value.push_str(line);
                }
                return;
            }
            self.in_statement = None;
        }
        if content.is_empty() {
            return;
        }
        if let Some(counter) = content.strip_prefix("- ") {
            self.close_counters(column);
            self.close_sections(column);
            let (name, value) = counter.split_once(':').unwrap_or((counter, ""));
            let (name, value) = (name.trim().to_string(), value.trim().to_string());
            self.in_statement = (name == "Sql Statement").then_some(column);
            if self.counters.len() < MAX_DEPTH {
                self.counters.push((column, Counter { name, value, children: Vec::new() }));
            }
        } else if let Some((name, detail)) = header(content) {
            self.close_counters(0);
            self.close_sections(column);
            if self.sections.len() >= MAX_DEPTH {
                self.close_section();
            }
            let (name, detail) = (name.to_string(), detail.to_string());
            self.sections.push((column, Section { name, detail, ..Section::default() }));
        } else {
            self.close_counters(0);
            self.innermost().lines.push(content.to_string());
        }
    }

    fn innermost(&mut self) -> &mut Section {
        match self.sections.last_mut() {
            Some((_, section)) => section,
            None => &mut self.root,
        }
    }

    /// Closes the counters that do not stand left of a column.
    fn close_counters(&mut self, column: usize) {
        while self.counters.last().is_some_and(|(open, _)| *open >= column) {
            let Some((_, counter)) = self.counters.pop() else { return };
            match self.counters.last_mut() {
                Some((_, parent)) => parent.children.push(counter),
                None => self.innermost().counters.push(counter),
            }
        }
    }

    /// Closes the sections that do not stand left of a column.
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

    fn finish(mut self) -> Section {
        self.close_counters(0);
        self.close_sections(0);
        self.root
    }
}

/// Splits the line that opens a section: what stands before its colon, and in parentheses behind it.
fn header(line: &str) -> Option<(&str, &str)> {
    if let Some(name) = line.strip_suffix(':') {
        return Some((name.trim_end(), ""));
    }
    let (name, detail) = line.split_once(":(")?;
    Some((name, detail.strip_suffix(')')?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OLD: &str = include_str!("../../tests/data/profiles/doris-0.15.txt");
    const NEW: &str = include_str!("../../tests/data/profiles/doris-2.1.txt");

    #[test]
    fn a_newer_profile_is_a_tree_of_operators() {
        let tree = Section::parse(NEW);
        let names: Vec<&str> = tree.children.iter().map(|child| child.name.as_str()).collect();
        assert_eq!(names, ["Summary", "Execution Summary", "MergedProfile"]);
        let summary = &tree.children[0];
        assert_eq!(summary.counter("Sql Statement"), Some("select count(*) from store_sales5"));
        let fragments = &tree.children[2].children[0].children;
        let sink = &fragments[0].children[0].children[0];
        assert_eq!(sink.name, "RESULT_SINK_OPERATOR (id=0)");
        assert_eq!(sink.time(), Some("61.293us"));
        assert_eq!(sink.children[0].name, "AGGREGATION_OPERATOR (id=3 , nereids_id=82)");
        assert_eq!(sink.children[0].time(), Some("361.417us"));
        let times: Vec<(String, String)> =
            tree.fragments().into_iter().map(|fragment| (fragment.id, fragment.time)).collect();
        assert_eq!(times[1], ("1".to_string(), "36.169ms".to_string()));
        assert_eq!(
            tree.drawn().lines().take(4).collect::<Vec<_>>(),
            [
                "Fragment 0",
                "└─ Pipeline : 0(instance_num=1)",
                "   └─ RESULT_SINK_OPERATOR (id=0)  61.293us",
                "      └─ AGGREGATION_OPERATOR (id=3 , nereids_id=82)  361.417us",
            ]
        );
    }

    #[test]
    fn an_older_profile_tells_instances_apart() {
        let tree = Section::parse(OLD);
        assert_eq!(tree.children[0].name, "Query");
        let fragment = &tree.fragments()[0];
        assert_eq!((fragment.id.as_str(), fragment.time.as_str()), ("0", "12.482ms"));
        let instance = ("e5a1b5f6c0d14b6a-8d0f9b1f6c7e2a36".to_string(), "12.482ms".to_string());
        assert!(fragment.instances.contains(&instance), "{fragment:?}");
        let aggregation = &tree.children[0].children[1].children[0].children[0];
        assert_eq!(aggregation.counter("RowsReturned"), Some("1"));
        assert_eq!(aggregation.children[0].name, "VOLAP_SCAN_NODE (id=0)");
    }

    #[test]
    fn statements_and_nested_counters() {
        let tree = Section::parse(
            "Summary:\n  - User: a\n  - Sql Statement: select 1\n- Total: 2\nfrom x:\n  - Is Cached: No\n\
             Execution Summary:\n  - Plan Time: 3ms\n    - Rewrite Time: 1ms\n  - End: 1\n  text\n",
        );
        let summary = &tree.children[0];
        assert_eq!(summary.counter("Sql Statement"), Some("select 1\n- Total: 2\nfrom x:"));
        assert_eq!(summary.counter("Is Cached"), Some("No"));
        let execution = &tree.children[1];
        assert_eq!(execution.counters[0].children[0].name, "Rewrite Time");
        assert_eq!(execution.counters[1].name, "End");
        assert_eq!(execution.lines, ["text"]);
    }

    #[test]
    fn a_text_that_nests_without_end_does_not_exhaust_the_stack() {
        let sections: String =
            (0..5000).map(|depth| format!("{}S:\n", " ".repeat(depth))).collect();
        assert!(serde_json::to_string(&Section::parse(&sections)).is_ok());
        let counters: String =
            (0..5000).map(|depth| format!("{}- C: 1\n", " ".repeat(depth))).collect();
        assert!(serde_json::to_string(&Section::parse(&counters)).is_ok());
    }

    proptest! {
        #[test]
        fn any_text_gives_a_tree(text in "( {0,4}(- )?[A-Za-z:() \u{a0}]{0,12}\n){0,20}") {
            let tree = Section::parse(&text);
            tree.fragments();
            tree.drawn();
        }
    }
}
