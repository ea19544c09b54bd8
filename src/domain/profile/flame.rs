//! A flame graph of a profile's operators.

use std::io;

use inferno::flamegraph::{self, Options, TextTruncateDirection};

use super::operators::Operator;

/// The width in pixels. What would be narrower than a tenth of one cannot be seen, and is left out.
const WIDTH: usize = 1200;
/// Deeper operators are drawn at this depth.
const MAX_DEPTH: usize = 64;
/// The longest name of a frame, in characters.
const MAX_NAME_CHARS: usize = 80;

/// A flame graph of the own times of operators as SVG: the operators of a plan stand on each other, as wide
/// as the time of them and of all above them. With a script that zooms and finds, where it may run.
pub(crate) fn flame_svg(operators: &[Operator], title: &str) -> io::Result<Vec<u8>> {
    let mut lines = Vec::new();
    let mut stack = Vec::new();
    for operator in operators {
        collect(operator, &mut stack, &mut lines);
    }
    let mut options = Options::default();
    options.title = title.to_string();
    options.count_name = "ms".to_string();
    options.factor = 1e-3;
    options.image_width = Some(WIDTH);
    options.deterministic = true;
    options.text_truncate_direction = TextTruncateDirection::Right;
    let mut svg = Vec::new();
    // The library takes no picture of nothing for a picture.
    if lines.is_empty() {
        lines.push("no operator tells its time 1".to_string());
    }
    flamegraph::from_lines(&mut options, lines.iter().map(String::as_str), &mut svg)
        .map_err(io::Error::other)?;
    Ok(svg)
}

/// Writes a line for each operator: the frames from the root to it, and its own time in microseconds.
fn collect(operator: &Operator, stack: &mut Vec<String>, lines: &mut Vec<String>) {
    if stack.is_empty()
        && let Some(fragment) = &operator.fragment
    {
        stack.push(format!("Fragment {fragment}").replace(';', ","));
        collect(operator, stack, lines);
        stack.pop();
        return;
    }
    let deeper = stack.len() < MAX_DEPTH;
    if deeper {
        let name: String = operator.name.chars().take(MAX_NAME_CHARS).collect();
        stack.push(name.replace([';', '\n'], ","));
    }
    // The narrowest that can be seen: a tenth of a pixel.
    let visible = operator.share * WIDTH as f64 * 10.0 >= 1.0;
    if let Some(ns) = operator.time_ns.filter(|_| visible) {
        lines.push(format!("{} {}", stack.join(";"), ns.div_ceil(1000)));
    }
    for child in &operator.children {
        collect(child, stack, lines);
    }
    if deeper {
        stack.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Section, operators};
    use super::*;

    #[test]
    fn operators_are_drawn_and_their_names_are_no_markup() {
        let text = "Fragment 0:\n  A_SINK (id=1 <script>alert(1)</script> & \";):\n    - ExecTime: 3ms\n    \
             B_SCAN (id=2):\n      - ExecTime: 5ms\n";
        let svg = flame_svg(&operators(&Section::parse(text)), "<b>query</b> 1a-2b").unwrap();
        let svg = String::from_utf8(svg).unwrap();
        for expected in ["Fragment 0 (8 ms, 100.00%)", "B_SCAN (id=2) (5 ms, 62.50%)"] {
            assert!(svg.contains(expected), "{expected}: {svg}");
        }
        assert!(svg.contains("&lt;script&gt;alert(1)"), "{svg}");
        assert!(!svg.contains("<script>alert") && !svg.contains("<b>"), "{svg}");
        let empty = String::from_utf8(flame_svg(&[], "none").unwrap()).unwrap();
        assert!(empty.contains("no operator tells its time"));
    }
}
