//! StarRocks' pipeline engine, 2.x to 4.x. An operator's counters are in `CommonMetrics` and `UniqueMetrics`. Since 3.0
//! the instances are merged, and `__MAX_OF_` and `__MIN_OF_` are below the average of a time. The known source of the
//! format is `RuntimeProfile.mergeIsomorphicProfiles`.

use super::{Dialect, bytes, find, has_plan_node_id, kind, longest_of, read, rows, time_of_detail};
use crate::domain::profile::tree::Section;

pub(super) struct StarRocks;

impl Dialect for StarRocks {
    fn is_written_in(&self, section: &Section<'_>) -> bool {
        let has_metrics =
            |child: &Section<'_>| ["CommonMetrics", "UniqueMetrics"].contains(&&*child.name);
        has_plan_node_id(&section.name)
            || section.children.iter().any(has_metrics)
            || section.name.starts_with("Pipeline (id=")
    }

    fn time<'a>(&self, section: &'a Section<'_>) -> Option<&'a str> {
        let counter = || find(section, &["OperatorTotalTime", "ActiveTime"]);
        time_of_detail(section).or_else(|| Some(longest_of(counter()?)))
    }

    /// A time without the longest and the shortest of the instances is that of one instance.
    fn average<'a>(&self, section: &'a Section<'_>) -> Option<&'a str> {
        let counter = find(section, &["OperatorTotalTime", "ActiveTime"])?;
        (!counter.children.is_empty()).then_some(&*counter.value)
    }

    /// An operator that ends a pipeline receives rows and returns none.
    fn rows(&self, section: &Section<'_>) -> Option<u64> {
        let kind = kind(&section.name);
        let receives = kind.ends_with("_SINK")
            || kind.ends_with("_BUILD")
            || find(section, &["IsFinalSink"]).is_some();
        read(section, if receives { &["PushRowNum"] } else { &["PullRowNum"] }, rows)
    }

    fn memory_bytes(&self, section: &Section<'_>) -> Option<u64> {
        read(section, &["OperatorPeakMemoryUsage", "PeakMemoryUsage"], bytes)
    }
}
