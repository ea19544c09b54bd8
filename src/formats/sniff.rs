//! Recognises a text by its start and, if that is not enough, by the name of its file.

use memchr::memmem;
use serde_json::Value;

use super::answer;
use super::audit_log::AuditLog;
use super::dump::Header;
use super::file::Layout;
use super::wrapper::{Unwrapper, is_running_log};
use crate::domain::profile::Profile;
use crate::domain::time::{leading_local_time, leading_zone_offset};

/// The content of a text.
#[derive(Debug)]
pub(super) enum Content {
    /// Only white space.
    Blank,
    /// A profile that a frontend spilled to its disk.
    Spilled,
    /// One profile or more, perhaps with other text around them.
    Profiles,
    /// The same, with a wrapper around each line.
    WrappedProfiles(Unwrapper),
    /// A profile as HTML.
    Html,
    /// An audit log.
    Log(Option<Unwrapper>),
    /// A text that may be another log of a frontend, or one that has records further on.
    OtherLog(Option<Unwrapper>),
    /// A file that a frontend writes beside its audit log and that is no text.
    OtherFile,
    /// One JSON document a line.
    JsonLines,
    /// JSON documents of many lines, or an array.
    Json,
    /// Rows of the audit table below a line of column names.
    Table(Header),
    /// The same as the mysql client prints them for people.
    ClientTable(Layout),
    Unknown,
}

/// Returns the content of a text that begins with `head`, in a file of this name.
pub(super) fn content(head: &[u8], name: &str) -> Content {
    let text = head.trim_ascii_start();
    if text.is_empty() {
        return Content::Blank;
    }
    if answer::is_spilled(head) {
        return Content::Spilled;
    }
    if Profile::sniff(head) {
        return Content::Profiles;
    }
    // The last event of an array looks like a line of its own.
    let is_array = text.starts_with(b"[") && json(text).is_some();
    let unwrapper = if is_array { None } else { Unwrapper::detect(head) };
    let has_record = |unwrapper: &Unwrapper| unwrapper.clone().finds_record(head);
    if !AuditLog::sniff(head)
        && !unwrapper.as_ref().is_some_and(has_record)
        && let Some(unwrapper) = Unwrapper::detect_profile(head)
    {
        return Content::WrappedProfiles(unwrapper);
    }
    if let Some(unwrapper) = unwrapper {
        return Content::OtherLog(Some(unwrapper));
    }
    if let Some(json) = json(text) {
        // StarRocks' fe.features.log is JSON too, and its fe.profile.log holds profiles.
        let is_other = is_named_as_other(name) && !name.contains("profile");
        return if is_other { Content::OtherLog(None) } else { json };
    }
    if let Some(header) = Header::sniff(head) {
        return Content::Table(header);
    }
    if let Some(layout) = Layout::sniff(text) {
        return Content::ClientTable(layout);
    }
    if AuditLog::sniff(head) {
        return Content::Log(None);
    }
    if answer::is_html(head) {
        return Content::Html;
    }
    // Before the search for profiles: a running log may hold any text.
    if is_other_log(head) {
        return Content::OtherLog(None);
    }
    if answer::has_profile(head) {
        return Content::Profiles;
    }
    match (is_named_as_other(name), memchr::memchr(0, head).is_some()) {
        (true, true) => Content::OtherFile,
        (true, false) => Content::OtherLog(None),
        (false, _) => Content::Unknown,
    }
}

/// Returns how the documents of a JSON text are arranged, or None if the text is not JSON.
fn json(text: &[u8]) -> Option<Content> {
    let line = text.split(|byte| *byte == b'\n').next()?;
    let line = without_log_time(line);
    match *line.first()? {
        b'{' => {
            let is_whole = serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok();
            if is_whole {
                return Some(Content::JsonLines);
            }
            let next = line[1..].trim_ascii_start().first();
            matches!(next, None | Some(b'"')).then_some(Content::Json)
        }
        b'[' => {
            let next = text.get(1..)?.trim_ascii_start().first();
            matches!(next, Some(b'{')).then_some(Content::Json)
        }
        b'"' => {
            // Only the text of an answer, as `jq .data` prints it.
            let is_text = matches!(serde_json::from_slice(line), Ok(Value::String(_)));
            is_text.then_some(Content::JsonLines)
        }
        _ => None,
    }
}

