//! Paths into JSON, as stream loads have them.

use serde_json::Value;

use super::BodyError;

/// A path into JSON: keys and positions from the root.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Path(pub Vec<Step>);

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    Key(String),
    Position(usize),
}

impl Path {
    /// Parses `$.key.other[0]`. Keys may be in double quotes, `$."a.b"`, or in brackets, `$["a.b"]`.
    ///
    /// Errors if the text is no path, or has wildcards or filters.
    pub(super) fn parse(text: &str) -> Result<Path, BodyError> {
        let bad = || BodyError::Path(text.to_string());
        let mut rest = text.trim().strip_prefix('$').ok_or_else(bad)?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let (step, after) = match rest.strip_prefix('[') {
                Some(inside) => Step::in_brackets(inside),
                None => rest.strip_prefix('.').and_then(Step::after_dot),
            }
            .ok_or_else(bad)?;
            steps.push(step);
            rest = after;
        }
        Ok(Path(steps))
    }

    /// Returns what a value has at this path, or None if it has nothing there.
    pub(super) fn get<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        self.0.iter().try_fold(value, |value, step| match step {
            Step::Key(key) => value.get(key),
            Step::Position(position) => value.get(position),
        })
    }

    pub(super) fn text(&self) -> String {
        let steps = self.0.iter().map(|step| match step {
            Step::Key(key) => format!(".{key}"),
            Step::Position(position) => format!("[{position}]"),
        });
        std::iter::once("$".to_string()).chain(steps).collect()
    }
}

impl Step {
    /// Returns the step after a `[`, and the text after its `]`.
    fn in_brackets(text: &str) -> Option<(Step, &str)> {
        let quote = text.chars().next().filter(|char| matches!(char, '"' | '\''));
        if let Some(quote) = quote {
            let (key, after) = text[1..].split_once(quote)?;
            return Some((Step::Key(key.to_string()), after.strip_prefix(']')?));
        }
        let (position, after) = text.split_once(']')?;
        Some((Step::Position(position.trim().parse().ok()?), after))
    }

    /// Returns the step after a `.`, and the text after the step.
    fn after_dot(text: &str) -> Option<(Step, &str)> {
        if let Some(quoted) = text.strip_prefix('"') {
            let (key, after) = quoted.split_once('"')?;
            return Some((Step::Key(key.to_string()), after));
        }
        let end = text.find(['.', '[']).unwrap_or(text.len());
        let (key, after) = text.split_at(end);
        let is_key = !key.is_empty() && !key.contains(['*', '?', '(', '@']);
        is_key.then(|| (Step::Key(key.to_string()), after))
    }
}

/// Returns the name and the path of each column: the name from `columns`, else the last key of the path.
///
/// Errors if a path is not supported, or has no name.
pub(super) fn columns_of_paths(
    paths: &[String],
    columns: &[String],
) -> Result<Vec<(String, Path)>, BodyError> {
    let mut named = Vec::with_capacity(paths.len());
    for (at, text) in paths.iter().enumerate() {
        let path = Path::parse(text)?;
        let name = match (columns.get(at), path.0.last()) {
            (Some(name), _) | (None, Some(Step::Key(name))) => name.clone(),
            _ => return Err(BodyError::Path(text.clone())),
        };
        named.push((name, path));
    }
    Ok(named)
}
