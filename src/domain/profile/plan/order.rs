//! Orders the nodes of a plan, and finds the critical path.

use super::Node;

/// Returns the nodes with each before the nodes that it reads from. An edge that would close a circle is removed: no plan
/// has one, but a text may say anything.
pub(super) fn ordered<'o, 's>(mut nodes: Vec<Node<'o, 's>>) -> Vec<Node<'o, 's>> {
    let last_first = post_order(&mut nodes);
    let mut positions = vec![0; nodes.len()];
    for (position, index) in last_first.iter().rev().enumerate() {
        positions[*index] = position;
    }
    let mut ordered: Vec<Node<'o, 's>> = Vec::with_capacity(nodes.len());
    for index in last_first.into_iter().rev() {
        let mut node = std::mem::take(&mut nodes[index]);
        for child in &mut node.children {
            *child = positions[*child];
        }
        ordered.push(node);
    }
    ordered
}

/// Returns the indexes of the nodes with each behind the nodes that it reads from, the first root last.
fn post_order(nodes: &mut [Node<'_, '_>]) -> Vec<usize> {
    #[derive(Clone, Copy, PartialEq)]
    enum State {
        New,
        Open,
        Done,
    }
    let mut is_read = vec![false; nodes.len()];
    for child in nodes.iter().flat_map(|node| &node.children) {
        is_read[*child] = true;
    }
    let roots = (0..nodes.len()).filter(|index| !is_read[*index]);
    // Nodes of which each is read by another are reached from no root.
    let starts: Vec<usize> = roots.chain(0..nodes.len()).collect();
    let mut states = vec![State::New; nodes.len()];
    let mut order = Vec::with_capacity(nodes.len());
    for start in starts.into_iter().rev() {
        if states[start] != State::New {
            continue;
        }
        states[start] = State::Open;
        let mut open = vec![(start, nodes[start].children.len())];
        while let Some((index, left)) = open.last_mut() {
            let index = *index;
            if *left == 0 {
                states[index] = State::Done;
                order.push(index);
                open.pop();
                continue;
            }
            // The last child first, so that the first is right behind its reader.
            *left -= 1;
            let place = *left;
            let child = nodes[index].children[place];
            match states[child] {
                State::New => {
                    states[child] = State::Open;
                    open.push((child, nodes[child].children.len()));
                }
                State::Open => {
                    nodes[index].children.remove(place);
                }
                State::Done => {}
            }
        }
    }
    order
}

/// Returns the positions of the nodes of the path from a root down whose times are the longest together.
pub(super) fn critical_path(nodes: &[Node<'_, '_>]) -> Vec<usize> {
    let mut totals = vec![0_u64; nodes.len()];
    let mut next: Vec<Option<usize>> = vec![None; nodes.len()];
    for (position, node) in nodes.iter().enumerate().rev() {
        // Of two that are equal the first.
        next[position] = node.children.iter().copied().rev().max_by_key(|child| totals[*child]);
        let below = next[position].map_or(0, |child| totals[child]);
        totals[position] = node.time_ns.unwrap_or(0).saturating_add(below);
    }
    let start = (0..nodes.len()).rev().max_by_key(|position| totals[*position]);
    std::iter::successors(start, |position| next[*position]).collect()
}
