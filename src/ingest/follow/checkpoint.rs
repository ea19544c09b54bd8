//! How far each followed file is in the history.

use std::collections::HashMap;

use xxhash_rust::xxh3::xxh3_128;

use crate::store::FollowedFile;

/// Bytes at the start of a text that tell it from others: some records, each with a time and an id.
pub(super) const HEAD_BYTES: usize = 1024;

/// Returns the name by which a text with this start is stored.
pub(super) fn hash(head: &[u8]) -> String {
    format!("{:032x}", xxh3_128(head))
}

/// The committed checkpoints.
pub(super) struct Checkpoints(Vec<FollowedFile>);

impl Checkpoints {
    pub(super) fn new(committed: Vec<FollowedFile>) -> Checkpoints {
        Checkpoints(committed)
    }

    /// Returns the checkpoint of the text that begins with `head`.
    pub(super) fn find(&self, head: &[u8]) -> Option<&FollowedFile> {
        // Most checkpoints have heads of one size, so that size is hashed once.
        let mut hashes: HashMap<i64, String> = HashMap::new();
        let matching = self.0.iter().filter(|known| {
            let start = usize::try_from(known.head_bytes).ok().and_then(|bytes| head.get(..bytes));
            start.is_some_and(|start| {
                *hashes.entry(known.head_bytes).or_insert_with(|| hash(start)) == known.head_hash
            })
        });
        matching.max_by_key(|known| known.head_bytes)
    }

    /// Puts a checkpoint in the place of the one before of the same file.
    pub(super) fn put(&mut self, checkpoint: &FollowedFile) {
        self.0.retain(|known| {
            known.head_hash != checkpoint.head_hash
                && Some(&known.head_hash) != checkpoint.replaces.as_ref()
        });
        self.0.push(FollowedFile { replaces: None, ..checkpoint.clone() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint(head: &[u8], replaces: Option<&[u8]>) -> FollowedFile {
        FollowedFile {
            head_hash: hash(head),
            head_bytes: head.len() as i64,
            read_bytes: 7,
            path: "fe.audit.log".to_string(),
            file_bytes: 0,
            modified_ms: 0,
            replaces: replaces.map(hash),
        }
    }

    #[test]
    fn a_text_is_found_by_its_longest_committed_head() {
        let (short, long) = (checkpoint(b"2024", None), checkpoint(b"2024-08-06", None));
        let checkpoints = Checkpoints::new(vec![long.clone(), short.clone()]);
        assert_eq!(checkpoints.find(b"2024-08-06 11:15"), Some(&long));
        assert_eq!(checkpoints.find(b"2024-09-01 00:00"), Some(&short));
        // A text that is shorter than the head is another one, or was cut.
        assert_eq!(checkpoints.find(b"202"), None);
    }

    #[test]
    fn a_longer_head_replaces_the_shorter_one_of_the_same_file() {
        let mut checkpoints = Checkpoints::new(vec![checkpoint(b"2024", None)]);
        checkpoints.put(&checkpoint(b"2024-08-06", Some(b"2024")));
        assert_eq!(checkpoints.find(b"2024-09-01"), None);
        let found = checkpoints.find(b"2024-08-06").unwrap();
        assert_eq!((found.head_bytes, &found.replaces), (10, &None));
        checkpoints.put(&FollowedFile { read_bytes: 9, ..checkpoint(b"2024-08-06", None) });
        assert_eq!((checkpoints.0.len(), checkpoints.0[0].read_bytes), (1, 9));
    }
}
