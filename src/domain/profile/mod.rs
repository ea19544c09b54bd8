//! What a profile is: the text a frontend writes about one query's execution, and the summary at its
//! head that says whose profile it is.
//!
//! The text is indented by two spaces a level: `Name:` opens a section, `- Key: value` tells something
//! of it. Up to Doris 2.0 all of it stands below `Query:`, later it starts at `Summary:`.

mod dialects;
mod flame;
#[cfg(test)]
mod forms;
mod lines;
mod operators;
mod phases;
mod summary;
mod tree;

use std::borrow::Cow;

use self::summary::Summary;
use crate::domain::record::{QueryIdError, QueryRecord};
use crate::domain::time::Zone;

pub(crate) use flame::flame_svg;
pub(crate) use operators::{Operator, OperatorDifference, compare, in_order, operators};
pub(crate) use phases::{Phase, Phases, RecordedTimes};
pub(crate) use tree::Section;

/// A profile as it was taken in.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// What the profile's summary says of its query.
    pub summary: QueryRecord,
    /// The text, byte for byte; it need not be UTF-8.
    pub text: Vec<u8>,
}

/// Why a text is not a profile that can be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum ProfileError {
    /// It has no summary under `Query:`, `Load:` or `Summary:`.
    #[error(
        "the text is no profile: it does not begin with 'Query:', 'Load:' or 'Summary:' and a summary"
    )]
    NotAProfile,
    /// The summary names no query, or not in a source that can be kept.
    #[error("the summary has no usable 'Profile ID' or 'Query ID': {0}")]
    QueryId(#[from] QueryIdError),
}

impl Profile {
    /// Returns the byte offset at which a profile begins in the first bytes of a text, or None if none does there.
    ///
    /// A profile begins with `Query:`, `Load:` or `Summary:` and a summary under it, indented or not, within a
    /// client's table (`| `) or a quotation (`> `) too. Before it may stand headings, notes, a code fence and a
    /// table's border, up to 64 lines. The text from the offset on is what [`Profile::parse`] reads; a fence or
    /// border behind the profile may stay in it.
    pub fn find(head: &[u8]) -> Option<usize> {
        lines::find(head)
    }

    /// Whether a text is a profile and nothing stands before it, judged by its first bytes.
    pub fn sniff(head: &[u8]) -> bool {
        let blank = |before: &[u8]| lines::trim(&String::from_utf8_lossy(before)).is_empty();
        Profile::find(head).is_some_and(|at| blank(&head[..at]))
    }

    /// Reads the summary of a profile whose times are local to `zone`, and keeps the text.
    ///
    /// Text copied out of a frontend's page, where every space is doubled, is understood too.
    pub fn parse(text: Vec<u8>, zone: Zone) -> Result<Profile, ProfileError> {
        Ok(Profile { summary: Profile::summary_of(&text, zone)?, text })
    }

    /// Reads only the summary.
    pub fn summary_of(text: &[u8], zone: Zone) -> Result<QueryRecord, ProfileError> {
        if Profile::find(text).is_none() {
            return Err(ProfileError::NotAProfile);
        }
        Ok(Summary::read(&lossy(text)).into_record(zone)?)
    }

    /// Whether a profile, taken while its query was `running` or not, of this size should stand in for
    /// the text `stored` of the same query: a finished one is kept over one of a running query, then
    /// the longer one, which tells more.
    pub fn replaces(running: bool, text_bytes: usize, stored: &[u8]) -> bool {
        let stored_bytes = stored.len();
        let stored = Summary::read(&lossy(stored));
        let stored_runs = stored.state().is_some_and(|state| state.eq_ignore_ascii_case("RUNNING"));
        (!running, text_bytes) > (!stored_runs, stored_bytes)
    }
}

/// What a byte of a profile becomes in HTML in a JSON string, and at the end how many bytes that is: of a size
/// that is copied by one instruction.
#[repr(align(16))]
struct Piece([u8; 16]);

impl Piece {
    const fn of(text: &[u8]) -> Piece {
        let mut bytes = [0; 16];
        let mut at = 0;
        while at < text.len() {
            bytes[at] = text[at];
            at += 1;
        }
        bytes[15] = text.len() as u8;
        Piece(bytes)
    }
}

