//! Compares the plans of two runs of a statement, node by node.

use std::collections::HashMap;
use std::hash::Hash;

use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64;

use super::fingerprint::shapes;
use super::{Node, Plan};

/// A node in the plans of two runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct NodeDifference<'a> {
    /// The id in the first plan; None if the node is missing there.
    pub before_id: Option<&'a str>,
    /// The id in the second plan; None if the node is missing there.
    pub after_id: Option<&'a str>,
    /// The kind of the node.
    pub name: &'a str,
    /// The table that a scan reads, or a sink writes.
    pub table: Option<&'a str>,
    /// The kind of the join in the first plan.
    pub before_join: Option<&'a str>,
    /// The kind of the join in the second plan.
    pub after_join: Option<&'a str>,
    /// Whether the tables that each side of a join reads are those of the other side in the second plan.
    pub swaps_sides: bool,
    /// The own time in the first run, in nanoseconds.
    pub before_ns: Option<u64>,
    /// The own time in the second run, in nanoseconds.
    pub after_ns: Option<u64>,
    /// How much longer the node took in the second run, in nanoseconds; negative if it took less.
    pub difference_ns: i64,
    /// The rows that the node gave on in the first run.
    pub before_rows: Option<u64>,
    /// The rows that the node gave on in the second run.
    pub after_rows: Option<u64>,
}

impl<'a> NodeDifference<'a> {
    /// Returns whether the node is in one plan only, or a join of another kind or with other sides.
    pub(crate) fn is_other_plan(&self) -> bool {
        let is_in_both = self.before_id.is_some() && self.after_id.is_some();
        !is_in_both || self.swaps_sides || self.changed_join().is_some()
    }

    /// Returns the kinds of a join that is of another kind in the second plan; none of other nodes.
    pub(crate) fn changed_join(&self) -> Option<(&'a str, &'a str)> {
        self.before_join.zip(self.after_join).filter(|(before, after)| before != after)
    }
}

type Pair<'a> = (Option<&'a Node<'a, 'a>>, Option<&'a Node<'a, 'a>>);

/// Returns the nodes of two plans, sorted by how much longer they took.
///
/// Ids say nothing: the planner numbers nodes anew when a plan changes. Two nodes are the same if all below them is the
/// same, else if they have the same kind, table and join, else if they have the same kind and table, as a join that
/// is broadcast now; each time in the order of the plans. Last, scans of one table are the same: StarRocks names it without its
/// database, and engines have names of their own for a scan.
pub(crate) fn compare<'a>(
    before_plan: &'a Plan<'a, 'a>,
    after_plan: &'a Plan<'a, 'a>,
) -> Vec<NodeDifference<'a>> {
    let with_shapes = |plan: &'a Plan<'a, 'a>| plan.nodes.iter().zip(shapes(&plan.nodes)).collect();
    let (mut before, mut after): (Vec<_>, Vec<_>) =
        (with_shapes(before_plan), with_shapes(after_plan));
    let mut pairs: Vec<Pair<'a>> = Vec::new();
    pair(&mut before, &mut after, &mut pairs, |(node, shape)| (*shape, node.is_local()));
    pair(&mut before, &mut after, &mut pairs, |(node, _)| {
        (node.name.clone(), node.table.clone(), node.join.clone())
    });
    pair(&mut before, &mut after, &mut pairs, |(node, _)| (node.name.clone(), node.table.clone()));
    pair(&mut before, &mut after, &mut pairs, |(node, _)| {
        // Any other node is only itself.
        scanned_table(node).ok_or(std::ptr::from_ref::<Node<'_, '_>>(node))
    });
    pairs.extend(before.into_iter().map(|(gone, _)| (Some(gone), None)));
    pairs.extend(after.into_iter().map(|(new, _)| (None, Some(new))));
    let sides = (sides(before_plan), sides(after_plan));
    let mut differences: Vec<_> =
        pairs.into_iter().filter_map(|pair| difference(pair, &sides)).collect();
    differences.sort_by(|a, b| {
        b.difference_ns.cmp(&a.difference_ns).then_with(|| b.after_ns.cmp(&a.after_ns))
    });
    differences
}

/// What identifies the tables that each side of a join reads, by the id of the join.
type Sides<'a> = HashMap<&'a str, [u64; 2]>;

