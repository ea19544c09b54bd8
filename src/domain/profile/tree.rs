//! A profile's text as the tree its indentation draws: fragments, pipelines, operators, and what each of
//! them counted.

use std::borrow::Cow;

use serde::Serialize;
use utoipa::ToSchema;

use super::dialects;
use super::lines::{is_space, lines, trim};
use crate::domain::time::parse_duration_ns;

/// Deeper than any plan; what a text nests deeper hangs here. Trees are walked by recursion.
const MAX_DEPTH: usize = 256;
/// A drawing indents no deeper than this, and has no more bytes than that.
const DRAWN_DEPTH: usize = 32;
const DRAWN_BYTES: usize = 8 << 20;

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

/// A section in the brief form of a profile, as Doris answers `/rest/v2/manager/query/profile/json`
/// (`RuntimeProfile.toBrief`, Doris 1.0 to 4.x): profile viewers rely on all four keys.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Brief {
    /// The section's name; of the root, `Query` where the text has none.
    pub name: String,
    /// The rows that an operator gave on, or took if it is a sink; 0 where the text does not say.
    pub rows_returned: u64,
    /// The section's time as the text has it; `0ns` where the text does not say.
    pub total_time: String,
    /// The sections within.
    #[schema(no_recursion)]
    pub children: Vec<Brief>,
}

impl Section {
    /// Reads a profile's text. The tree's root has no name. Any text gives a tree.
    pub fn parse(text: &str) -> Section {
        let mut reader = Reader::default();
        let mut lines = lines(text);
        while let Some(line) = lines.next() {
            reader.line(&line, || next_content(&lines));
        }
        reader.finish()
    }

    /// Reads what stands before the execution: the summaries, the planner, the variables.
    pub(super) fn parse_head(text: &str) -> Section {
        let mut reader = Reader::default();
        let mut lines = lines(text);
        while let Some(line) = lines.next() {
            reader.line(&line, || next_content(&lines));
            if reader.in_execution {
                break;
            }
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
        dialects::of(self).time(self)
    }

    /// A section by name: one of the root's, or of those below `Query` and `Load`.
    pub(super) fn part(&self, is: impl Fn(&str) -> bool) -> Option<&Section> {
        let below =
            |section: &Section| ["Query", "Load", "Summary"].contains(&section.name.as_str());
        let inner =
            self.children.iter().filter(|child| below(child)).flat_map(|child| &child.children);
        self.children.iter().chain(inner).find(|section| is(&section.name))
    }

    /// Whether a section is a fragment of a plan.
    pub(super) fn fragment_id(&self) -> Option<&str> {
        fragment_id(&self.name)
    }

    /// The fragments, in the order of the text: of the part that merges instances where there is one, else of all
    /// executions, of which a load has one for each task.
    pub fn fragments(&self) -> Vec<Fragment> {
        let mut fragments = Vec::new();
        self.part(is_merged).unwrap_or(self).add_fragments(&mut fragments);
        if fragments.is_empty() {
            self.add_fragments(&mut fragments);
        }
        fragments
    }

    /// Adds those of a section, and returns the longest time in it.
    fn add_fragments<'a>(&'a self, fragments: &mut Vec<Fragment>) -> Option<(u64, &'a str)> {
        let place = self.fragment_id().map(|id| {
            let (id, time) = (id.to_string(), "N/A".to_string());
            fragments.push(Fragment { id, time, instances: self.instances() });
            fragments.len() - 1
        });
        let mut longest = self.time().and_then(|time| Some((parse_duration_ns(time)?, time)));
        for child in &self.children {
            if let Some(time) = child.add_fragments(fragments)
                && longest.is_none_or(|(ns, _)| time.0 > ns)
            {
                longest = Some(time);
            }
        }
        let fragment = place.and_then(|place| fragments.get_mut(place));
        if let (Some(fragment), Some((_, time))) = (fragment, longest) {
            fragment.time = time.to_string();
        }
        longest
    }

