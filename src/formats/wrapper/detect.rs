//! Which wrapper the lines of an input have.

use super::Unwrapper;
use super::begins_entry;
use super::line::{Wrapper, is_running_log, logger_name};
use crate::formats::answer;
use crate::formats::audit_log::AuditLog;

/// How many lines are searched for a line of a frontend.
const DETECTED_LINES: usize = 2000;

/// How many lines are searched for a wrapper. What `docker compose` or a script printed may come before.
const FIRST_LINES: usize = 20;

impl Unwrapper {
    /// Returns what takes the wrappers off the lines of an input that begins with `head`, or None if its lines are those
    /// of a plain log.
    pub(crate) fn detect(head: &[u8]) -> Option<Unwrapper> {
        let first = lines(head).next()?;
        if AuditLog::begins_record(first) {
            return None;
        }
        // One line is proof of these two.
        for wrapper in [Wrapper::DockerJson, Wrapper::Cri] {
            if has_wrapper(head, wrapper) {
                return Some(unwrapper(head, wrapper));
            }
        }
        // The others look like many a text: only a frontend's line within is proof.
        for wrapper in Wrapper::UNCERTAIN {
            let unwrapped =
                lines(head).take(DETECTED_LINES).filter_map(|line| wrapper.unwrap(line));
            let first = unwrapped.map(|line| line.text).find(|text| begins_entry(text));
            if let Some(first) = first.filter(|_| has_wrapper(head, wrapper)) {
                let mut unwrapper = unwrapper(head, wrapper);
                if wrapper == Wrapper::File && AuditLog::begins_record(&first) {
                    // What comes before is the end of a record.
                    (unwrapper.is_other_log, unwrapper.is_behind_gap) = (false, true);
                }
                return Some(unwrapper);
            }
        }
        let is_console = lines(head)
            .take(FIRST_LINES)
            .any(|line| logger_name(line).is_some() || is_running_log(line));
        is_console.then(|| unwrapper(head, Wrapper::Bare))
    }

    /// Returns what takes the wrappers off the lines of an input that begins with `head` and holds a profile, or None if
    /// the lines have no wrapper or hold no profile.
    pub(in crate::formats) fn detect_profile(head: &[u8]) -> Option<Unwrapper> {
        let has = |words: &[u8]| memchr::memmem::find(head, words).is_some();
        if !has(b"Summary:") || !has(b"Profile ID") && !has(b"Query ID") {
            return None;
        }
        let wrappers = [Wrapper::DockerJson, Wrapper::Cri].into_iter().chain(Wrapper::UNCERTAIN);
        wrappers.filter(|wrapper| has_wrapper(head, *wrapper)).find_map(|wrapper| {
            let unwrapper = Unwrapper::new(wrapper, false, has_line_ends(head, wrapper));
            answer::has_profile(&unwrapper.unwrap_text(head)).then_some(unwrapper)
        })
    }
}

/// Returns the lines of a text that are not blank.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    lines.filter(|line| !line.trim_ascii().is_empty())
}

fn has_wrapper(head: &[u8], wrapper: Wrapper) -> bool {
    lines(head).take(FIRST_LINES).any(|line| wrapper.unwrap(line).is_some())
}

/// Returns whether lines keep their line ends within the wrapper.
fn has_line_ends(head: &[u8], wrapper: Wrapper) -> bool {
    let mut unwrapped = lines(head).take(FIRST_LINES).filter_map(|line| wrapper.unwrap(line));
    wrapper == Wrapper::DockerJson && unwrapped.any(|line| line.text.ends_with(b"\n"))
}

fn unwrapper(head: &[u8], wrapper: Wrapper) -> Unwrapper {
    let mut unwrapped = lines(head).take(FIRST_LINES).filter_map(|line| wrapper.unwrap(line));
    let is_named = unwrapped.any(|line| logger_name(&line.text).is_some());
    Unwrapper::new(wrapper, is_named, has_line_ends(head, wrapper))
}
