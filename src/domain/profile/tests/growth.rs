//! What is made of a text, and the time that takes, grow with the text and no faster, whatever the text is.

use super::super::*;
use crate::growth::thread_time_ns;

/// The sizes that are compared, in bytes.
const SMALL: usize = 16 << 10;
const LARGE: usize = 8 * SMALL;
/// The most that time or bytes of the large text may be of those of the small one. Work that grows with the square takes
/// 64 times as long.
const MAX_RATIO: usize = 24;

const HEAD: &str =
    "Summary:\n   - Profile ID: 1a-2b\n   - Total: 3ms\n   - Sql Statement: select 1\n";

/// Repeats a line for each number until the lines have some bytes.
fn repeat(head: &str, bytes: usize, line: impl Fn(usize) -> String) -> String {
    let mut text = head.to_string();
    for number in 0.. {
        if text.len() >= head.len() + bytes {
            break;
        }
        text.push_str(&line(number));
    }
    text
}

/// Returns the text within sections of this depth: `line` is repeated in the innermost.
fn nested(
    bytes: usize,
    depth: usize,
    open: impl Fn(usize) -> String,
    line: impl Fn(usize) -> String,
) -> String {
    let indented = |level: usize, line: String| format!("{}{line}", " ".repeat(level));
    let mut head = format!("{HEAD}MergedProfile:\n");
    for level in 1..=depth {
        head.push_str(&indented(level, open(level)));
    }
    repeat(&head, bytes, |number| indented(depth + 1, line(number)))
}