    fn instances(&self) -> Vec<(String, String)> {
        let instances = self.children.iter().filter_map(|child| {
            let name = child.name.strip_prefix("Instance ")?;
            let name = name.split_once(' ').map_or(name, |(name, _)| name);
            Some((name.to_string(), child.time().unwrap_or("N/A").to_string()))
        });
        instances.collect()
    }

    /// The fragments and all below them, a line each with its time, drawn as a tree: of the same part as
    /// [`Section::fragments`]. Of a drawing larger than 8 MiB, the beginning.
    pub fn drawn(&self) -> String {
        let mut drawn = String::new();
        let whole = self.part(is_merged).unwrap_or(self).draw_fragments(&mut drawn);
        if drawn.is_empty() {
            self.draw_fragments(&mut drawn);
        }
        if !whole {
            drawn.push_str("…\n");
        }
        drawn
    }

    /// Whether all of it had room.
    fn draw_fragments(&self, drawn: &mut String) -> bool {
        match self.fragment_id() {
            Some(_) => self.draw(&mut String::new(), "", 0, drawn),
            None => self.children.iter().all(|child| child.draw_fragments(drawn)),
        }
    }

    /// Draws a section behind `indent` and `branch`, and those within it.
    fn draw(&self, indent: &mut String, branch: &str, depth: usize, drawn: &mut String) -> bool {
        if drawn.len() > DRAWN_BYTES {
            return false;
        }
        drawn.push_str(indent);
        drawn.push_str(branch);
        drawn.push_str(&self.name);
        if let Some(time) = self.time() {
            drawn.push_str("  ");
            drawn.push_str(time);
        }
        drawn.push('\n');
        let length = indent.len();
        if depth < DRAWN_DEPTH {
            indent.push_str(match branch {
                "" => "",
                "└─ " => "   ",
                _ => "│  ",
            });
        }
        let mut children = self.children.iter().peekable();
        let mut whole = true;
        while let Some(child) = children.next().filter(|_| whole) {
            let branch = if children.peek().is_none() { "└─ " } else { "├─ " };
            whole = child.draw(indent, branch, depth + 1, drawn);
        }
        indent.truncate(length);
        whole
    }

    /// The brief form of the whole profile. Counters that newer versions sort into sections are none of its nodes.
    pub fn brief(&self) -> Brief {
        match self.children.as_slice() {
            [root] if self.name.is_empty() && ["Query", "Load"].contains(&root.name.as_str()) => {
                root.brief()
            }
            _ => {
                let dialect = dialects::of(self);
                let within = |child: &&Section| !dialects::is_group(&child.name);
                Brief {
                    name: if self.name.is_empty() { "Query" } else { &self.name }.to_string(),
                    rows_returned: dialect.rows(self).unwrap_or(0),
                    total_time: dialect.time(self).unwrap_or("0ns").to_string(),
                    children: self.children.iter().filter(within).map(Section::brief).collect(),
                }
            }
        }
    }
}

/// The number of a fragment by the name of its section.
fn fragment_id(name: &str) -> Option<&str> {
    let id = name.strip_prefix("Fragment ")?;
    id.starts_with(|c: char| c.is_ascii_digit()).then_some(id)
}

/// Whether a section of that name merges all instances of each operator (Doris since 2.0).
pub(super) fn is_merged(name: &str) -> bool {
    name.starts_with("MergedProfile")
}

/// Keys of a summary of which the value may span lines.
const LONG_KEYS: [&str; 3] = ["Sql Statement", "Distributed Plan", "Physical Plan"];

/// Keys of a summary that Doris up to 0.12 writes without a dash.
const DASHLESS_KEYS: [&str; 12] = [
    "Query ID", "Start Time", "End Time", "Total", "Query Type", "Query State", "Doris Version",
    "User", "Default Db", "Sql Statement", "Is Cached", "Profile ID",
];

/// Keys of StarRocks' summary that may stand behind a statement without a value.
const BARE_KEYS: [&str; 6] =
    ["Warehouse", "Default Db", "Sql Dialect", "Variables", "User", "Default Catalog"];

