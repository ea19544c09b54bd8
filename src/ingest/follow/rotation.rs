//! Finds the files to follow: those that the patterns name, and those that a log was rolled to.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashSet};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Device and inode: the identity of a file for as long as it is open.
pub(super) type FileId = (u64, u64);

/// Changes whenever a file does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) bytes: u64,
    /// In Unix milliseconds.
    pub(super) modified_ms: i64,
}

/// A file that a pattern names at this poll.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) id: FileId,
    pub(super) stamp: Stamp,
    pub(super) path: PathBuf,
    /// The number of its pattern.
    pub(super) pattern: usize,
    /// Whether the file was rolled, and so does not grow any more.
    pub(super) rolled: bool,
}

impl Candidate {
    /// Returns `None` if there is no such file.
    fn new(path: PathBuf, pattern: usize, rolled: bool) -> Option<Candidate> {
        let metadata = path.metadata().ok().filter(Metadata::is_file)?;
        let rolled = rolled || is_gzip(&path);
        let (id, stamp) = identity(&metadata);
        Some(Candidate { id, stamp, path, pattern, rolled })
    }
}

pub(super) fn identity(metadata: &Metadata) -> (FileId, Stamp) {
    let modified_ms = metadata.mtime() * 1000 + metadata.mtime_nsec() / 1_000_000;
    ((metadata.dev(), metadata.ino()), Stamp { bytes: metadata.len(), modified_ms })
}

pub(super) fn is_gzip(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "gz")
}

/// What the patterns name at a poll.
#[derive(Debug)]
pub(super) struct Found {
    /// Each file once, by path.
    pub(super) files: Vec<Candidate>,
    /// The numbers of the patterns that name no file.
    pub(super) without_file: Vec<usize>,
    /// Pipes, sockets and devices, which are not followed.
    pub(super) special: Vec<PathBuf>,
}

/// Returns what the patterns name.
pub(super) fn candidates(patterns: &[String]) -> Found {
    let mut candidates: BTreeMap<PathBuf, Candidate> = BTreeMap::new();
    let (mut without_file, mut special) = (Vec::new(), Vec::new());
    for (number, pattern) in patterns.iter().enumerate() {
        let mut live: Vec<PathBuf> = match glob::glob(pattern) {
            Ok(paths) => paths.filter_map(Result::ok).collect(),
            // Not a pattern, but perhaps a name.
            Err(_) => Vec::new(),
        };
        // Between two moments of a rotation, the rolled files exist and the log does not.
        if !live.iter().any(|path| path.as_os_str() == pattern.as_str()) {
            live.push(PathBuf::from(pattern));
        }
        let mut names_a_file = false;
        for rolled in live.iter().flat_map(|path| rolled(path)) {
            if let Some(candidate) = Candidate::new(rolled.clone(), number, true) {
                names_a_file = true;
                candidates.insert(rolled, candidate);
            }
        }
        special.extend(live.iter().filter(|path| is_special(path)).cloned());
        for path in live {
            match candidates.entry(path) {
                Entry::Occupied(_) => names_a_file = true,
                Entry::Vacant(entry) => {
                    if let Some(candidate) = Candidate::new(entry.key().clone(), number, false) {
                        names_a_file = true;
                        entry.insert(candidate);
                    }
                }
            }
        }
        if !names_a_file {
            without_file.push(number);
        }
    }
    let mut ids = HashSet::new();
    let files = candidates.into_values().filter(|candidate| ids.insert(candidate.id)).collect();
    Found { files, without_file, special }
}

/// Whether a path names neither a file nor a folder.
fn is_special(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir())
}

/// Returns the files that a log was rolled to: `fe.audit.log.20240806-1`, `fe.audit.log-20240806.gz`.
fn rolled(path: &Path) -> Vec<PathBuf> {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return Vec::new();
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let Ok(entries) = std::fs::read_dir(folder.unwrap_or(Path::new("."))) else {
        return Vec::new();
    };
    let is_rolled = |entry: &std::fs::DirEntry| {
        let entry = entry.file_name();
        let suffix = entry.to_str().and_then(|entry| entry.strip_prefix(name));
        suffix.is_some_and(|suffix| suffix.len() > 1 && suffix.starts_with(['.', '-']))
    };
    let rolled = entries.filter_map(Result::ok).filter(is_rolled);
    rolled.map(|entry| path.with_file_name(entry.file_name())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(folder: &Path, patterns: &[&str]) -> Vec<(String, usize, bool)> {
        let patterns: Vec<String> =
            patterns.iter().map(|name| folder.join(name).display().to_string()).collect();
        let name = |candidate: &Candidate| {
            candidate.path.strip_prefix(folder).unwrap().display().to_string()
        };
        candidates(&patterns)
            .files
            .iter()
            .map(|candidate| (name(candidate), candidate.pattern, candidate.rolled))
            .collect()
    }

    #[test]
    fn a_log_comes_with_the_files_it_was_rolled_to() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "fe.audit.log", "fe.audit.log.20240806-1", "fe.audit.log-20240805.gz", "fe.audit.log.",
            "fe.audit.log2", "fe.log",
        ] {
            std::fs::write(folder.path().join(name), name).unwrap();
        }
        std::fs::create_dir(folder.path().join("fe.audit.log.d")).unwrap();
        let expected = [
            ("fe.audit.log".to_string(), 0, false),
            ("fe.audit.log-20240805.gz".to_string(), 0, true),
            ("fe.audit.log.20240806-1".to_string(), 0, true),
        ];
        assert_eq!(found(folder.path(), &["fe.audit.log"]), expected);
        // While the log is missing, its rolled files are found.
        std::fs::remove_file(folder.path().join("fe.audit.log")).unwrap();
        assert_eq!(found(folder.path(), &["fe.audit.log"]), expected[1..]);
    }

    #[test]
    fn a_file_is_found_once_and_a_pattern_that_names_a_rolled_file_does_not_make_it_live() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.log", "a.log.1"] {
            std::fs::write(folder.path().join(name), name).unwrap();
        }
        std::fs::hard_link(folder.path().join("a.log"), folder.path().join("b.log")).unwrap();
        let expected = [("a.log".to_string(), 0, false), ("a.log.1".to_string(), 0, true)];
        assert_eq!(found(folder.path(), &["*.log*", "b.log"]), expected);
        assert!(found(folder.path(), &["[", "none"]).is_empty());
        let pattern = |name| folder.path().join(name).display().to_string();
        let patterns = ["a.log", "none", "*.log", "a.log"].map(pattern);
        assert_eq!(candidates(&patterns).without_file, [1]);
    }
}
