//! Reading takes time and memory that grow with the input, and not with its square.
//!
//! [`SHAPES`] lists kinds of input with the texts that once took long, or that look as if they could. A new kind is one
//! line. Each shape is read at two sizes; four times the input may take at most [`MOST_GROWTH`] times the time and the
//! memory, and no more memory than [`Shape::most_memory`] allows.

use std::hint::black_box;
use std::path::Path;

use rustix::time::{ClockId, clock_gettime};

use crate::domain::profile::{Section, operators};
use crate::domain::search::Search;
use crate::formats::rows::{Format, JsonKind};
use crate::fuzzing;
use crate::http::fuzzing::profile_html;
use crate::web::flame_graph::flame_graph_svg;
use crate::web::query::operators_page;

/// Four times the input takes 4.6 times the steps if these grow with n·log n, and 16 times if they grow with n². The
/// rest is noise of the machine and the effect of its caches.
const MOST_GROWTH: f64 = 7.5;

/// The size of the smaller input, in bytes. The larger one is four times as long.
const SMALL_BYTES: usize = 128 << 10;

/// Times below this are noise, in nanoseconds: the growth from a smaller time says nothing.
const LEAST_NS: u64 = 2_000_000;

/// A measurement that exceeds [`MOST_GROWTH`] is repeated this often, because other processes share caches and memory.
const ATTEMPTS: usize = 4;

/// A kind of input.
struct Shape {
    name: &'static str,
    /// Returns an input of about this many bytes.
    make: fn(usize) -> Vec<u8>,
    /// Reads the input, and returns the bytes of its output.
    read: fn(&[u8]) -> usize,
    /// The most memory, output included, in bytes for each byte of input.
    most_memory: usize,
}

const fn shape(name: &'static str, read: fn(&[u8]) -> usize, make: fn(usize) -> Vec<u8>) -> Shape {
    Shape { name, make, read, most_memory: 40 }
}

impl Shape {
    /// Allows more memory than other shapes have, where small parts become values of a fixed size.
    const fn with_memory(self, most_memory: usize) -> Shape {
        Shape { most_memory, ..self }
    }
}

const RECORD: &str = "2026-03-01 10:00:00,000 [query] |Client=10.0.0.1:5000|User=mira|Ctl=internal|Db=shop|State=EOF\
    |ErrorCode=0|ErrorMessage=|Time(ms)=12|ScanBytes=0|ScanRows=0|ReturnRows=1|StmtId=1|QueryId=1a-1|IsQuery=true\
    |isNereids=true|feIp=10.0.0.2|StmtType=SELECT|Stmt=select a from t|CpuTimeMS=3|TraceId=\n";

const SUMMARY: &str = "Summary:\n   - Profile ID: 1a-1\n   - Task State: EOF\n   - Sql Statement: select 1\n   - User: mira\n";