/// Sections whose lines are free text, up to the next heading of a profile's own.
const FREE_SECTIONS: [&str; 5] = [
    "Physical Plan", "PhysicalPlan", "Changed Session Variables", "ChangedSessionVariables",
    "Reason",
];

/// Splits the line that opens one of the sections of which a profile consists; some versions write them without a
/// colon.
fn heading(content: &str) -> Option<(&str, &str)> {
    let colonless = ["MergedProfile", "Physical Plan", "PhysicalPlan", "Appendix"];
    if colonless.contains(&content)
        || content.starts_with("DetailProfile") && !content.contains(':')
    {
        return Some((content, ""));
    }
    let (name, detail) = header(content)?;
    let named = [
        "Summary", "Execution Summary", "ExecutionSummary", "MergedProfile", "Fragments",
        "Planner", "Execution", "Appendix", "Physical Plan", "PhysicalPlan",
        "Changed Session Variables", "ChangedSessionVariables", "LoadChannels", "Load Channels",
        "LoadChannel",
    ];
    let is = named.contains(&name)
        || name.starts_with("Execution Profile ")
        || name.starts_with("DetailProfile")
        || fragment_id(name).is_some_and(|id| id.bytes().all(|byte| byte.is_ascii_digit()));
    is.then_some((name, detail))
}

/// Whether a section of that name is, or holds, what was executed.
fn is_execution(name: &str) -> bool {
    is_merged(name)
        || ["Fragments", "Appendix"].contains(&name)
        || name.starts_with("Execution Profile ")
        || name.starts_with("DetailProfile")
        || fragment_id(name).is_some()
}

/// Returns the next line that is not empty.
fn next_content<'a>(lines: &(impl Iterator<Item = Cow<'a, str>> + Clone)) -> Option<Cow<'a, str>> {
    lines.clone().find(|line| !trim(line).is_empty())
}

/// The column in which a line's text begins.
fn column_of(line: &str) -> usize {
    line.chars().take_while(|c| is_space(*c)).count()
}

/// Whether a section of that name, of which the heading stands in `column`, can follow an entry and begin with the line
/// `next`. A line of a statement may look like a heading as well.
fn can_begin(name: &str, column: usize, next: Option<&str>) -> bool {
    // The only section of that name holds the entry.
    if name == "Summary" {
        return false;
    }
    let Some(next) = next else { return true };
    if FREE_SECTIONS.contains(&name) {
        return true;
    }
    let content = trim(next);
    let is_section = heading(content).or_else(|| header(content)).is_some();
    let is_deeper = column_of(next) > column;
    // These hold fragments or executions, and have no entries of their own.
    if is_merged(name) || name.starts_with("DetailProfile") || name == "Fragments" {
        return is_deeper && is_section;
    }
    let is_empty = !is_execution(name) && heading(content).is_some();
    is_deeper && (is_section || content.starts_with("- ")) || is_empty
}

/// Splits `- Key: value`. A key is words with a capital first.
fn entry(content: &str) -> Option<(&str, &str)> {
    let (key, value) = content.strip_prefix("- ")?.split_once(':')?;
    let is_key = key.starts_with(|c: char| c.is_ascii_uppercase())
        && key.chars().all(|c| c.is_ascii_alphanumeric() || c == ' ' || c == '_');
    is_key.then(|| (key, value.strip_prefix(' ').unwrap_or(value)))
}

/// Splits `Key: value` of a summary without dashes.
fn dashless(content: &str) -> Option<(&str, &str)> {
    let (key, value) = content.split_once(':')?;
    DASHLESS_KEYS.contains(&key).then(|| (key, value.trim()))
}

/// Splits the line that opens a section: what stands before its colon, and in parentheses behind it.
fn header(content: &str) -> Option<(&str, &str)> {
    if let Some(name) = content.strip_suffix(':') {
        return Some((name.trim_end(), ""));
    }
    let (name, detail) = content.split_once(":(")?;
    Some((name, detail.strip_suffix(')')?))
}

