//! Tests of profiles; [`versions`] has a profile of each version of each engine, [`growth`] has hostile texts.

mod growth;
mod versions;

use super::*;
use crate::domain::record::{Kind, Origin};

fn parse(text: &str) -> Result<Profile, ProfileError> {
    Profile::parse(text.as_bytes().to_vec(), Zone::UTC)
}

/// A profile of Doris 2.1. The second section has a key of the first, which must not be read.
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
fn other_texts_are_rejected() {
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
    let should_replace = |new: &Profile, old: &Profile| {
        Profile::should_replace(new.summary.is_running(), new.text.len(), &old.text)
    };
    assert!(should_replace(&finished, &running));
    assert!(!should_replace(&running, &finished));
    assert!(!should_replace(&finished, &finished));
    assert!(should_replace(&longer, &finished));
}
