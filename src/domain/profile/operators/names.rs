//! Recognizes operators by the names of their sections.

use crate::domain::profile::dialects::{self, kind};
use crate::domain::profile::tree::Section;

/// Returns the kind of an operator, and its id from the parentheses in its name.
pub(super) fn kind_and_id(name: &str) -> (&str, Option<&str>) {
    const KEYS: [&str; 4] = ["id", "dst_id", "dest_id", "plan_node_id"];
    let is_between = |byte: u8| matches!(byte, b'(' | b' ' | b',' | b')');
    let id = memchr::memchr_iter(b'=', name.as_bytes()).find_map(|equals| {
        let (before, value) = (&name[..equals], &name[equals + 1..]);
        let start = before.bytes().rposition(is_between).map_or(0, |last| last + 1);
        let end = value.bytes().position(is_between).unwrap_or(value.len());
        KEYS.contains(&&before[start..]).then(|| value[..end].trim_end_matches('.'))
    });
    (kind(name), id)
}

/// Returns the id of an operator in a plan.
pub(in crate::domain::profile) fn id_of(name: &str) -> Option<&str> {
    kind_and_id(name).1
}

/// Returns whether a section with this name is an operator: its kind is in capitals or it has an id, and it is not a
/// pipeline, a fragment or an instance.
pub(super) fn is_operator(name: &str) -> bool {
    let (kind, id) = kind_and_id(name);
    let is_in_capitals = kind.len() > 2
        && kind
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte == b'_' || byte.is_ascii_digit())
        && kind.bytes().any(|byte| byte.is_ascii_uppercase());
    let is_container = kind.starts_with("Pipeline") || kind == "Fragment" || kind == "Instance";
    !is_container && (is_in_capitals || id.is_some())
}

/// Returns whether a section within a fragment is the sink of an instance, as Doris up to 2.0 and StarRocks up to 2.x
/// without its pipeline engine write it: `OlapTableSink:(Active: ...)`, `VDataBufferSender
/// (dst_fragment_instance_id=...):(Active: ...)`. Such a name is not in capitals and has no id of a plan node.
pub(super) fn is_legacy_sink(section: &Section<'_>) -> bool {
    const ENDS: [&str; 3] = ["Sink", "SinkV2", "Sender"];
    let kind = kind(&section.name);
    ENDS.iter().any(|end| kind.ends_with(end))
        && dialects::of(section).is_inclusive()
        && section.time().is_some()
}

/// Returns the part of a plan that the section with this name is an instance of. `Instance 1a-2b (host=...)`,
/// `Pipeline :0 (host=...)` and `PipelineTask (index=0)` occur once for each instance. StarRocks' `Pipeline (id=3)` and
/// the executions of a load are parts of their own.
pub(super) fn part_of_plan(name: &str) -> &str {
    if name.starts_with("Instance ") {
        return "Instance";
    }
    let parts = ["Pipeline (id=", "Execution Profile ", "DetailProfile"];
    if parts.iter().any(|start| name.starts_with(start)) {
        name
    } else {
        name.split('(').next().unwrap_or_default().trim_end()
    }
}
