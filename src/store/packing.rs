//! Packing the profiles of a batch, and reading their plans, on several threads: both take most of the time of an import of
//! profiles.

use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::profile_body::pack;
use crate::domain::profile::{PlanSummary, lossy};
use crate::domain::record::QueryRecord;
use crate::domain::statement::Fingerprint;

/// The most threads that pack one batch.
const MAX_THREADS: usize = 4;
/// Texts of fewer bytes together are packed by the caller's thread alone: that takes less than a millisecond.
const MIN_SHARED_BYTES: usize = 64 << 10;
/// Of texts from this size on, one plan is read at a time in the whole process: its tree takes up to eight times as much
/// memory.
const LARGE_TEXT_BYTES: usize = 1 << 20;

/// A profile with its text as it arrived.
#[derive(Debug)]
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
    pub(super) plan: PlanSummary,
}

/// Packs profiles, and reads their plans. Returns them in the same order.
pub(super) fn pack_all(profiles: Vec<UnpackedProfile>) -> Vec<PackedProfile> {
    let mut packed = packed_texts(&profiles);
    packed.sort_unstable_by_key(|(at, ..)| *at);
    let both = profiles.into_iter().zip(packed);
    let both = both.map(|(profile, (_, body, plan))| {
        let UnpackedProfile { summary, fingerprint, text } = profile;
        PackedProfile { summary, fingerprint, text_bytes: text.len() as i64, body, plan }
    });
    both.collect()
}

/// Returns the body and the plan of each text, with its position, in no order.
fn packed_texts(profiles: &[UnpackedProfile]) -> Vec<(usize, Vec<u8>, PlanSummary)> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut packed = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(profile) = profiles.get(at) else { return packed };
            packed.push((at, pack(&profile.text), read_plan(&profile.text)));
        }
    };
    let bytes: usize = profiles.iter().map(|profile| profile.text.len()).sum();
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let threads = if bytes < MIN_SHARED_BYTES { 1 } else { cores.min(MAX_THREADS) };
    let others = threads.min(profiles.len()).saturating_sub(1);
    thread::scope(|scope| {
        // Without another thread, the caller's does all.
        let start = |_| thread::Builder::new().spawn_scoped(scope, work).ok();
        let others: Vec<_> = (0..others).filter_map(start).collect();
        let mut packed = work();
        for other in others {
            packed.extend(other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        packed
    })
}

/// Reads what is stored of the plan of a profile.
pub(crate) fn read_plan(text: &[u8]) -> PlanSummary {
    static LARGE: Mutex<()> = Mutex::new(());
    let is_large = text.len() >= LARGE_TEXT_BYTES;
    let _turn = is_large.then(|| LARGE.lock().unwrap_or_else(PoisonError::into_inner));
    PlanSummary::of_text(&lossy(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::record::{Kind, Origin};
    use crate::store::profile_body::unpack;

    #[test]
    fn profiles_stay_in_their_order_and_each_has_its_own_text_and_plan() {
        let whole = include_str!("../../tests/profiles/doris-4.0.txt");
        let profile = |number: usize| {
            let id = format!("{number:x}-1").parse().unwrap();
            let summary = QueryRecord::new(id, Kind::Query, Origin::Summary);
            let table = format!("table_{}", number % 3);
            let text = format!("{}  - Number: {number}\n", whole.replace("OLAP_SCAN", &table));
            UnpackedProfile { summary, fingerprint: None, text: text.into_bytes() }
        };
        let packed = pack_all((0..200).map(profile).collect());
        assert_eq!(packed.len(), 200);
        for (number, packed) in packed.iter().enumerate() {
            let expected = profile(number);
            assert_eq!(packed.summary, expected.summary);
            assert_eq!(unpack(&packed.body, packed.text_bytes).unwrap(), expected.text);
            assert_eq!(packed.plan, read_plan(&expected.text));
            assert!(packed.plan.fingerprint.is_some());
        }
        assert_ne!(packed[0].plan.fingerprint, packed[1].plan.fingerprint);
    }
}
