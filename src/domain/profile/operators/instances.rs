//! Merges the instances of a part of a plan.

use foldhash::{HashMap, HashMapExt};

use super::Operator;

/// Merges the operators of several instances: sums rows and memory, and keeps the time of the slowest and the counters of all.
/// An operator is the same in two instances if its name is the same and the same number of operators of that name
/// precede it.
pub(super) fn merge_instances<'s>(mut instances: Vec<Vec<Operator<'s>>>) -> Vec<Operator<'s>> {
    if instances.len() < 2 {
        return instances.pop().unwrap_or_default();
    }
    let mut indexes: HashMap<(&str, usize), usize> = HashMap::new();
    let mut groups: Vec<Vec<Operator<'s>>> = Vec::new();
    for instance in instances {
        let mut seen: HashMap<&str, usize> = HashMap::new();
        for operator in instance {
            let preceding = seen.entry(operator.name).or_default();
            let key = (operator.name, *preceding);
            *preceding += 1;
            let index = *indexes.entry(key).or_insert_with(|| {
                groups.push(Vec::new());
                groups.len() - 1
            });
            if let Some(group) = groups.get_mut(index) {
                group.push(operator);
            }
        }
    }
    groups.into_iter().map(merge_operators).collect()
}

/// Merges the instances of one operator.
fn merge_operators(mut instances: Vec<Operator<'_>>) -> Operator<'_> {
    let sum = |field: fn(&Operator<'_>) -> Option<u64>| {
        instances.iter().filter_map(field).reduce(u64::saturating_add)
    };
    let rows = sum(|operator| operator.rows);
    let memory_bytes = sum(|operator| operator.memory_bytes);
    let times = instances.iter().filter_map(|one| one.time_ns);
    let average_ns =
        times.clone().reduce(u64::saturating_add).map(|sum| sum / times.count().max(1) as u64);
    let children = instances.iter_mut().map(|one| std::mem::take(&mut one.children)).collect();
    let mut slowest = Operator::default();
    let mut others = Vec::new();
    for (at, mut one) in instances.into_iter().enumerate() {
        others.append(&mut one.others);
        if at == 0 {
            slowest = one;
            continue;
        }
        if one.time_ns > slowest.time_ns {
            std::mem::swap(&mut slowest, &mut one);
        }
        others.push(one.counters);
    }
    let children = merge_instances(children);
    Operator { average_ns, rows, memory_bytes, others, children, ..slowest }
}
