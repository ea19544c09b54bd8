//! The short form of the tree.

use serde::Serialize;
use utoipa::ToSchema;

use super::Section;
use crate::domain::profile::dialects;

/// A section in the short form that Doris answers at `/rest/v2/manager/query/profile/json` (`RuntimeProfile.toBrief`,
/// Doris 1.0 to 4.x). Profile viewers rely on all four keys.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Brief {
    /// The name of the section; `Query` if the root has none.
    pub name: String,
    /// The rows that an operator returned, or received if it is a sink; 0 if the text has none.
    pub rows_returned: u64,
    /// The time of the section as the text has it; `0ns` if the text has none.
    pub total_time: String,
    /// The sections within this one.
    #[schema(no_recursion)]
    pub children: Vec<Brief>,
}

impl Section {
    /// Returns the short form of the whole profile. Sections in which newer versions group counters are not part of it.
    pub(crate) fn brief(&self) -> Brief {
        if self.name.is_empty()
            && let [root] = self.children.as_slice()
            && ["Query", "Load"].contains(&root.name.as_str())
        {
            return root.brief();
        }
        let dialect = dialects::of(self);
        let children = self.children.iter().filter(|child| !dialects::is_group(&child.name));
        Brief {
            name: if self.name.is_empty() { "Query" } else { &self.name }.to_string(),
            rows_returned: dialect.rows(self).unwrap_or(0),
            total_time: dialect.time(self).unwrap_or("0ns").to_string(),
            children: children.map(Section::brief).collect(),
        }
    }
}
