//! Doris up to 2.0, and StarRocks 2.x without its pipeline engine. A node is one operator with its children below it:
//! `VAGGREGATION_NODE (id=3)`. An exchange has a sender in another fragment: `VDataStreamSender (dst_id=4)` and
//! `VEXCHANGE_NODE (id=4)`.

use std::borrow::Cow;

use super::{Key, total_bytes};
use crate::domain::profile::dialects::kind;
use crate::domain::profile::operators::{Operator, id_of};
use crate::domain::profile::plan::Node;

/// Returns the key of the node that an operator is.
pub(super) fn place<'s>(operator: &Operator<'s>) -> Key<'s> {
    let kind = kind(operator.name);
    match id_of(operator.name) {
        Some(id) if kind.ends_with("DataStreamSender") || kind.ends_with("EXCHANGE_NODE") => {
            Key::Plan(id)
        }
        Some(id) => Key::Fragment(operator.fragment, id),
        None => Key::Kind(operator.fragment, kind),
    }
}

/// Returns whether an operator is a sink that the text has beside the node from which it reads.
pub(super) fn is_lone_sink(operator: &Operator<'_>) -> bool {
    const ENDS: [&str; 3] = ["Sender", "Sink", "SinkV2"];
    let kind = kind(operator.name);
    operator.children.is_empty() && ENDS.iter().any(|end| kind.ends_with(end))
}

/// Sets what the operators of a node say about it.
pub(super) fn describe(node: &mut Node<'_, '_>) {
    let source = node.operators.iter().copied().find(|operator| !is_lone_sink(operator));
    let Some(main) = source.or(node.operators.first().copied()) else { return };
    node.name = name(kind(main.name));
    node.fragment = main.fragment;
    node.rows = main.rows;
    node.bytes = total_bytes(node, &["BytesRead", "ScanBytes", "CompressedBytesRead", "BytesSent"]);
    node.table = table(main.name).map(Cow::Borrowed);
}

/// Orders children as the planner does. A backend prints the first child last (`ExecNode::create_tree_helper`), so the build
/// side of a join is before the probe side.
pub(super) fn finish(nodes: &mut [Node<'_, '_>]) {
    for node in nodes {
        if node.children.len() > 1 {
            node.children.rotate_right(1);
        }
    }
}

/// Returns the table in the name of a scan: `VNewOlapScanNode(plants) (id=0. nereids_id=24. table name = plants)`.
fn table(name: &str) -> Option<&str> {
    let (kind, behind) = name.split_once('(')?;
    let (table, _) = behind.split_once(')')?;
    (kind.contains("Scan") && !table.contains('=')).then_some(table)
}

/// Returns the kind of a node in capitals: `OLAP_SCAN` of `VNewOlapScanNode`, `HASH_JOIN` of `VHASH_JOIN_NODE`.
fn name(kind: &str) -> Cow<'_, str> {
    if kind.ends_with("DataStreamSender") {
        return Cow::Borrowed("EXCHANGE");
    }
    let is_vectorized = kind.as_bytes().get(1).is_some_and(u8::is_ascii_uppercase);
    let name = kind.strip_prefix('V').filter(|_| is_vectorized).unwrap_or(kind);
    if let Some(name) = name.strip_suffix("_NODE") {
        return Cow::Borrowed(name);
    }
    let name = name.strip_prefix("New").unwrap_or(name);
    let name = name.strip_suffix("Node").unwrap_or(name);
    let mut capitals = String::new();
    for (at, letter) in name.char_indices() {
        if letter.is_ascii_uppercase() && at > 0 && !capitals.ends_with('_') {
            capitals.push('_');
        }
        capitals.push(letter.to_ascii_uppercase());
    }
    Cow::Owned(capitals)
}
