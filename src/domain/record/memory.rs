//! How much memory a record takes.

use std::collections::BTreeMap;

use super::{FieldValue, Load, QueryRecord};

/// What a text takes beside its bytes, in the allocator.
const TEXT_BYTES: usize = 24;

impl QueryRecord {
    /// Returns about how many bytes of memory the record takes, its texts included.
    pub(crate) fn memory_bytes(&self) -> usize {
        let load = self.load.as_ref().map_or(0, |load| size_of::<Load>() + texts(&load.values()));
        size_of::<QueryRecord>() + texts(&self.values()) + extra_bytes(&self.extra) + load
    }
}

fn texts(values: &[FieldValue<'_>]) -> usize {
    let bytes = |value: &FieldValue<'_>| match value {
        FieldValue::Text(text) | FieldValue::Json(text) => text.len() + TEXT_BYTES,
        _ => 0,
    };
    values.iter().map(bytes).sum()
}

/// Returns about how many bytes of memory the keys without a field and their values take.
pub(in crate::domain) fn extra_bytes(extra: &BTreeMap<String, String>) -> usize {
    // The nodes of the map are half full on average.
    let entry = 2 * size_of::<(String, String)>() + 2 * TEXT_BYTES;
    extra.iter().map(|(key, value)| entry + key.len() + value.len()).sum()
}