static SHAPES: &[Shape] = &[
    shape("audit log: records", audit_log, |n| repeat("", RECORD, n, "")),
    shape("audit log: fields in a comment", audit_log, |n| statement("select 1 -- ", |i| format!("|K{i:06}=1"), n)),
    shape("audit log: equal fields", audit_log, |n| statement("select 1 -- ", |_| "|K=1".into(), n)),
    shape("audit log: fields of the format", audit_log, |n| statement("", |_| "|Stmt=1|Time(ms)=2|QueryId=3".into(), n)),
    shape("audit log: literal line ends", audit_log, |n| statement("select 1 ", |_| "--\\n".into(), n)),
    shape("audit log: fields in a last comment", audit_log, |n| last_statement(|i| format!("|K{i:06}=1"), n)),
    shape("audit log: literal line ends, last", audit_log, |n| last_statement(|_| "--\\n".into(), n)),
    shape("audit log: braces, last", audit_log, |n| last_statement(|_| "|A={".into(), n)),
    shape("audit log: fields of the format, last", audit_log, |n| last_statement(|_| "|ErrorMessage=|Time(ms)=1".into(), n)),
    shape("audit log: braces", audit_log, |n| statement("select '", |_| "{".into(), n)),
    shape("audit log: objects", audit_log, |n| statement("select '", |_| "|A={\"a\":".into(), n)),
    shape("audit log: brackets", audit_log, |n| statement("select '", |_| "|A=[".into(), n)),
    shape("audit log: bars", audit_log, |n| statement("", |_| "|".into(), n)),
    shape("audit log: equal signs", audit_log, |n| statement("", |_| "=|".into(), n)),
    shape("audit log: line ends", audit_log, |n| statement("", |_| "\n".into(), n)),
    shape("audit log: half prefixes", audit_log, |n| statement("", |_| "\n2026-03-01 10:00:00,000 [".into(), n)),
    shape("audit log: foreign lines", audit_log, |n| statement("x|CpuTimeMS=3\n", |_| "java.lang.Error: c\n".into(), n)),
    shape("audit log: quotes", audit_log, |n| statement("", |_| "'\"`".into(), n)),
    shape("audit log: messages", audit_log, |n| message(|_| "|Time(ms)=9|ScanRows=7".into(), n)),
    shape("profile: merged fragments", profile, |n| merged(|i| format!("  Fragment {i}:\n"), n)).with_memory(400),
    shape("profile: merged operators", profile, |n| merged(|i| format!("    SCAN_OPERATOR(id={i}):\n      - ExecTime: 1ms\n"), n)).with_memory(200),
    shape("profile: fragments of the merged profile", profile, |n| below("MergedProfile:\n", |i| format!("  Fragment {i}:\n"), n)).with_memory(400),
    shape("profile: fragments in a statement", profile, |n| below("   - Sql Statement: select 1 --\n", |i| format!("  Fragment {i}:\n"), n)).with_memory(400),
    shape("profile: nested fragments", profile, nested_fragments).with_memory(400),
    shape("profile: nested sections", profile, |n| below("Execution:\n", |i| format!("{}A{i}:\n", " ".repeat(i.min(300))), n)).with_memory(400),
    shape("profile: instances", profile, |n| below("Execution Profile 1a-1:\n  Fragments:\n    Fragment 0:\n", |i| format!("      Pipeline {i}:\n        SCAN_OPERATOR(id=1):\n          - ExecTime: {i}ms\n"), n)).with_memory(200),
    shape("profile: old instances", profile, |n| below("Execution Profile 1a-1:\n  Fragment 0:\n", |i| format!("    Instance {i:x} (host=h):(Active: 1ms)\n      OLAP_SCAN_NODE (id=0):(Active: 1ms)\n"), n)).with_memory(200),
    shape("profile: counters", profile, |n| merged(|i| format!("      - Counter{i}: 1\n"), n)).with_memory(200),
    shape("profile: equal counters", profile, |n| merged(|_| "      - ExecTime: 1ms\n".into(), n)).with_memory(200),
    shape("profile: nested counters", profile, |n| merged(|i| format!("{}- C: 1\n", " ".repeat(i.min(300))), n)).with_memory(200),
    shape("profile: variables", profile, |n| below("Changed Session Variables:\nVarName | CurrentValue | DefaultValue\n---\n", |i| format!("v{i} | 1 | 2\n"), n)).with_memory(400),
    shape("profile: blanks", profile, |n| below("", |_| " ".into(), n)),
    shape("profile: blank lines", profile, |n| below("", |_| "\n".into(), n)),
    shape("profile: table", profile, |n| repeat("| Summary: |\n|   - Profile ID: 1a-1 |\n", "|   - A: 1 |\n", n, "")).with_memory(200),
    shape("profile: HTML", profile_html, |n| below("", |_| " ".into(), n)),
    shape("profile: flame graph", flames, |n| merged(|i| format!("    S{i}_OPERATOR(id={i}):\n      - ExecTime: 1ms\n"), n)).with_memory(800),
    shape("profile: page", profile_page, |n| merged(|i| format!("    S{i}_OPERATOR(id={i}):\n      - ExecTime: 1ms\n"), n)).with_memory(400),
    shape("profile: page of blanks", profile_page, |n| below("", |_| " ".into(), n)),
    shape("fingerprint: list", fuzzing::fingerprint, |n| repeat("select a in (", "1, ", n, "1)")),
    shape("fingerprint: rows", fuzzing::fingerprint, |n| repeat("insert into t values ", "(1, 'a'), ", n, "(1, 'a')")),
    shape("fingerprint: parentheses", fuzzing::fingerprint, |n| repeat("", "(", n, "")),
    shape("fingerprint: closed parentheses", fuzzing::fingerprint, |n| repeat("", ")", n, "")),
    shape("fingerprint: subqueries", fuzzing::fingerprint, |n| repeat("", "(select ", n, "")),
    shape("fingerprint: comments", fuzzing::fingerprint, |n| repeat("", "/*", n, "")),
    shape("fingerprint: line comments", fuzzing::fingerprint, |n| repeat("", "-- a\n", n, "")),
    shape("fingerprint: literal line ends", fuzzing::fingerprint, |n| repeat("", "--\\n", n, "")),
    shape("fingerprint: open quotes", fuzzing::fingerprint, |n| repeat("", "'\\'", n, "")),
    shape("fingerprint: doubled quotes", fuzzing::fingerprint, |n| repeat("", "'' \"\" ``", n, "")),
    shape("fingerprint: hints", fuzzing::fingerprint, |n| repeat("", "/*+ SET_VAR(a=1) */ [shuffle] ", n, "")),
    shape("fingerprint: signs", fuzzing::fingerprint, |n| repeat("select 1", " - +", n, "")),
    shape("fingerprint: names", fuzzing::fingerprint, |n| repeat("select ", "a.b.", n, "")),
    shape("fingerprint: words", fuzzing::fingerprint, |n| repeat("", "case when a then b end ", n, "")),
    shape("layout: columns", fuzzing::layout, |n| repeat("select ", "a, ", n / 8, "a")),
    shape("layout: subqueries", fuzzing::layout, |n| repeat("", "(select ", n / 8, "")).with_memory(80),
    shape("layout: comments", fuzzing::layout, |n| repeat("", "--\n", n / 8, "")),
    shape("layout: parentheses", fuzzing::layout, |n| repeat("", "( ", n / 8, "")),
    shape("rows: JSON lines", json_lines, |n| repeat("", "{\"query_id\":\"a-1\",\"time\":1722942950000,\"stmt\":\"select 1\"}\n", n, "")),
    shape("rows: empty objects", json_lines, |n| repeat("", "{}\n", n, "")),
    shape("rows: JSON array", json_array, |n| repeat("[{}", ",{\"query_id\":\"a-1\",\"time\":1722942950000}", n, "]")),
    shape("rows: zeros", json_array, |n| repeat("[0", ",0", n, "]")),
    shape("rows: nested JSON", json_array, |n| repeat("", "[", n, "")),
    shape("rows: keys", json_lines, |n| pieces("{\"query_id\":\"a-1\",\"time\":1722942950000", |i| format!(",\"k{i}\":{i}"), n, "}")).with_memory(200),
    shape("rows: equal keys", json_lines, |n| repeat("{\"query_id\":\"a-1\"", ",\"a\":0", n, "}")),
    shape("rows: escapes", json_lines, |n| repeat("{\"query_id\":\"a-1\",\"time\":1722942950000,\"stmt\":\"", "\\u0041", n, "\"}")),
    shape("rows: CSV", csv, |n| repeat("", "a-1\t2026-03-01 10:00:00\tselect 1\t5\n", n, "")),
    shape("rows: short lines", csv, |n| repeat("", "\n", n, "")),
    shape("rows: columns", csv, |n| repeat("", "0\t", n, "")),
    shape("file: records", file, |n| repeat("", RECORD, n, "")),
    shape("file: JSON", file, |n| repeat("[{}", ",{\"query_id\":\"a-1\",\"time\":1722942950000}", n, "]")).with_memory(400),
    shape("file: profiles", file, |n| repeat("", SUMMARY, n, "")),
    shape("file: HTML", file, |n| repeat("<pre>Summary:</br>&nbsp;- Profile ID: 1a-1</br>", "&nbsp;&amp;</br>", n, "</pre>")),
    shape("file: table", file, |n| repeat("query_id\ttime\tstmt\n", "a-1\t2026-03-01 10:00:00\tselect 1\n", n, "")),
    shape("file: quoted table", file, |n| repeat("query_id,time,stmt\n", "a-1,2026-03-01 10:00:00,\"\n\"\n", n, "")),
    shape("file: containers", file, |n| repeat("", "{\"log\":\"2026-03-01 10:00:00,000 [query] |QueryId=1a-1\\n\",\"stream\":\"stdout\"}\n", n, "")),
    shape("file: anything", file, |n| repeat("", "\0\u{1}", n, "")),
    shape("archive: members of a tar", fuzzing::archive, |n| members(3, n)).with_memory(400),
    shape("archive: members of a zip", fuzzing::archive, |n| members(4, n)).with_memory(400),
    shape("archive: gzip", fuzzing::archive, |n| repeat("\u{2}", RECORD, n, "")),
    shape("queries: parameters", fuzzing::queries, |n| pieces("/?", |i| format!("p{i}=1&"), n, "")).with_memory(200),
    shape("queries: escapes", fuzzing::queries, |n| repeat("/?user=", "%41", n, "")),
    shape("search: equal words", search_equal_words, |n| repeat("", "select a from t\n", n, "")),
    shape("search: statement", search, |n| repeat("", "select words1 from words2 ", n, "")),
    shape("headers: cookies", fuzzing::headers, |n| repeat("\u{1f}Cookie: ", "a=b; ", n, "\n")),
    shape("headers: tags", fuzzing::headers, |n| repeat("\u{1f}If-None-Match: ", "\"a\", ", n, "\n")),
    shape("headers: columns", fuzzing::headers, |n| repeat("\u{1f}columns: a", ",a", n, "\n")),
    shape("headers: Basic", fuzzing::headers, |n| repeat("\u{1f}Authorization: Basic ", "YTph", n, "\n")),
    shape("headers: lines", fuzzing::headers, |n| pieces("\u{1f}PUT /api/\n", |i| format!("h{i}: \u{1}\n"), n, "\n")).with_memory(200),
];

