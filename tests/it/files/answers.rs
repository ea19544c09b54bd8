//! Saved answers and pages of frontends.

use super::{import_one, prefixed, profile};
use serde_json::{Value, json};

#[test]
fn saved_answers_and_pages_are_read_as_profiles() {
    let text = profile("e-1");
    let html = text.replace('\n', "</br>").replace(' ', "&nbsp;&nbsp;");
    let envelope = |data: Value| json!({"msg": "success", "code": 0, "data": data, "count": 0});
    let escaped = text.replace('<', "&lt;");
    for (name, saved) in [
        ("api.json", envelope(json!({"profile": text})).to_string()),
        ("pretty.json", serde_json::to_string_pretty(&envelope(json!({"profile": text}))).unwrap()),
        ("query_profile.json", envelope(json!(html)).to_string()),
        ("data.json", json!({"profile": text}).to_string()),
        ("text.json", json!(text).to_string()),
        ("page.html", html.clone()),
        (
            "saved.html",
            format!("<!DOCTYPE html>\n<html><body><div><pre>{escaped}</pre></div></body></html>\n"),
        ),
        ("issue.md", format!("# Slow\n\nIt was slow today:\n\n```text\n{text}```\n\nWhy?\n")),
        ("heading.txt", format!("Query Profile\n\n{text}")),
        (
            "quoted.md",
            prefixed(&format!("He wrote:\n\n{text}\nSo it is.\n"), "> ").replace("> \n", ">\n"),
        ),
        ("windows.md", format!("# Slow\n\n```\n{text}```\n").replace('\n', "\r\n")),
    ] {
        let (printed, records) = import_one(name, &saved, 0);
        let row = &records["e-1"];
        assert_eq!(row["has_profile"], true, "{name}: {printed}");
        assert_eq!(row["duration_ms"], 950, "{name}");
        assert_eq!(row["statement"], "select count(*) from plants where height < 3", "{name}");
    }
    let (printed, _) =
        import_one("error.json", r#"{"msg":"Error","code":1,"data":"ID 7 does not exist"}"#, 2);
    assert!(printed.contains("an error that a frontend answered"), "{printed}");
}

#[test]
fn one_file_may_contain_several_profiles_or_answers() {
    let (first, second) = (profile("e-1"), profile("e-2"));
    let notes = format!("# Two\n\n```\n{first}```\n\nand\n\n~~~text\n{second}~~~\n");
    let answers: String = [&first, &second]
        .iter()
        .map(|text| format!("{}\n", json!({"code": 0, "data": {"profile": text}})))
        .collect();
    let array = json!([{"profile": first}, {"profile": second}]).to_string();
    for (name, text) in [
        ("notes.md", notes),
        ("answers.json", answers),
        ("array.json", array),
        ("all.txt", format!("{first}\n{second}")),
    ] {
        let (printed, records) = import_one(name, &text, 0);
        assert_eq!(records.keys().collect::<Vec<_>>(), ["e-1", "e-2"], "{name}: {printed}");
        assert!(printed.contains("profiles: 2 new"), "{name}: {printed}");
    }
}

#[test]
fn saved_query_lists_are_read_as_records() {
    let rows = json!([{"Profile ID": "e-1", "Task Type": "QUERY", "Start Time": "2026-02-03 10:00:00",
        "End Time": "2026-02-03 10:00:01", "Total": "950ms", "Task State": "OK", "User": "dora",
        "Default Db": "garden", "Sql Statement": "select 1"}]);
    let list = json!({"msg": "success", "code": 0, "data": {"rows": rows, "column_names": []}, "count": 1});
    let (printed, records) = import_one("list.json", list.to_string(), 0);
    assert_eq!(records["e-1"]["duration_ms"], 950, "{printed}");
    assert_eq!(records["e-1"]["user"], "dora");
    let detail = json!([{"queryId": "e-2", "startTime": 1_770_112_800_000_i64, "latency": 7, "state":
        "FINISHED", "sql": "select count(*) from plants where height < 3", "profile": profile("e-2")}]);
    let (printed, records) = import_one("detail.json", detail.to_string(), 0);
    assert_eq!(records["e-2"]["has_profile"], true, "{printed}");
    let logged = format!("2026-02-03 10:00:00.000+08:00 {}\n", detail[0]);
    let (printed, records) = import_one("fe.profile.log", logged, 0);
    assert_eq!(records["e-2"]["has_profile"], true, "{printed}");
}