/// A name and a text of about some bytes.
type Hostile = (&'static str, fn(usize) -> String);

const TEXTS: [Hostile; 18] = [
    ("fragments", |bytes| {
        repeat(&format!("{HEAD}MergedProfile:\n"), bytes, |i| format!("  Fragment {i}:\n"))
    }),
    ("fragments of one number", |bytes| {
        repeat(&format!("{HEAD}MergedProfile:\n"), bytes, |i| {
            format!("  Fragment 0:\n    A_SCAN (id={i}):\n      - ExecTime: 1ms\n")
        })
    }),
    ("fragments in a comment", |bytes| {
        repeat(&format!("{}/*\n", HEAD.trim_end()), bytes, |i| format!("  Fragment {i}:\n"))
    }),
    ("headings in a comment, each before blank lines", |bytes| {
        repeat(&format!("{}/*\n", HEAD.trim_end()), bytes, |i| {
            format!("Fragment {i}:\n{}", "\n".repeat(i % 50))
        })
    }),
    ("a heading in a comment before one long line", |bytes| {
        format!("{}/*\nFragment 0:\n{}", HEAD.trim_end(), "x:(".repeat(bytes / 3))
    }),
    ("nested fragments", |bytes| {
        nested(bytes, 250, |i| format!("Fragment {i}:\n"), |i| format!("A_SCAN (id={i}):\n"))
    }),
    ("nested sections, each with two instances", |bytes| {
        let open = |level: usize| {
            format!("Pipeline 0:\n{}Pipeline 0:\n", " ".repeat(level)).replacen(
                ":\n",
                &format!(":\n{}X_SCAN (id=1):\n", " ".repeat(level + 1)),
                1,
            )
        };
        nested(bytes, 250, open, |i| format!("A_SCAN (id={i}):(Active: {i}ms)\n"))
    }),
    ("nested operators", |bytes| {
        let line = |i| format!("A_SCAN (id={i}):(Active: {i}ns)\n");
        nested(bytes, 250, line, line)
    }),
    ("operators of equal time", |bytes| {
        nested(
            bytes,
            60,
            |i| format!("Fragment {i}:\n"),
            |i| format!("A_B (id={i}):(ExecTime: 1s)\n"),
        )
    }),
    ("a fragment with a long number", |bytes| {
        let name = "1".repeat(bytes / 2);
        repeat(&format!("{HEAD}Fragment {name}x:\n"), bytes, |i| format!("  A_SCAN (id={i}):\n"))
    }),
    ("operators with long names, one above all", |bytes| {
        let name = "x".repeat(bytes / 2);
        let head = format!("{HEAD}Fragment 0:\n  A_SCAN (id=1 {name}):(ExecTime: 1s)\n");
        repeat(&head, bytes, |i| format!("   A_SCAN (id={i}):(ExecTime: 1s)\n"))
    }),
    ("an instance on a backend with a long name", |bytes| {
        let host = "h".repeat(bytes / 2);
        let head =
            format!("{HEAD}Fragments:\n Fragment 0:\n  Instance a (hostname:{host}, port:1):\n");
        repeat(&head, bytes, |i| format!(" Fragment {i}:\n  Instance a:\n"))
    }),
    ("a long time below nested fragments", |bytes| {
        let time = format!("{}1ms", "1m".repeat(bytes / 2));
        nested(bytes, 250, |i| format!("Fragment {i}:\n"), |_| format!("X:(Active: {time})\n"))
    }),
    ("counters", |bytes| {
        repeat(&format!("{HEAD}Fragment 0:\n A_B (id=1):\n"), bytes, |_| "  - a\n".into())
    }),
    ("nested counters", |bytes| {
        repeat(&format!("{HEAD}Fragment 0:\n"), bytes, |i| {
            format!("{}- a: 1\n", " ".repeat(i % 300))
        })
    }),
    ("empty sections", |bytes| {
        repeat(&format!("{HEAD}MergedProfile:\n"), bytes, |_| " S:\n".into())
    }),
    ("blanks", |bytes| HEAD.to_string() + &" ".repeat(bytes)),
    ("one line", |bytes| format!("{HEAD}Fragment 0:\n  A_B (id=1{}):", "(a=, ".repeat(bytes / 5))),
];

/// Makes of a text all that annals makes of one, and returns the number of bytes.
fn make_all(text: &str) -> usize {
    let json = |value: &dyn erased::Json| value.bytes();
    let summary = Profile::summary_of(text.as_bytes(), Zone::UTC).map(|summary| summary.statement);
    let tree = Section::parse(text);
    let operators = operators(&tree);
    let plan = Plan::of(&tree, &operators);
    let stacks = flame_stacks(&operators, 0.0);
    let frames = stacks.iter().flat_map(|stack| &stack.frames).count();
    let fragments = tree.fragments().into_iter().map(|fragment| {
        let instances = fragment.instances.iter().map(|(name, time)| name.len() + time.len());
        fragment.id.len() + fragment.time.len() + instances.sum::<usize>()
    });
    let without_counters = walk(&operators).map(|(depth, operator)| {
        depth + operator.name.len() + operator.fragment.map_or(0, str::len)
    });
    Phases::of(&tree);
    summary.ok().flatten().map_or(0, |statement| statement.len())
        + frames
        + fragments.sum::<usize>()
        + without_counters.sum::<usize>()
        + json(&tree)
        + json(&tree.brief())
        + json(&compare(&plan, &plan))
        + tree.render_tree().len()
}

mod erased {
    /// A value whose JSON can be counted.
    pub(super) trait Json {
        fn bytes(&self) -> usize;
    }

    impl<T: serde::Serialize> Json for T {
        fn bytes(&self) -> usize {
            serde_json::to_string(self).unwrap().len()
        }
    }
}

#[test]
fn bytes_and_time_grow_with_the_text() {
    for (name, text) in TEXTS {
        let (small, large) = (text(SMALL), text(LARGE));
        let measured = |text: &str| {
            let start_ns = thread_time_ns();
            let bytes = make_all(text);
            // Less than two milliseconds are noise.
            (bytes, (thread_time_ns() - start_ns).max(2_000_000))
        };
        let ((small_bytes, small_time), (large_bytes, large_time)) =
            (measured(&small), measured(&large));
        let most = small_bytes * MAX_RATIO;
        assert!(large_bytes < most, "{name}: {small_bytes} to {large_bytes} bytes");
        assert!(large_bytes < 120 * large.len(), "{name}: {large_bytes} bytes of {}", large.len());
        let most = small_time * MAX_RATIO as u64;
        assert!(large_time < most, "{name}: {small_time} to {large_time} ns");
        println!("{name}: {small_bytes} {large_bytes} bytes, {small_time} {large_time} ns");
    }
}

#[test]
fn a_tree_has_a_bounded_number_of_entries() {
    let text = repeat(&format!("{HEAD}MergedProfile:\n"), SMALL, |_| " S:\n".into());
    assert!(!Section::parse(&text).is_cut);
    let tree = Section::parse_within(&text, 100);
    assert!(tree.is_cut);
    assert_eq!(tree.children[1].children.len(), 100 - 5);
    let brief = tree.brief();
    assert!(brief.children.last().unwrap().name.contains("the text has all"));
}
