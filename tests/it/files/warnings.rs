//! Warnings about records that look wrong.

use super::{Scene, import_one, record};
use crate::support::{STARROCKS_3, audit_record, record_of, stdout};

#[test]
fn suspicious_records_are_reported_with_file_and_line() {
    let values =
        [("QueryId", "h-1"), ("ErrorMessage", "it says |Time(ms)=3|x"), ("Stmt", "select 1")];
    let bad = audit_record("2026-02-03 10:00:00,000", &values);
    let (printed, records) = import_one("log", format!("{}{bad}", record("h-2", "select 2")), 0);
    assert_eq!(records.len(), 2);
    assert!(printed.contains("1 x a record whose error message holds |Time(ms)="), "{printed}");
    assert!(printed.contains("log:2\n"), "{printed}");
    let (printed, _) = import_one("log", record("h-1", "select 1"), 0);
    assert!(!printed.contains("warnings"), "{printed}");
}

#[test]
fn a_wrong_time_zone_is_reported_with_the_likely_one() {
    // Written in Shanghai a minute ago, and read as UTC.
    let local = |hours: i64| {
        let time = chrono::DateTime::<chrono::Utc>::from(std::time::SystemTime::now())
            + chrono::Duration::seconds(hours * 3600 - 60);
        time.format("%Y-%m-%d %H:%M:%S,000").to_string()
    };
    let log = |hours: i64| {
        audit_record(&local(hours - 2), &[("QueryId", "i-1"), ("Stmt", "select 1")])
            + &audit_record(&local(hours), &[("QueryId", "i-2"), ("Stmt", "select 2")])
    };
    let (printed, _) = import_one("log", log(8), 0);
    assert!(printed.contains("2 x a query that starts in the future"), "{printed}");
    assert!(printed.contains("ahead: the times look like UTC+08:00"), "{printed}");
    assert!(
        printed.contains("times of UTC. If so, set --time-zone Asia/Shanghai, and move"),
        "{printed}"
    );
    assert!(printed.contains("--source 'import' --read-as UTC --by -8h`.\n"), "{printed}");
    let (printed, _) = import_one("log", log(9), 0);
    assert!(printed.contains("--time-zone Asia/Tokyo, "), "{printed}");
    let (printed, _) = import_one("log", log(3), 0);
    assert!(printed.contains(", or Asia/Shanghai, Doris' own default"), "{printed}");
    // StarRocks writes the line with a zone and the start without one, so that an old log is recognized, too.
    let start = "2026-02-03 18:00:00.000";
    let values = [
        ("Timestamp", start),
        ("Time", "900"),
        ("QueryId", "0b1d4c3a-53e1-11ef-9e43-00163e0e2cf9"),
        ("Stmt", "select 1"),
    ];
    let head =
        "2026-02-03 18:00:01.000+08:00 INFO (audit-event-processor|7) [AuditLog.log():68] [query]";
    let starrocks = record_of(STARROCKS_3, head, &values);
    let (printed, _) = import_one("log", starrocks, 0);
    assert!(printed.contains("1 x a query that starts after its record was written"), "{printed}");
    assert!(printed.contains("--time-zone Asia/Shanghai, "), "{printed}");
    // In the zone of the log, the times are past.
    let scene = Scene::new();
    scene.write("log", log(8));
    let printed = stdout(&scene.import(&["--time-zone", "Asia/Shanghai"]));
    assert!(!printed.contains("warnings"), "{printed}");
    let far = audit_record("2999-01-01 00:00:00,000", &[("QueryId", "i-1"), ("Stmt", "select 1")]);
    let (printed, _) = import_one("log", far, 0);
    assert!(printed.contains("no zone explains them"), "{printed}");
}

#[test]
fn an_instant_of_the_future_is_no_sign_of_a_zone() {
    let now = crate::support::now();
    let ms = (now + chrono::Duration::hours(8)).timestamp_millis().to_string();
    let written = now.format("%Y-%m-%d %H:%M:%S,000").to_string();
    let values =
        [("Timestamp", ms.as_str()), ("QueryId", "j-1"), ("Time(ms)", "9"), ("Stmt", "select 1")];
    let log = record_of(crate::support::DORIS_4_0, &format!("{written} [query]"), &values);
    let (printed, records) = import_one("log", log, 0);
    assert_eq!(records["j-1"]["started_ms"].to_string(), ms);
    assert!(printed.contains("1 x a query that starts in the future"), "{printed}");
    assert!(printed.contains("Their times depend on no zone"), "{printed}");
    assert!(!printed.contains("--time-zone"), "{printed}");
    assert!(!printed.contains("after its record was written"), "{printed}");
}