/// Returns a line without the time that a logger wrote before a JSON document, as in StarRocks' fe.profile.log.
pub(super) fn without_log_time(line: &[u8]) -> &[u8] {
    let after = leading_local_time(line).map(|(_, length)| {
        let rest = &line[length..];
        let offset = leading_zone_offset(rest).map_or(0, |(_, length)| length);
        rest.get(offset..).unwrap_or_default().trim_ascii_start()
    });
    after.filter(|rest| rest.starts_with(b"{")).unwrap_or(line)
}

/// Returns whether a text is a log of a frontend, a backend or their JVM.
fn is_other_log(head: &[u8]) -> bool {
    let lines = head.split(|byte| *byte == b'\n');
    lines.filter(|line| !line.trim_ascii().is_empty()).take(50).any(|line| {
        is_running_log(line) || is_backend_log(line) || is_gc_log(line) || is_jvm_text(line)
    })
}

/// Returns whether a line is one of glog, as backends write it: `I20260301 10:00:00.000000 123 file.cpp:1] …`.
fn is_backend_log(line: &[u8]) -> bool {
    let digits = line.iter().skip(1).take_while(|byte| byte.is_ascii_digit()).count();
    matches!(line.first(), Some(b'I' | b'W' | b'E' | b'F'))
        && matches!(digits, 4 | 8)
        && line.get(1 + digits) == Some(&b' ')
        && line.get(digits + 4) == Some(&b':')
        || line.starts_with(b"Log file created at:")
}

/// Returns whether a line is one of a garbage collector's log, of Java 8 or later.
fn is_gc_log(line: &[u8]) -> bool {
    let unified = line.strip_prefix(b"[").and_then(|rest| {
        let close = rest.iter().take(60).position(|byte| *byte == b']')?;
        let is_time = leading_local_time(rest).is_some()
            || rest[..close].ends_with(b"s") && rest.first().is_some_and(u8::is_ascii_digit);
        is_time.then_some(rest.get(close + 1) == Some(&b'['))
    });
    let old = || {
        memmem::find(&line[..line.len().min(120)], b": [").is_some_and(|at| {
            let after = &line[at + 3..];
            after.starts_with(b"GC") || after.starts_with(b"Full GC") || after.starts_with(b"CMS")
        })
    };
    unified == Some(true) || old()
}

/// Returns whether a line is a message of a JVM.
fn is_jvm_text(line: &[u8]) -> bool {
    const STARTS: [&[u8]; 7] = [
        b"OpenJDK ",
        b"Java HotSpot",
        b"CommandLine flags:",
        b"Full thread dump",
        b"# A fatal error has been detected by the Java",
        b"using java version",
        b"SLF4J: ",
    ];
    STARTS.iter().any(|start| line.starts_with(start))
}

