//! The short form of the tree.

use std::borrow::Cow;

use serde::Serialize;
use utoipa::ToSchema;

use super::Section;
use crate::domain::profile::dialects;

/// The most sections of a short form. A profile of 60 MB has some 50,000; 200,000 take at most 20 MB beside their names.
const MAX_SECTIONS: usize = 200_000;

/// A section in the short form that Doris answers at `/rest/v2/manager/query/profile/json` (`RuntimeProfile.toBrief`,
/// Doris 1.0 to 4.x). Profile viewers rely on all four keys.
#[derive(Debug, Default, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Brief<'s> {
    /// The name of the section; `Query` if the root has none.
    pub name: Cow<'s, str>,
    /// The rows that an operator returned, or received if it is a sink; 0 if the text has none.
    pub rows_returned: u64,
    /// The time of the section as the text has it; `0ns` if the text has none.
    pub total_time: &'s str,
    /// The sections within this one.
    #[schema(no_recursion)]
    pub children: Vec<Brief<'s>>,
}

impl Section<'_> {
    /// Returns the short form of the whole profile. Sections in which newer versions group counters are not part of it. A
    /// form of more than 200,000 sections is cut, and a last section says so.
    pub(crate) fn brief(&self) -> Brief<'_> {
        if self.name.is_empty()
            && let [root] = self.children.as_slice()
            && ["Query", "Load"].contains(&&*root.name)
        {
            return root.brief();
        }
        let mut left = MAX_SECTIONS;
        let mut brief = self.brief_within(&mut left);
        if left == 0 || self.is_cut {
            let name = format!("annals shows {MAX_SECTIONS} sections; the text has all").into();
            brief.children.push(Brief { name, total_time: "0ns", ..Brief::default() });
        }
        brief
    }

    /// Returns the short form of at most `left` sections.
    fn brief_within(&self, left: &mut usize) -> Brief<'_> {
        let dialect = dialects::of(self);
        let mut children = Vec::new();
        for child in self.children.iter().filter(|child| !dialects::is_group(&child.name)) {
            if *left == 0 {
                break;
            }
            *left -= 1;
            children.push(child.brief_within(left));
        }
        Brief {
            name: Cow::Borrowed(if self.name.is_empty() { "Query" } else { &self.name }),
            rows_returned: dialect.rows(self).unwrap_or(0),
            total_time: dialect.time(self).unwrap_or("0ns"),
            children,
        }
    }
}
