//! Draws flame graphs of operators as SVG.

use std::io;

use inferno::flamegraph::{self, Options, TextTruncateDirection};

use crate::domain::profile::{Operator, flame_stacks};

/// The width of the graph in pixels.
const WIDTH: usize = 1200;
/// The smallest share of an operator that is drawn: a tenth of a pixel. Nobody sees narrower frames.
const MIN_SHARE: f64 = 1.0 / (WIDTH as f64 * 10.0);
/// The longest label of a frame, in characters.
const MAX_LABEL_CHARS: usize = 80;

/// Returns a flame graph of the own times of operators. Each operator stands on the operator that receives its rows,
/// and is as wide as its own time and the times of all operators on top of it. The SVG has a script for zoom and search.
pub(crate) fn flame_graph_svg(operators: &[Operator<'_>], title: &str) -> io::Result<Vec<u8>> {
    let stacks = flame_stacks(operators, MIN_SHARE).into_iter().map(|stack| {
        let fragment = stack.fragment.map(|fragment| format!("Fragment {}", label(fragment)));
        let names = stack.frames.iter().map(|name| label(name));
        let labels: Vec<String> = fragment.into_iter().chain(names).collect();
        format!("{} {}", labels.join(";"), stack.time_ns.div_ceil(1000))
    });
    let mut lines: Vec<String> = stacks.collect();
    // inferno returns an error for an empty graph.
    if lines.is_empty() {
        lines.push("no operator has a time 1".to_string());
    }
    let mut options = Options::default();
    options.title = title.to_string();
    options.count_name = "ms".to_string();
    // The lines have microseconds.
    options.factor = 1e-3;
    options.image_width = Some(WIDTH);
    options.deterministic = true;
    options.text_truncate_direction = TextTruncateDirection::Right;
    let mut svg = Vec::new();
    flamegraph::from_lines(&mut options, lines.iter().map(String::as_str), &mut svg)
        .map_err(io::Error::other)?;
    Ok(svg)
}

/// Returns the label of a frame without the characters that separate frames and stacks in inferno's input.
fn label(name: &str) -> String {
    let label: String = name.chars().take(MAX_LABEL_CHARS).collect();
    label.replace([';', '\n'], ",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::profile::{Section, operators};

    #[test]
    fn operators_are_drawn_and_their_names_are_no_markup() {
        let text = "Fragment 0:\n  A_SINK (id=1 <script>alert(1)</script> & \";):\n    - ExecTime: 3ms\n    \
             B_SCAN (id=2):\n      - ExecTime: 5ms\n";
        let section = Section::parse(text);
        let svg = flame_graph_svg(&operators(&section), "<b>query</b> 1a-2b").unwrap();
        let svg = String::from_utf8(svg).unwrap();
        for expected in ["Fragment 0 (8 ms, 100.00%)", "B_SCAN (id=2) (5 ms, 62.50%)"] {
            assert!(svg.contains(expected), "{expected}: {svg}");
        }
        assert!(svg.contains("&lt;script&gt;alert(1)"), "{svg}");
        assert!(!svg.contains("<script>alert") && !svg.contains("<b>"), "{svg}");
        let empty = String::from_utf8(flame_graph_svg(&[], "none").unwrap()).unwrap();
        assert!(empty.contains("no operator has a time"));
    }
}
