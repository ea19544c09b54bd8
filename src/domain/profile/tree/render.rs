//! Draws the tree as text.

use super::{Section, is_merged};

/// Deeper sections are not indented further.
const MAX_INDENTS: usize = 32;

/// A longer drawing is cut.
const MAX_BYTES: usize = 8 << 20;

impl Section<'_> {
    /// Draws the fragments that [`Section::fragments`] returns with all sections below them, each on a line with its
    /// time. A drawing larger than 8 MiB is cut and ends in a line that says so.
    pub(crate) fn render_tree(&self) -> String {
        let mut drawing = String::new();
        let is_complete = self.part(is_merged).unwrap_or(self).render_fragments(&mut drawing);
        if drawing.is_empty() {
            self.render_fragments(&mut drawing);
        }
        if !is_complete {
            drawing.push_str("annals draws 8 MiB; the text of the profile has the rest …\n");
        }
        drawing
    }

    /// Appends all fragments, and returns whether the drawing is complete.
    fn render_fragments(&self, drawing: &mut String) -> bool {
        match self.fragment_id() {
            Some(_) => self.render(&mut String::new(), "", 0, drawing),
            None => self.children.iter().all(|child| child.render_fragments(drawing)),
        }
    }

    /// Appends this section behind `indent` and `branch`, and the sections within it. Returns whether the drawing is
    /// complete.
    fn render(
        &self,
        indent: &mut String,
        branch: &str,
        depth: usize,
        drawing: &mut String,
    ) -> bool {
        if drawing.len() > MAX_BYTES {
            return false;
        }
        drawing.push_str(indent);
        drawing.push_str(branch);
        drawing.push_str(&self.name);
        if let Some(time) = self.time() {
            drawing.push_str("  ");
            drawing.push_str(time);
        }
        drawing.push('\n');
        let length = indent.len();
        if depth < MAX_INDENTS {
            indent.push_str(match branch {
                "" => "",
                "└─ " => "   ",
                _ => "│  ",
            });
        }
        let mut children = self.children.iter().peekable();
        let mut is_complete = true;
        while let Some(child) = children.next().filter(|_| is_complete) {
            let branch = if children.peek().is_none() { "└─ " } else { "├─ " };
            is_complete = child.render(indent, branch, depth + 1, drawing);
        }
        indent.truncate(length);
        is_complete
    }
}