fn audit_log(bytes: &[u8]) -> usize {
    fuzzing::audit_log(bytes)
}

fn profile(bytes: &[u8]) -> usize {
    fuzzing::profile(bytes)
}

fn flames(bytes: &[u8]) -> usize {
    let text = String::from_utf8_lossy(bytes);
    let tree = Section::parse(&text);
    let operators = operators(&tree);
    flame_graph_svg(&operators, "growth").unwrap().len()
}

fn profile_page(bytes: &[u8]) -> usize {
    operators_page(bytes).into_string().len()
}

fn json_lines(bytes: &[u8]) -> usize {
    fuzzing::rows_of(bytes, &Format::json(JsonKind::Lines))
}

fn json_array(bytes: &[u8]) -> usize {
    fuzzing::rows_of(bytes, &Format::json(JsonKind::Array))
}

fn csv(bytes: &[u8]) -> usize {
    // The first byte chooses tabs.
    fuzzing::rows(&[&[0], bytes].concat())
}

fn file(bytes: &[u8]) -> usize {
    fuzzing::read_file(bytes, Path::new("fe.audit.log"), None).1
}

fn search(bytes: &[u8]) -> usize {
    // As many words as a search may have.
    let words = "words1 words2 ".repeat(Search::MAX_CHARS / 14);
    usize::from(Search::new(None, Some(&words)).unwrap().matches(bytes))
}

