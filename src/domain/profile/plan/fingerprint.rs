//! Identifies the shape of a plan.

use std::fmt;
use std::str::FromStr;

use xxhash_rust::xxh3::Xxh3;

use super::Node;

/// The shape of a plan: which nodes read from which, on which tables, joined how. Times, rows, ids and conditions are no
/// part of it, and neither is what backends add to a plan to run it in parallel. Shown as 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct PlanFingerprint(u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the fingerprint of a plan is 16 hex digits")]
pub(crate) struct InvalidPlanFingerprint;

impl PlanFingerprint {
    /// Returns the fingerprint of nodes of which each is before the nodes that it reads from; none if there is none.
    pub(super) fn of(nodes: &[Node<'_, '_>]) -> Option<PlanFingerprint> {
        shapes(nodes).first().copied().map(PlanFingerprint)
    }

    /// Returns the same 64 bits as a signed number, which is how a database stores them.
    pub(crate) fn to_signed(self) -> i64 {
        self.0.cast_signed()
    }

    /// Returns the fingerprint that [`PlanFingerprint::to_signed`] gave these bits for.
    pub(crate) fn from_signed(bits: i64) -> PlanFingerprint {
        PlanFingerprint(bits.cast_unsigned())
    }
}

/// Returns for each node the shape of the plan from it down. Each node is before the nodes that it reads from.
pub(super) fn shapes(nodes: &[Node<'_, '_>]) -> Vec<u64> {
    let mut shapes = vec![0_u64; nodes.len()];
    for (position, node) in nodes.iter().enumerate().rev() {
        let below = node.children.iter().map(|child| shapes[*child]);
        shapes[position] = match node.children.as_slice() {
            [only] if node.is_local() => shapes[*only],
            _ => hash(node, below),
        };
    }
    shapes
}

fn hash(node: &Node<'_, '_>, below: impl Iterator<Item = u64>) -> u64 {
    let mut hasher = Xxh3::new();
    let texts =
        [&*node.name, node.table.as_deref().unwrap_or(""), node.join.as_deref().unwrap_or("")];
    for text in texts {
        hasher.update(text.as_bytes());
        hasher.update(&[0]);
    }
    for hash in below {
        hasher.update(&hash.to_le_bytes());
    }
    hasher.digest()
}

impl fmt::Display for PlanFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl serde::Serialize for PlanFingerprint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromStr for PlanFingerprint {
    type Err = InvalidPlanFingerprint;

    fn from_str(text: &str) -> Result<PlanFingerprint, InvalidPlanFingerprint> {
        // `from_str_radix` accepts a sign as well.
        let is_hex = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let bits = u64::from_str_radix(text, 16).map_err(|_| InvalidPlanFingerprint)?;
        if is_hex { Ok(PlanFingerprint(bits)) } else { Err(InvalidPlanFingerprint) }
    }
}