/// Returns whether a file is named as one that a frontend, a backend or their scripts write beside the audit log:
/// `fe.log.20260301-1`, `fe.out`, `jni.log`, `hs_err_pid1.log`.
fn is_named_as_other(name: &str) -> bool {
    const STARTS: [&str; 19] = [
        "fe.", "be.", "cn.", "fe-omm-", "be-omm-", "gc.", "jni.", "jdbc.", "ldap.", "hs_err_pid",
        "start_", "stop_", "prestart", "poststart", "postinstall", "cleanup", "check_", "core.",
        "nohup.",
    ];
    const ENDS: [&str; 8] =
        [".out", ".pid", ".hprof", ".jfr", ".stack", ".jstack", ".core", ".ds_store"];
    let name = name.to_ascii_lowercase();
    let is_other = STARTS.iter().any(|start| name.starts_with(start))
        || ENDS.iter().any(|end| name.ends_with(end))
        || name.contains("gc.log");
    is_other && !name.contains("audit")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name_of(content: &Content) -> String {
        let name = format!("{content:?}");
        name.split(['(', ' ']).next().unwrap_or_default().to_string()
    }

    #[test]
    fn each_content_is_known_by_its_start() {
        let running = "2026-03-01 10:00:00,000 INFO (main|1) [Place.at():3] it starts\n";
        let record = "2026-03-01 10:00:00,000 [query] |Client=10.0.0.1:5000|User=mira|Ctl=internal\
        |Db=shop|State=EOF|ErrorCode=0|ErrorMessage=|Time(ms)=12|ScanBytes=0|ScanRows=0|ReturnRows=1|StmtId=1\
        |QueryId=1-2|IsQuery=true|isNereids=true|feIp=10.0.0.2|StmtType=SELECT|Stmt=select 1|CpuTimeMS=3|ShuffleSendBytes=0|ShuffleSendRows=0\
        |SqlHash=5f0c|peakMemoryBytes=2048|SqlDigest=|cloudClusterName=UNKNOWN|TraceId=|WorkloadGroup=normal\
        |FuzzyVariables=|scanBytesFromLocalStorage=0|scanBytesFromRemoteStorage=0\n";
        let profile = "Summary:\n   - Profile ID: 1-2\n   - Task Type: QUERY\n   \
                       - Start Time: 2026-03-01 10:00:00\n   - End Time: 2026-03-01 10:00:01\n   \
                       - Total: 950ms\n   - Task State: EOF\n   - User: mira\n   \
                       - Default Catalog: internal\n   - Default Db: shop\n   \
                       - Sql Statement: select 1\nExecution Summary:\n   - Workload Group: normal\n";
        for (expected, text) in [
            ("Blank", " \n\n"),
            ("Profiles", profile),
            ("Profiles", &format!("# A slow one\n\n```\n{profile}```\n")),
            ("Html", &profile.replace('\n', "</br>").replace(' ', "&nbsp;&nbsp;")),
            ("Log", record),
            ("Log", &format!("notes of mine\n{record}")),
            ("OtherLog", &format!("{running}{record}")),
            ("OtherLog", running),
            ("OtherLog", "[2026-03-01T10:00:00.005+0000][0.005s][info][gc] Using G1\n"),
            ("OtherLog", "[0.005s][info][gc] Using G1\n"),
            ("OtherLog", "2026-03-01T10:00:00.005+0800: 1.2: [GC (Allocation Failure) 1K->2K]\n"),
            ("OtherLog", "I20260301 10:00:00.000123   99 place.cpp:3] it starts\n"),
            ("JsonLines", "{\"query_id\": \"1-2\"}\n"),
            ("JsonLines", "2026-03-01 10:00:00,000 {\"queryId\": \"1-2\"}\n"),
            ("Json", "{\n  \"code\": 0\n}\n"),
            ("Json", "[\n {\"query_id\": \"1-2\"}]"),
            ("Table", "query_id,time,stmt\n"),
            ("Unknown", "neither this\nnor that\n"),
            ("Unknown", "[1, 2]"),
        ] {
            assert_eq!(name_of(&content(text.as_bytes(), "x")), expected, "{text}");
        }
    }

    #[test]
    fn other_files_of_a_frontend_are_known_by_name_too() {
        for name in [
            "fe.out", "fe.log.20260301-1", "jni.log", "hs_err_pid7.log", "fe-omm-1-gc.log.2",
            "fe.gc.log.20260301-100000",
        ] {
            assert_eq!(name_of(&content(b"anything", name)), "OtherLog", "{name}");
        }
        assert_eq!(name_of(&content(b"\0\x01", "java_pid1.hprof")), "OtherFile");
        for name in ["fe.audit.log", "notes.txt", "profile.txt"] {
            assert_eq!(name_of(&content(b"anything", name)), "Unknown", "{name}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(head in prop::collection::vec(any::<u8>(), 0..300), name in ".{0,20}") {
            content(&head, &name);
        }

        #[test]
        fn no_text_makes_it_panic(
            parts in prop::collection::vec(
                prop_oneof![
                    Just("Summary:"), Just("\n"), Just("{"), Just("}"), Just("["), Just("\""),
                    Just("</br>"), Just("&nbsp;"), Just("query_id"), Just(","), Just("\t"), Just("stmt"),
                    Just("2026-03-01 10:00:00,000"), Just(" [query] |"), Just("```"), Just("é"),
                    Just("- Profile ID: 1-2"), Just(" INFO ("), Just(": [GC"), Just("[0.1s]["),
                ],
                0..30,
            ),
        ) {
            content(parts.concat().as_bytes(), "fe.log");
        }
    }
}