/// Searches the statements, one a line, for one word many times and another one.
fn search_equal_words(statements: &[u8]) -> usize {
    let search =
        Search::new(None, Some(&["from ".repeat(190), "missing".into()].concat())).unwrap();
    statements.split(|byte| *byte == b'\n').filter(|statement| search.matches(statement)).count()
}

fn repeat(before: &str, piece: &str, bytes: usize, behind: &str) -> Vec<u8> {
    [before, &piece.repeat(bytes.div_ceil(piece.len())), behind].concat().into_bytes()
}

fn pieces(before: &str, piece: impl Fn(usize) -> String, bytes: usize, behind: &str) -> Vec<u8> {
    let mut text = before.to_string();
    for number in 0.. {
        if text.len() >= bytes {
            break;
        }
        text += &piece(number);
    }
    text += behind;
    text.into_bytes()
}

/// Returns a record whose statement has these pieces.
fn statement(before: &str, piece: impl Fn(usize) -> String, bytes: usize) -> Vec<u8> {
    let (start, end) = RECORD.split_once("select a from t").unwrap();
    pieces(&[start, before].concat(), piece, bytes, end)
}

/// Returns a record of a version that writes the statement last.
fn last_statement(piece: impl Fn(usize) -> String, bytes: usize) -> Vec<u8> {
    let (start, _) = RECORD.split_once("a from t").unwrap();
    pieces(&[start, "1 -- "].concat(), piece, bytes, "\n")
}

