//! The fragments of a plan with their times.

use super::{Section, is_merged};
use crate::domain::time::parse_duration_ns;

/// The longest time of a fragment, in bytes. All fragments around it may repeat it. Frontends write at most 40.
const MAX_TIME: usize = 64;

/// A fragment of a plan.
#[derive(Debug, PartialEq)]
pub(crate) struct Fragment<'s> {
    /// The number of the fragment.
    pub id: &'s str,
    /// The time of the slowest part, as the text has it; `N/A` if the text has none.
    pub time: &'s str,
    /// The name and the time of each instance, in profiles that list instances.
    pub instances: Vec<(&'s str, &'s str)>,
}

impl Section<'_> {
    /// Returns the fragments in the order of the text: those of the part that merges instances if there is one, else
    /// those of all executions. A load has an execution for each of its tasks.
    pub(crate) fn fragments(&self) -> Vec<Fragment<'_>> {
        let mut fragments = Vec::new();
        self.part(is_merged).unwrap_or(self).add_fragments(&mut fragments);
        if fragments.is_empty() {
            self.add_fragments(&mut fragments);
        }
        fragments
    }

    /// Appends the fragments of this section, and returns its longest time in nanoseconds and as the text has it.
    fn add_fragments<'a>(&'a self, fragments: &mut Vec<Fragment<'a>>) -> Option<(u64, &'a str)> {
        let index = self.fragment_id().map(|id| {
            fragments.push(Fragment { id, time: "N/A", instances: self.instances() });
            fragments.len() - 1
        });
        let time = self.time().filter(|time| time.len() <= MAX_TIME);
        let mut longest = time.and_then(|time| Some((parse_duration_ns(time)?, time)));
        for child in &self.children {
            if let Some(time) = child.add_fragments(fragments)
                && longest.is_none_or(|(ns, _)| time.0 > ns)
            {
                longest = Some(time);
            }
        }
        let fragment = index.and_then(|index| fragments.get_mut(index));
        if let (Some(fragment), Some((_, time))) = (fragment, longest) {
            fragment.time = time;
        }
        longest
    }

    fn instances(&self) -> Vec<(&str, &str)> {
        let instances = self.children.iter().filter_map(|child| {
            let name = child.name.strip_prefix("Instance ")?;
            let name = name.split_once(' ').map_or(name, |(name, _)| name);
            Some((name, child.time().unwrap_or("N/A")))
        });
        instances.collect()
    }
}
