//! Makes nodes of operators, and finds which node reads from which.

use foldhash::{HashMap, HashMapExt, HashSet};

use super::Node;
use super::engines::{Engine, Key};
use crate::domain::profile::operators::Operator;
use crate::domain::profile::tree::Section;

/// Returns the nodes of a profile with their children, in the order of the text.
pub(super) fn join<'o, 's>(
    engine: Engine,
    profile: &Section<'s>,
    operators: &'o [Operator<'s>],
) -> Vec<Node<'o, 's>> {
    let mut joining = Joining { engine, ..Joining::default() };
    let mut sinks: HashMap<Option<&str>, usize> = HashMap::new();
    for tree in operators {
        // Up to Doris 2.0 the sink of a fragment is beside the node that it reads from.
        let is_sink = engine.is_lone_sink(tree);
        let reader = if is_sink { None } else { sinks.get(&tree.fragment).copied() };
        let root = joining.add(tree, reader);
        if let Some(root) = root.filter(|_| is_sink) {
            sinks.insert(tree.fragment, root);
        }
    }
    let mut nodes = joining.nodes;
    if let Some(topology) = engine.topology(profile) {
        topology.apply(&mut nodes);
    }
    for node in &mut nodes {
        engine.describe(node);
    }
    engine.finish(&mut nodes);
    set_ids(&mut nodes);
    nodes
}

#[derive(Default)]
struct Joining<'o, 's> {
    engine: Engine,
    nodes: Vec<Node<'o, 's>>,
    by_key: HashMap<Key<'s>, usize>,
    edges: HashSet<(usize, usize)>,
}

impl<'o, 's> Joining<'o, 's> {
    /// Adds an operator and those below it, from which `reader` reads. Returns the position of its node; that of the
    /// reader if the operator is no part of the plan.
    fn add(&mut self, operator: &'o Operator<'s>, reader: Option<usize>) -> Option<usize> {
        let here = match self.engine.place(operator) {
            Some(key) => {
                let here = self.node(key, operator);
                if let Some(reader) = reader
                    && reader != here
                    && self.edges.insert((reader, here))
                {
                    self.nodes[reader].children.push(here);
                }
                Some(here)
            }
            None => reader,
        };
        for child in &operator.children {
            self.add(child, here);
        }
        here
    }

    /// Returns the position of the node with a key, and puts the operator into it.
    fn node(&mut self, key: Key<'s>, operator: &'o Operator<'s>) -> usize {
        let id = key.id();
        // A load has an execution for each of its tasks, and each has the ids of the others.
        if matches!(key, Key::Sink(..)) && self.by_key.contains_key(&key) {
            self.by_key.clear();
        }
        let position = *self.by_key.entry(key).or_insert(self.nodes.len());
        if position == self.nodes.len() {
            self.nodes.push(Node { id: id.to_string(), ..Node::default() });
        }
        self.nodes[position].operators.push(operator);
        position
    }
}

/// Gives each node an id of its own: the name if it has none, and the fragment before it if two nodes have the same.
/// Backends number what they add to a plan in each fragment anew.
fn set_ids(nodes: &mut [Node<'_, '_>]) {
    let mut counts: HashMap<String, usize> = HashMap::new();
    for node in nodes {
        if node.id.is_empty() {
            node.id = node.name.to_ascii_lowercase();
        }
        if counts.contains_key(&node.id) {
            node.id = format!("{}:{}", node.fragment.unwrap_or_default(), node.id);
        }
        let count = counts.entry(node.id.clone()).or_default();
        *count += 1;
        if *count > 1 {
            node.id = format!("{}#{count}", node.id);
        }
    }
}