static PIECES: [Piece; 256] = {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut pieces = [const { Piece::of(b"") }; 256];
    let mut at = 0;
    while at < 256 {
        let byte = at as u8;
        pieces[at] = match byte {
            b'\n' => Piece::of(b"</br>"),
            b' ' => Piece::of(b"&nbsp;&nbsp;"),
            b'&' => Piece::of(b"&amp;"),
            b'<' => Piece::of(b"&lt;"),
            b'>' => Piece::of(b"&gt;"),
            b'"' => Piece::of(b"\\\""),
            b'\\' => Piece::of(b"\\\\"),
            0..b' ' => Piece::of(&[b'\\', b'u', b'0', b'0', HEX[at >> 4], HEX[at & 15]]),
            _ => Piece::of(&[byte]),
        };
        at += 1;
    }
    pieces
};

/// Writes a profile's text as HTML in a JSON string, as Doris' REST interface hands it out: each newline is
/// `</br>`, each space `&nbsp;&nbsp;`. Unlike Doris, `&`, `<` and `>` are escaped, so that the SQL in a
/// profile cannot become markup in somebody's page. Bytes that are not UTF-8 become U+FFFD.
///
/// Spaces are a third of a profile, so its HTML is four times as long. Both in one pass, of pieces of one
/// size that are copied without a call, take 18 µs of 25 KB; one behind the other, with `serde_json`, 90 µs.
pub(crate) fn write_html_json(text: &[u8], into: &mut Vec<u8>) {
    const ROOM: usize = 4096;
    let text = lossy(text);
    into.reserve(text.len() * 5);
    into.push(b'"');
    let (mut room, mut filled) = ([0; ROOM + 16], 0);
    for byte in text.bytes() {
        let Piece(piece) = &PIECES[usize::from(byte)];
        room[filled..filled + 16].copy_from_slice(piece);
        filled += usize::from(piece[15]);
        if filled >= ROOM {
            into.extend_from_slice(&room[..filled]);
            filled = 0;
        }
    }
    into.extend_from_slice(&room[..filled]);
    into.push(b'"');
}

/// A text of which bytes that are not UTF-8 become U+FFFD. Nearly all are UTF-8, which is told faster than
/// `from_utf8_lossy` does.
fn lossy(text: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(text).map_or_else(|_| String::from_utf8_lossy(text), Cow::Borrowed)
}

