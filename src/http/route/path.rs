//! The patterns of paths.

use std::future::ready;

use warp::filters::path::FullPath;
use warp::{Filter, Rejection};

/// The parts of a path that vary.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct PathValues(Vec<(&'static str, String)>);

impl PathValues {
    /// Returns a part as it was sent, percent signs included; an empty text if the pattern does not have this name.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
    }
}

/// Compares a path with a pattern. Returns the parts that vary, or `None` if the path is another.
pub(in crate::http) fn values(pattern: &'static str, path: &str) -> Option<PathValues> {
    let mut values = PathValues::default();
    let mut rest = path.strip_prefix('/').unwrap_or(path);
    for part in pattern.split('/').skip(1) {
        let name = part.strip_prefix('{').and_then(|name| name.strip_suffix('}'));
        if let Some(name) = name.and_then(|name| name.strip_prefix('*')) {
            values.0.push((name, rest.to_string()));
            return Some(values);
        }
        let (segment, behind) = rest.split_once('/').unwrap_or((rest, ""));
        match name {
            Some(name) if !segment.is_empty() => values.0.push((name, segment.to_string())),
            // An empty part is the end of the path.
            None if segment == part && !rest.starts_with('/') => {}
            _ => return None,
        }
        rest = behind;
    }
    rest.is_empty().then_some(values)
}

/// Passes requests to a path of this pattern, with a slash at its end or without.
pub(crate) fn at(
    pattern: &'static str,
) -> impl Filter<Extract = (PathValues,), Error = Rejection> + Clone {
    warp::path::full().and_then(move |path: FullPath| {
        ready(values(pattern, path.as_str()).ok_or_else(warp::reject::not_found))
    })
}

/// Whether a path is `start`, or `start` and further parts.
pub(in crate::http) fn is_at_or_below(start: &str, path: &str) -> bool {
    path.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_compared_with_its_pattern() {
        let of = |pattern, path| {
            values(pattern, path)
                .map(|values| values.0.into_iter().map(|(_, value)| value).collect())
        };
        let parts =
            |parts: &[&str]| Some(parts.iter().map(ToString::to_string).collect::<Vec<_>>());
        for (pattern, path, expected) in [
            ("/", "/", parts(&[])),
            ("/", "//", None),
            ("/a/b", "/a/b", parts(&[])),
            ("/a/b", "/a/b/", parts(&[])),
            ("/a/b", "/a/b//", None),
            ("/a/b", "/a//b", None),
            ("/a/b", "/a/bc", None),
            ("/a/b", "/a", None),
            ("/a/{id}/b", "/a/1%202/b", parts(&["1%202"])),
            ("/a/{id}/b", "/a//b", None),
            ("/a/{*id}", "/a/x/y/", parts(&["x/y/"])),
            ("/a/{*id}", "/a", parts(&[""])),
            ("/a/{*id}", "/ab", None),
        ] {
            assert_eq!(of(pattern, path), expected, "{pattern} {path}");
        }
    }
}
