//! The short form of fuzzing, which needs neither a nightly compiler nor cargo-fuzz: the corpus, and inputs that are made
//! of it by chance.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use super::*;

type Target = fn(&[u8]) -> usize;

/// The fuzz targets by name, with the dictionary of each.
const TARGETS: [(&str, &str, Target); 8] = [
    ("archive", "archive", archive),
    ("audit_log", "audit_log", audit_log),
    ("fingerprint", "sql", fingerprint),
    ("headers", "http", headers),
    ("layout", "sql", layout),
    ("profile", "profile", profile),
    ("queries", "http", queries),
    ("rows", "rows", rows),
];

/// How many inputs each target gets by chance: some seconds in a build without optimization, ten seconds in one with.
const INPUTS: usize = if cfg!(debug_assertions) { 200 } else { 100_000 };

/// The length of an input in bytes, as in `fuzz/run`.
const MOST_BYTES: usize = 1024;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(name)
}

/// Returns the inputs of a corpus, in the same order on each machine.
fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = std::fs::read_dir(folder("corpus").join(target)).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{target}");
    let read = |file: PathBuf| (file.clone(), std::fs::read(file).unwrap());
    files.into_iter().map(read).collect()
}

/// Returns the words of a dictionary: one in quotes a line, with escapes as `\x0a`.
fn dictionary(name: &str) -> Vec<Vec<u8>> {
    let text =
        std::fs::read_to_string(folder("dictionaries").join(format!("{name}.dict"))).unwrap();
    let quoted = |line: &str| {
        let (_, rest) = line.split_once('"')?;
        let (word, _) = rest.rsplit_once('"')?;
        Some(unescaped(word))
    };
    let words: Vec<_> =
        text.lines().filter(|line| !line.starts_with('#')).filter_map(quoted).collect();
    assert!(!words.is_empty(), "{name}");
    words
}

fn unescaped(word: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = word;
    while let Some((before, escape)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        if let Some(hex) = escape.strip_prefix('x') {
            bytes.push(u8::from_str_radix(&hex[..2], 16).unwrap());
            rest = &hex[2..];
        } else {
            bytes.push(escape.as_bytes()[0]);
            rest = &escape[1..];
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

/// Numbers that look like chance, the same ones in each run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) as usize % end.max(1)
    }

    fn of<'a>(&mut self, list: &'a [Vec<u8>]) -> &'a [u8] {
        &list[self.below(list.len())]
    }

    /// Returns a part of some bytes, at most `most` long.
    fn part<'a>(&mut self, bytes: &'a [u8], most: usize) -> &'a [u8] {
        let start = self.below(bytes.len() + 1);
        &bytes[start..][..self.below(most.min(bytes.len() - start) + 1)]
    }

    /// Changes an input a few times.
    fn change(&mut self, input: &mut Vec<u8>, corpus: &[Vec<u8>], words: &[Vec<u8>]) {
        for _ in 0..=self.below(6) {
            let at = self.below(input.len() + 1);
            let end = at + self.below(16.min(input.len() - at) + 1);
            let replacement = match self.below(8) {
                0 => Vec::new(),
                1 => vec![self.below(256) as u8],
                2 => input[at..end].iter().map(|byte| byte ^ (1 << self.below(8))).collect(),
                3 => input[at..end].repeat(2 + self.below(6)),
                4 | 5 => [&input[at..end], self.of(words)].concat(),
                6 => self.of(words).to_vec(),
                _ => {
                    let other = self.of(corpus);
                    self.part(other, 200).to_vec()
                }
            };
            input.splice(at..end, replacement);
        }
        input.truncate(MOST_BYTES);
    }
}

#[test]
fn the_corpus_keeps_all_promises() {
    for (name, _, read) in TARGETS {
        for (file, input) in corpus(name) {
            // A panic says which promise is broken, and this says by which file.
            println!("{}", file.display());
            read(&input);
        }
    }
}

#[test]
fn inputs_by_chance_keep_all_promises() {
    std::thread::scope(|scope| {
        for (name, words, read) in TARGETS {
            scope.spawn(move || {
                let corpus: Vec<Vec<u8>> =
                    corpus(name).into_iter().map(|(_, input)| input).collect();
                let words = dictionary(words);
                let mut chance = Chance(7);
                for _ in 0..INPUTS {
                    let mut input = chance.of(&corpus).to_vec();
                    chance.change(&mut input, &corpus, &words);
                    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| read(&input))) {
                        let kept = folder("artifacts").join(format!("{name}-by-chance"));
                        std::fs::create_dir_all(folder("artifacts")).unwrap();
                        std::fs::write(&kept, &input).unwrap();
                        println!("{} breaks a promise", kept.display());
                        std::panic::resume_unwind(panic);
                    }
                }
            });
        }
    });
}
