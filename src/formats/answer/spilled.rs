//! Profiles that a frontend spills to its disk.
//!
//! From Doris' `Profile.writeToStorage` and `SummaryProfile.write`, 3.0 and later: the length of a JSON text as four
//! bytes, the text, the length of the profile's rest, and the rest. Since 3.0.5 this is the one file within
//! `log/profile/TIME_ID.zip`; before, the file was `TIME_ID`, and the rest was compressed with zlib.

use std::borrow::Cow;
use std::collections::HashSet;
use std::io::Read;

use memchr::memmem;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::formats::SkipReason;
use crate::formats::file::MAX_PROFILE_BYTES;

/// Returns whether an input that begins with `head` is a spilled profile.
pub(in crate::formats) fn is_spilled(head: &[u8]) -> bool {
    head.get(4..6) == Some(b"{\"")
        && split_part(head).is_none_or(|(json, _)| !json.is_empty())
        && memmem::find(head, b"\"summaryProfile\"").is_some()
}

/// Returns the text of a spilled profile as the frontend shows it.
///
/// Errors if the input is damaged, or if the text is larger than [`MAX_PROFILE_BYTES`].
pub(in crate::formats) fn spilled_text(bytes: &[u8]) -> Result<Vec<u8>, SkipReason> {
    let (json, after) = split_part(bytes).ok_or(SkipReason::Damaged)?;
    let (rest, _) = split_part(after).ok_or(SkipReason::Damaged)?;
    let summary: Summary = serde_json::from_slice(json).map_err(|_| SkipReason::Damaged)?;
    let mut text = String::new();
    summary.summary_profile.print("Summary", &mut text);
    if let Some(section) = &summary.execution_summary_profile {
        section.print("Execution Summary", &mut text);
    }
    let mut text = text.into_bytes();
    let is_compressed = rest.starts_with(b"\x78") && std::str::from_utf8(rest).is_err();
    if is_compressed {
        let most = MAX_PROFILE_BYTES as u64 + 1;
        let read = flate2::read::ZlibDecoder::new(rest).take(most).read_to_end(&mut text);
        read.map_err(|_| SkipReason::Damaged)?;
    } else {
        text.extend_from_slice(rest);
    }
    match text.len() > MAX_PROFILE_BYTES {
        true => Err(SkipReason::ProfileTooLarge),
        false => Ok(text),
    }
}

/// Returns the part after its length, and what is after the part, or None if the part is not complete.
fn split_part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_be_bytes(*length) as usize)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    summary_profile: Section,
    execution_summary_profile: Option<Section>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Section {
    #[serde(default)]
    info_strings: Map<String, Value>,
    #[serde(default)]
    info_strings_display_order: Vec<String>,
}

impl Section {
    /// Writes the section as a frontend prints it: first the entries that have an order, then the others.
    fn print(&self, name: &str, into: &mut String) {
        into.push_str(name);
        into.push_str(":\n");
        let ordered = self.info_strings_display_order.iter();
        let ordered = ordered.filter_map(|key| self.info_strings.get_key_value(key));
        let known: HashSet<&String> = self.info_strings_display_order.iter().collect();
        let others = self.info_strings.iter().filter(|(key, _)| !known.contains(key));
        for (key, value) in ordered.chain(others) {
            let value = match value {
                Value::String(text) => Cow::Borrowed(text.as_str()),
                other => Cow::Owned(other.to_string()),
            };
            *into += &format!("   - {key}: {value}\n");
        }
    }
}
