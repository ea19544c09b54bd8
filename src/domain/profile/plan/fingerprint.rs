//! Identifies the shape of a plan.

use std::fmt;

use xxhash_rust::xxh3::Xxh3;

use super::Node;

/// The shape of a plan: which nodes read from which, on which tables, joined how. Times, rows, ids and conditions are no
/// part of it, and neither is what backends add to a plan to run it in parallel. Shown as 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct PlanFingerprint(u64);

impl PlanFingerprint {
    /// Returns the fingerprint of nodes of which each is before the nodes that it reads from; none if there is none.
    pub(super) fn of(nodes: &[Node<'_, '_>]) -> Option<PlanFingerprint> {
        shapes(nodes).first().copied().map(PlanFingerprint)
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