/// Returns the sides of the joins of a plan.
fn sides<'a>(plan: &'a Plan<'a, 'a>) -> Sides<'a> {
    // The sum of the hashes of the tables at or below each node. Each node is before the nodes that it reads from.
    let mut tables = vec![0_u64; plan.nodes.len()];
    let mut sides = HashMap::new();
    for (position, node) in plan.nodes.iter().enumerate().rev() {
        let own = scanned_table(node).map_or(0, |table| xxh3_64(table.as_bytes()));
        let below = node.children.iter().map(|child| tables[*child]);
        tables[position] = below.fold(own, u64::wrapping_add);
        if let [probe, build] = node.children.as_slice()
            && node.name.contains("JOIN")
        {
            sides.insert(node.id.as_str(), [tables[*probe], tables[*build]]);
        }
    }
    sides
}

/// Returns the name of the table that a scan reads, without its database.
fn scanned_table<'n>(node: &'n Node<'_, '_>) -> Option<&'n str> {
    let table = node.table.as_deref().filter(|_| node.name.contains("SCAN"))?;
    table.rsplit('.').next()
}

/// Moves the nodes with equal keys from both lists to the pairs, the first with the first.
fn pair<'a, K: Hash + Eq>(
    before: &mut Vec<(&'a Node<'a, 'a>, u64)>,
    after: &mut Vec<(&'a Node<'a, 'a>, u64)>,
    pairs: &mut Vec<Pair<'a>>,
    key: impl Fn(&(&'a Node<'a, 'a>, u64)) -> K,
) {
    let mut by_key: HashMap<K, Vec<usize>> = HashMap::new();
    // In reverse, so that `pop` returns the first.
    for (position, node) in before.iter().enumerate().rev() {
        by_key.entry(key(node)).or_default().push(position);
    }
    let mut paired = vec![false; before.len()];
    after.retain(|node| {
        let Some(position) = by_key.get_mut(&key(node)).and_then(Vec::pop) else { return true };
        let same = before.get(position).map(|(same, _)| *same);
        pairs.push((same, Some(node.0)));
        if let Some(paired) = paired.get_mut(position) {
            *paired = true;
        }
        false
    });
    let mut paired = paired.into_iter();
    before.retain(|_| !paired.next().unwrap_or(false));
}

fn difference<'a>(
    (before, after): Pair<'a>,
    (before_sides, after_sides): &(Sides<'_>, Sides<'_>),
) -> Option<NodeDifference<'a>> {
    let sides_of =
        |node: Option<&Node<'_, '_>>, sides: &Sides<'_>| sides.get(node?.id.as_str()).copied();
    let sides = sides_of(before, before_sides).zip(sides_of(after, after_sides));
    let swaps_sides =
        sides.is_some_and(|([probe, build], after)| probe != build && after == [build, probe]);
    let named = after.or(before)?;
    let time_ns = |node: Option<&Node<'_, '_>>| node.and_then(|node| node.time_ns);
    let signed = |ns: Option<u64>| i64::try_from(ns.unwrap_or(0)).unwrap_or(i64::MAX);
    let (before_ns, after_ns) = (time_ns(before), time_ns(after));
    Some(NodeDifference {
        before_id: before.map(|node| node.id.as_str()),
        after_id: after.map(|node| node.id.as_str()),
        name: &named.name,
        table: named.table.as_deref(),
        before_join: before.and_then(|node| node.join.as_deref()),
        after_join: after.and_then(|node| node.join.as_deref()),
        swaps_sides,
        before_ns,
        after_ns,
        difference_ns: signed(after_ns).saturating_sub(signed(before_ns)),
        before_rows: before.and_then(|node| node.rows),
        after_rows: after.and_then(|node| node.rows),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::profile::{Section, operators};

    /// A profile of Doris 3.0 with a common table expression and a join.
    const TEXT: &str = include_str!("../../../../tests/profiles/doris-3.0-cte.txt");

    /// Returns ids, kind, difference in nanoseconds and rows of the nodes of two profiles that differ.
    fn changed(before: &str, after: &str) -> Vec<(String, String, String, i64)> {
        let (before, after) = (Section::parse(before), Section::parse(after));
        let (before_operators, after_operators) = (operators(&before), operators(&after));
        let before = Plan::of(&before, &before_operators);
        let after = Plan::of(&after, &after_operators);
        let id = |id: Option<&str>| id.unwrap_or("").to_string();
        compare(&before, &after)
            .into_iter()
            .filter(|it| it.difference_ns != 0 || it.before_id != it.after_id)
            .map(|it| (id(it.before_id), id(it.after_id), it.name.to_string(), it.difference_ns))
            .collect()
    }

    #[test]
    fn a_plan_is_the_same_as_itself() {
        assert_eq!(changed(TEXT, TEXT), []);
    }

    #[test]
    fn nodes_are_the_same_although_their_ids_moved() {
        // The planner numbers from below: another node there moves all ids.
        let moved =
            TEXT.replace("id=7", "id=11").replace("(id=2", "(id=3").replace("id = 7", "id = 11");
        let moved: Vec<_> = changed(TEXT, &moved)
            .into_iter()
            .map(|(before, after, name, ns)| (before + " " + &after, name, ns))
            .collect();
        assert!(moved.contains(&("7 11".to_string(), "HASH_JOIN".to_string(), 0)), "{moved:?}");
        assert!(
            moved
                .iter()
                .all(|(ids, _, ns)| *ns == 0 && !ids.starts_with(' ') && !ids.ends_with(' ')),
            "{moved:?}"
        );
    }

    #[test]
    fn a_join_that_is_broadcast_now_is_the_same_node_with_another_kind() {
        let broadcast = TEXT.replace("PARTITIONED", "BROADCAST");
        assert_ne!(broadcast, TEXT);
        let (before, after) = (Section::parse(TEXT), Section::parse(&broadcast));
        let (before_operators, after_operators) = (operators(&before), operators(&after));
        let before = Plan::of(&before, &before_operators);
        let after = Plan::of(&after, &after_operators);
        let differences = compare(&before, &after);
        let changed: Vec<_> = differences
            .iter()
            .filter_map(|it| Some((it.before_id?, it.after_id?, it.changed_join()?)))
            .collect();
        let [("7", "7", (was, is))] = changed.as_slice() else { panic!("{changed:?}") };
        assert_eq!(was.replace("PARTITIONED", "BROADCAST"), *is);
    }

    #[test]
    fn a_join_whose_sides_read_the_tables_of_the_other_side_has_exchanged_them() {
        const JOIN: &str = include_str!("../../../../tests/profiles/doris-4.0-join.txt");
        let other = JOIN.replace("orders", "@").replace("customers", "orders");
        let other = other.replace('@', "customers");
        let swapping = |one: &str, other: &str| {
            let (one, other) = (Section::parse(one), Section::parse(other));
            let (of_one, of_other) = (operators(&one), operators(&other));
            let (one, other) = (Plan::of(&one, &of_one), Plan::of(&other, &of_other));
            let swapping = compare(&one, &other).into_iter().filter(|it| it.swaps_sides);
            swapping.filter_map(|it| Some(it.before_id?.to_string())).collect::<Vec<_>>()
        };
        assert_eq!(swapping(JOIN, &other), ["7"]);
        assert_eq!(swapping(JOIN, JOIN), [""; 0]);
    }

    #[test]
    fn scans_of_two_engines_are_the_same_if_they_read_one_table() {
        const OF_STARROCKS: &str =
            include_str!("../../../../tests/profiles/starrocks-3.5-join.txt");
        let (before, after) = (Section::parse(TEXT), Section::parse(OF_STARROCKS));
        let (before_operators, after_operators) = (operators(&before), operators(&after));
        let before = Plan::of(&before, &before_operators);
        let after = Plan::of(&after, &after_operators);
        let differences = compare(&before, &after);
        let scans = differences.iter().filter(|it| it.table.is_some() && it.name.contains("SCAN"));
        let both: Vec<_> = scans
            .filter(|it| it.before_id.is_some() && it.after_id.is_some())
            .filter_map(|it| it.table)
            .collect();
        assert_eq!(both, ["plants"]);
    }

    #[test]
    fn a_node_that_only_one_plan_has_is_missing_in_the_other() {
        let changed = changed(TEXT, &TEXT.replace("HASH_JOIN", "NESTED_LOOP_JOIN"));
        let ids: Vec<_> =
            changed.iter().map(|(before, after, name, _)| (&**before, &**after, &**name)).collect();
        assert_eq!(ids, [("", "7", "NESTED_LOOP_JOIN"), ("7", "", "HASH_JOIN")]);
    }
}