/// A profile's text from the HTML that a frontend answers or that its page holds.
///
/// Doris writes `</br>` for each line end and `&nbsp;&nbsp;` for each space and escapes nothing else, so `&lt;` in it
/// is part of a statement. Where the HTML has no bare `<` but that of line ends, as annals' own and that which a
/// browser saves, `&lt;`, `&gt;`, `&quot;` and `&amp;` are escapes and are taken back.
pub(crate) fn from_html(html: &str) -> String {
    let mut text = String::with_capacity(html.len() / 2);
    let mut escaped = true;
    let mut rest = html;
    let marks = [
        ("</br>", "\n"),
        ("<br>", "\n"),
        ("<br/>", "\n"),
        ("<br />", "\n"),
        ("&nbsp;&nbsp;", " "),
        ("&nbsp;", " "),
    ];
    while let Some(at) = rest.find(['<', '&']) {
        let (before, behind) = rest.split_at(at);
        text.push_str(before);
        match marks.iter().find_map(|(mark, plain)| Some((behind.strip_prefix(mark)?, plain))) {
            Some((behind, plain)) => {
                text.push_str(plain);
                rest = behind;
            }
            None => {
                escaped &= behind.starts_with('&');
                text.push_str(&behind[..1]);
                rest = &behind[1..];
            }
        }
    }
    text.push_str(rest);
    // A bare `>` tells, too, that nothing is escaped.
    if escaped && !text.contains('>') && text.contains('&') {
        for (mark, plain) in
            [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")]
        {
            text = text.replace(mark, plain);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::record::{Kind, Origin};

    fn parse(text: &str) -> Result<Profile, ProfileError> {
        Profile::parse(text.as_bytes().to_vec(), Zone::UTC)
    }

    /// As Doris 2.1 writes it, but for a line of the second section that would mislead a reader of the first.
    const NEW: &str = "Summary:
   - Profile ID: 1a-2b
   - Task Type: LOAD
   - Start Time: 2024-01-02 11:15:51
   - End Time: 2024-01-02 11:15:53
   - Total: 1s52ms
   - Task State: OK
   - User: alice
   - Default Catalog: internal
   - Default Db: shop
   - Sql Statement: insert into t
select '- Key: no', 1
- Total: not a key
 from s
Execution Summary:
   - Parse SQL Time: 1ms
   - Workload Group: normal
   - User: not alice
";

    #[test]
    fn the_summary_of_a_newer_profile() {
        let profile = parse(NEW).unwrap();
        let summary = &profile.summary;
        assert_eq!(summary.query_id.as_str(), "1a-2b");
        assert_eq!((summary.kind, summary.origin), (Kind::Load, Origin::Summary));
        assert_eq!(summary.started_ms, Some(1_704_194_151_000));
        assert_eq!(summary.duration_ms, Some(1_052));
        assert_eq!(summary.user.as_deref(), Some("alice"));
        assert_eq!(summary.catalog.as_deref(), Some("internal"));
        assert_eq!(
            summary.statement.as_deref(),
            Some("insert into t\nselect '- Key: no', 1\n- Total: not a key\n from s")
        );
        assert_eq!(profile.text, NEW.as_bytes());
    }

    #[test]
    fn the_summary_of_an_older_profile() {
        let text = "Query:\n  Summary:\n     - Query ID: 1a-2b\n     - Start Time: N/A\n     - End Time: N/A\n     \
                    - Total: N/A\n     - Query Type: Query\n     - Query State: RUNNING\n     \
                    - Doris Version: 1.2.3-rc02\n     - User: root\n     - Default Db: default_cluster:d\n     \
                    - Sql Statement: select 1\n     - Is Cached: N/A\n  Execution Profile 1a-2b:\n    Fragment 0:\n";
        let summary = parse(text).unwrap().summary;
        assert!(summary.is_running());
        assert_eq!((summary.started_ms, summary.duration_ms), (None, None));
        assert_eq!(summary.statement.as_deref(), Some("select 1"));
        assert_eq!(summary.db.as_deref(), Some("d"));
    }

    #[test]
    fn a_profile_copied_out_of_the_page() {
        for space in ["  ", "\u{a0}\u{a0}"] {
            let copied = NEW.replace(' ', space);
            let profile = parse(&copied).unwrap();
            assert_eq!(profile.summary, parse(NEW).unwrap().summary);
            assert_eq!(profile.text, copied.as_bytes());
        }
    }

    #[test]
    fn what_is_not_a_profile_is_refused() {
        assert_eq!(parse("hello\n"), Err(ProfileError::NotAProfile));
        assert_eq!(parse(""), Err(ProfileError::NotAProfile));
        let missing = Err(ProfileError::QueryId(QueryIdError::Missing));
        assert_eq!(parse("Summary:\n"), Err(ProfileError::NotAProfile));
        assert_eq!(parse("Query:\n  Summary:\n    - User: a\n"), missing);
    }

    #[test]
    fn the_finished_and_longer_profile_is_kept() {
        let finished = parse(NEW).unwrap();
        let running = parse(&(NEW.replace("OK", "RUNNING") + "and much more")).unwrap();
        let longer = parse(&(NEW.to_string() + "\n")).unwrap();
        let replaces = |new: &Profile, old: &Profile| {
            Profile::replaces(new.summary.is_running(), new.text.len(), &old.text)
        };
        assert!(replaces(&finished, &running));
        assert!(!replaces(&running, &finished));
        assert!(!replaces(&finished, &finished));
        assert!(replaces(&longer, &finished));
    }

    #[test]
    fn html_keeps_markup_from_becoming_markup() {
        let html = |text: &[u8]| {
            let mut json = Vec::new();
            write_html_json(text, &mut json);
            serde_json::from_slice::<String>(&json).unwrap()
        };
        assert_eq!(html(b"Query:\n  Summary:"), "Query:</br>&nbsp;&nbsp;&nbsp;&nbsp;Summary:");
        assert_eq!(html(b"a<b>&\"c\xff"), "a&lt;b&gt;&amp;\"c\u{fffd}");
        assert_eq!(html(b"\\n\\\\n\\\n\t\0"), "\\n\\\\n\\</br>\t\0");
        assert_eq!(html(&[b' '; 900]), "&nbsp;".repeat(1800));
        for byte in (0..128).filter(|byte| !b"\n &<>".contains(byte)) {
            assert_eq!(html(&[byte]).as_bytes(), [byte]);
        }
    }
}