/// Returns a record whose error message has these pieces.
fn message(piece: impl Fn(usize) -> String, bytes: usize) -> Vec<u8> {
    let (start, end) = RECORD.split_once("|Time(ms)").unwrap();
    pieces(start, piece, bytes, &["|Time(ms)", end].concat())
}

fn below(before: &str, piece: impl Fn(usize) -> String, bytes: usize) -> Vec<u8> {
    pieces(&[SUMMARY, before].concat(), piece, bytes, "\n")
}

fn merged(piece: impl Fn(usize) -> String, bytes: usize) -> Vec<u8> {
    below("MergedProfile:\n  Fragments:\n    Fragment 0:\n      Pipeline 0:\n", piece, bytes)
}

/// Returns fragments within fragments, then leaves within the innermost one.
fn nested_fragments(bytes: usize) -> Vec<u8> {
    const DEPTH: usize = 250;
    let fragment = |depth: usize| format!("{}Fragment {depth}:\n", " ".repeat(depth));
    let fragments: String = (0..DEPTH).map(fragment).collect();
    below(&fragments, |_| format!("{}a:\n", " ".repeat(DEPTH)), bytes)
}

/// Returns an input of [`fuzzing::archive`] whose members are short.
fn members(choice: u8, bytes: usize) -> Vec<u8> {
    [&[choice], b"2026-03-01 10:0\xff".repeat(bytes / 16).as_slice()].concat()
}

/// Returns the processor time of this thread in nanoseconds: what other processes do does not count.
pub(crate) fn thread_time_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

struct Cost {
    ns: u64,
    memory_bytes: u64,
}

/// Returns the least time of some readings, and the most memory that was in use at once.
fn cost(shape: &Shape, input: &[u8]) -> Cost {
    let mut cost = Cost { ns: u64::MAX, memory_bytes: 0 };
    for _ in 0..3 {
        let began = thread_time_ns();
        let allocated = allocation_counter::measure(|| {
            black_box((shape.read)(black_box(input)));
        });
        let ns = thread_time_ns() - began;
        cost.ns = cost.ns.min(ns);
        cost.memory_bytes = cost.memory_bytes.max(allocated.bytes_max);
        // A long time need not be measured again.
        if ns > 100 * LEAST_NS {
            break;
        }
    }
    cost
}

/// Returns what is wrong with how the cost of a shape grows, if anything.
fn fault(shape: &Shape) -> Option<String> {
    let inputs = [1, 4].map(|times| (shape.make)(times * SMALL_BYTES));
    let [small, large] = [0, 1].map(|at| cost(shape, &inputs[at]));
    let growth = |small: u64, large: u64| large as f64 / small.max(1) as f64;
    let time = growth(small.ns.max(LEAST_NS), large.ns);
    let memory = growth(small.memory_bytes.max(1 << 20), large.memory_bytes);
    let each = large.memory_bytes / inputs[1].len() as u64;
    let is_fine =
        time <= MOST_GROWTH && memory <= MOST_GROWTH && each <= shape.most_memory as u64 + 8;
    let figures = format!(
        "{:<40} {:>8.1} ms, {time:.1} times as long for 4 times the input; {each} bytes of memory a byte",
        shape.name,
        large.ns as f64 / 1e6
    );
    println!("{figures}");
    (!is_fine).then_some(figures)
}

#[test]
#[ignore = "needs a minute"]
fn time_and_memory_grow_with_the_input() {
    let lasting = |shape: &Shape| {
        let mut faults = (0..ATTEMPTS).map_while(|_| fault(shape));
        let first = faults.next()?;
        (faults.count() == ATTEMPTS - 1).then_some(first)
    };
    let faults: Vec<String> = SHAPES.iter().filter_map(lasting).collect();
    assert!(faults.is_empty(), "these grow too much:\n{}", faults.join("\n"));
}