/// A long value that may go on in the next line.
#[derive(Clone, Copy)]
struct Open {
    /// Where its key stands.
    column: usize,
    /// Whether a dash stands before the key.
    dashed: bool,
}

/// The sections and counters that are open, from the root to where the text is.
#[derive(Default)]
struct Reader {
    root: Section,
    sections: Vec<(usize, Section)>,
    /// Of the innermost section.
    counters: Vec<(usize, Counter)>,
    /// Whether a statement or a plan may go on.
    open: Option<Open>,
    /// Whether a section of the execution was opened.
    in_execution: bool,
}

impl Reader {
    /// Reads a line. `next` gives the next one that is not empty.
    fn line<'a>(&mut self, line: &str, next: impl Fn() -> Option<Cow<'a, str>>) {
        let content = trim(line);
        let column = column_of(line);
        if let Some(open) = self.open {
            if !open.ends_at(column, content, next) {
                if let Some((_, counter)) = self.counters.last_mut() {
                    counter.value.push('\n');
                    counter.value.push_str(line);
                }
                return;
            }
            self.open = None;
        }
        if content.is_empty() {
            return;
        }
        // In free text only the next heading ends it. Doris 2.1 writes ` MergedProfile ` with a space before it.
        if let Some(&(free, _)) = self.sections.last().filter(|(_, section)| section.is_free()) {
            match heading(content).filter(|_| column <= free + 1) {
                Some((name, detail)) => self.open_section(column.min(free), name, detail),
                None => self.innermost().lines.push(content.to_string()),
            }
        } else if let Some(counter) = content.strip_prefix("- ") {
            let (column, name, value) = counter_of(column, counter);
            self.open_counter(column, name, value, true);
        } else if let Some((key, value)) =
            dashless(content).filter(|_| self.innermost().name == "Summary")
        {
            self.open_counter(column, key, value, false);
        } else if let Some((name, detail)) = heading(content).or_else(|| header(content)) {
            self.open_section(column, name, detail);
        } else {
            self.close_counters(0);
            self.innermost().lines.push(content.to_string());
        }
    }

    fn open_counter(&mut self, column: usize, name: &str, value: &str, dashed: bool) {
        self.close_counters(column);
        self.close_sections(column);
        self.open = LONG_KEYS.contains(&name).then_some(Open { column, dashed });
        if self.counters.len() < MAX_DEPTH {
            let (name, value) = (name.to_string(), value.to_string());
            self.counters.push((column, Counter { name, value, children: Vec::new() }));
        } else {
            self.open = None;
        }
    }

    fn open_section(&mut self, column: usize, name: &str, detail: &str) {
        self.close_counters(0);
        self.close_sections(column);
        if self.sections.len() >= MAX_DEPTH {
            self.close_section();
        }
        self.in_execution |= is_execution(name);
        let (name, detail) = (name.to_string(), detail.to_string());
        self.sections.push((column, Section { name, detail, ..Section::default() }));
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
            let Some((_, mut counter)) = self.counters.pop() else { return };
            if LONG_KEYS.contains(&counter.name.as_str()) {
                counter.value = trim(&counter.value).to_string();
            }
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

impl Open {
    /// Whether the value ends before a line: SQL has lines of any kind, so only an entry in the column of its own
    /// key does it, or a heading no further in before a line that such a section begins with.
    fn ends_at<'a>(
        self,
        column: usize,
        content: &str,
        next: impl Fn() -> Option<Cow<'a, str>>,
    ) -> bool {
        let is_entry = || match self.dashed {
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

impl Section {
    fn is_free(&self) -> bool {
        FREE_SECTIONS.contains(&self.name.as_str())
    }
}

/// A counter's column, name and value. The planner of StarRocks indents behind the dash, `-     -- Analyzer[1] 2ms`,
/// where the number in brackets is how often it ran (`Tracers.printScopeTimer`).
fn counter_of(column: usize, counter: &str) -> (usize, &str, &str) {
    let inner = counter.trim_start();
    if let Some(scope) = inner.strip_prefix("-- ")
        && let Some((name, behind)) = scope.split_once('[')
        && let Some((_, value)) = behind.split_once(']')
    {
        return (column + counter.len() - inner.len(), name.trim(), value.trim());
    }
    let (name, value) = counter.split_once(':').unwrap_or((counter, ""));
    (column, name.trim(), value.trim())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OLD: &str = include_str!("../../../tests/data/profiles/doris-0.15.txt");
    const NEW: &str = include_str!("../../../tests/data/profiles/doris-2.1.txt");

    #[test]
    fn a_newer_profile_is_a_tree_of_operators() {
        let tree = Section::parse(NEW);
        let names: Vec<&str> = tree.children.iter().map(|child| child.name.as_str()).collect();
        let detail = "Execution Profile fbb2582c72884d29-9dd9de3b42b740e9";
        assert_eq!(
            names,
            ["Summary", "Execution Summary", "Changed Session Variables", "MergedProfile", detail]
        );
        let summary = &tree.children[0];
        assert_eq!(summary.counter("Sql Statement"), Some("select count(*) from store_sales5"));
        let fragments = &tree.children[3].children[0].children;
        let [sink, aggregation] = fragments[0].children[0].children.as_slice() else {
            panic!("{fragments:?}")
        };
        assert_eq!(sink.name, "RESULT_SINK_OPERATOR (id=0)");
        assert_eq!(sink.time(), Some("61.293us"));
        assert_eq!(aggregation.name, "AGGREGATION_OPERATOR (id=3 , nereids_id=82)");
        assert_eq!(aggregation.time(), Some("361.417us"));
        let times: Vec<(String, String)> =
            tree.fragments().into_iter().map(|fragment| (fragment.id, fragment.time)).collect();
        let time = |id: &str, time: &str| (id.to_string(), time.to_string());
        assert_eq!(times, [time("0", "361.417us"), time("1", "36.169ms")]);
        assert_eq!(
            tree.drawn().lines().take(4).collect::<Vec<_>>(),
            [
                "Fragment 0",
                "└─ Pipeline : 0(instance_num=1)",
                "   ├─ RESULT_SINK_OPERATOR (id=0)  61.293us",
                "   └─ AGGREGATION_OPERATOR (id=3 , nereids_id=82)  361.417us",
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
        let execution = &tree.children[0].children[1];
        assert_eq!(execution.time(), Some("12.91ms"));
        let aggregation = &execution.children[0].children[0].children[0];
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
    fn a_statement_may_hold_lines_like_headings() {
        let statement = "select a\nSummary:\nMergedProfile \n\nfrom x\nFragments:\n-- DetailProfile\nPlanner:\n/*\n\
                         Execution Summary:\n*/\nFragment 0:\nunion\n MergedProfile ";
        for (entry, sections) in [
            (
                "   - Is Cached: No\n",
                "Execution Summary:\n   - Plan Time: 3ms\n MergedProfile \n     Fragments:\n",
            ),
            ("", "Execution Summary:\n   - Plan Time: 3ms\nMergedProfile:\n  Fragments:\n"),
            ("", "Planner:\nExecution Summary:\n   - Plan Time: 3ms\n"),
        ] {
            let text = format!(
                "Summary:\n   - User: a\n   - Sql Statement: {statement}\n{entry}{sections}"
            );
            for tree in [Section::parse(&text), Section::parse_head(&text)] {
                assert_eq!(
                    tree.children[0].counter("Sql Statement"),
                    Some(statement.trim()),
                    "{text}"
                );
                let execution = tree.part(|name| name == "Execution Summary").unwrap();
                assert_eq!(execution.counter("Plan Time"), Some("3ms"), "{text}");
            }
        }
        let cut = Section::parse("Summary:\n  - Sql Statement: select 1\nExecution Summary:\n");
        assert_eq!(cut.children.len(), 2);
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
