//! Packing the profiles of a batch beside the thread that reads them: it takes most of the time of an import of profiles.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use super::profile_body::pack;
use crate::domain::record::QueryRecord;
use crate::domain::statement::Fingerprint;

/// The most threads that pack for one batch, beside the caller's.
const MAX_THREADS: usize = 4;
/// Bytes of texts that one thread packs: some milliseconds.
const PART_BYTES: usize = 512 << 10;

/// A profile with its text as it arrived.
#[derive(Debug, Clone)]
pub(super) struct UnpackedProfile {
    pub(super) summary: QueryRecord,
    pub(super) fingerprint: Option<Fingerprint>,
    pub(super) text: Vec<u8>,
}

/// A profile with its text in the form in which it is stored.
#[derive(Debug)]
pub(super) struct PackedProfile {
    pub(super) summary: QueryRecord,
    pub(super) fingerprint: Option<Fingerprint>,
    pub(super) text_bytes: i64,
    pub(super) body: Vec<u8>,
}

/// Profiles on their way into a batch. Parts of them are packed on other threads while the source reads on.
#[derive(Debug, Default)]
pub(super) struct Packing {
    /// What no thread packs yet.
    waiting: Vec<UnpackedProfile>,
    waiting_bytes: usize,
    /// The oldest first.
    running: VecDeque<Part>,
}

/// Profiles that a thread packs.
#[derive(Debug)]
struct Part {
    profiles: Arc<Vec<UnpackedProfile>>,
    thread: JoinHandle<Vec<Vec<u8>>>,
}

impl Packing {
    /// Adds a profile. Returns the profiles that are packed, in the order in which they were added. Waits for the oldest
    /// part while each core packs one.
    pub(super) fn add(&mut self, profile: UnpackedProfile) -> Vec<PackedProfile> {
        self.waiting_bytes += profile.text.len();
        self.waiting.push(profile);
        if self.waiting_bytes < PART_BYTES {
            return Vec::new();
        }
        self.waiting_bytes = 0;
        let profiles = Arc::new(std::mem::take(&mut self.waiting));
        let part = profiles.clone();
        let pack_part = move || part.iter().map(body).collect();
        match thread::Builder::new().spawn(pack_part) {
            Ok(thread) => {
                self.running.push_back(Part { profiles, thread });
                let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
                let is_busy = self.running.len() > cores.min(MAX_THREADS);
                let oldest = if is_busy { self.running.pop_front() } else { None };
                oldest.map(Part::finished).unwrap_or_default()
            }
            // Without another thread, the caller's packs.
            Err(_) => {
                let bodies = profiles.iter().map(body).collect();
                let before = self.running.drain(..).flat_map(Part::finished);
                before.chain(joined(profiles, bodies)).collect()
            }
        }
    }

    /// Returns the profiles that were added and not returned yet, packed, in their order.
    pub(super) fn finish(&mut self) -> Vec<PackedProfile> {
        self.waiting_bytes = 0;
        let last = Arc::new(std::mem::take(&mut self.waiting));
        // The caller's thread packs as the others do.
        let bodies = last.iter().map(body).collect();
        let before = self.running.drain(..).flat_map(Part::finished);
        before.chain(joined(last, bodies)).collect()
    }

    /// Returns how many profiles were added and not returned.
    pub(super) fn len(&self) -> usize {
        self.waiting.len() + self.running.iter().map(|part| part.profiles.len()).sum::<usize>()
    }
}

impl Part {
    /// Returns the profiles once they are packed.
    fn finished(self) -> Vec<PackedProfile> {
        let bodies = self.thread.join().unwrap_or_else(|panic| resume_unwind(panic));
        joined(self.profiles, bodies)
    }
}

fn body(profile: &UnpackedProfile) -> Vec<u8> {
    pack(&profile.text)
}

fn joined(profiles: Arc<Vec<UnpackedProfile>>, bodies: Vec<Vec<u8>>) -> Vec<PackedProfile> {
    let both = Arc::unwrap_or_clone(profiles).into_iter().zip(bodies);
    let both = both.map(|(profile, body)| {
        let UnpackedProfile { summary, fingerprint, text } = profile;
        PackedProfile { summary, fingerprint, text_bytes: text.len() as i64, body }
    });
    both.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::record::{Kind, Origin};
    use crate::store::profile_body::unpack;

    #[test]
    fn profiles_stay_in_their_order_and_each_has_its_own_text() {
        let whole = include_str!("../../tests/profiles/doris-4.0.txt");
        let profile = |number: usize| {
            let id = format!("{number:x}-1").parse().unwrap();
            let summary = QueryRecord::new(id, Kind::Query, Origin::Summary);
            let text = format!("{whole}  - Number: {number}\n");
            UnpackedProfile { summary, fingerprint: None, text: text.into_bytes() }
        };
        let mut packing = Packing::default();
        let mut packed: Vec<_> = (0..200).flat_map(|number| packing.add(profile(number))).collect();
        assert_eq!(packed.len() + packing.len(), 200);
        packed.extend(packing.finish());
        assert_eq!(packing.len(), 0);
        assert_eq!(packed.len(), 200);
        for (number, packed) in packed.iter().enumerate() {
            let expected = profile(number);
            assert_eq!(packed.summary, expected.summary);
            assert_eq!(unpack(&packed.body, packed.text_bytes).unwrap(), expected.text);
        }
    }
}
