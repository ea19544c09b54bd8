//! Any two runs side by side: picked in a list or named by their ids, and the nearest run with a profile for one without.

use std::path::PathBuf;

use serde_json::json;
use tempfile::TempDir;

use crate::pages::{page, send};
use crate::plans::run;
use crate::support::{Server, WithDb, add_user, annals, import, read_plans, stderr, stdout};

/// The start of the run 0 of `plans.rs`.
const FIRST_MS: i64 = 1_704_193_200_000;
const MINUTE_MS: i64 = 60_000;

/// Returns a history of the runs 0 to 3 with a sort and 7 and 8 without, all with profiles, and of the run `bare` between, which
/// has none. The run 1 is of carol, all others of alice.
fn history() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("annals.db");
    for number in [0, 1, 2, 3, 7, 8] {
        let user = if number == 1 { "carol" } else { "alice" };
        let file = folder.path().join(format!("{number}.txt"));
        std::fs::write(&file, run(number, user, number < 7, 100)).unwrap();
    }
    let imported = import(&db, &[folder.path()]);
    assert!(imported.status.success(), "{}", stderr(&imported));
    read_plans(&db);
    let server = Server::start(&db, &[]);
    let bare = json!({
        "query_id": "bare-1", "user": "alice", "started_ms": FIRST_MS + 6 * MINUTE_MS,
        "duration_ms": 1800, "state": "EOF", "scan_rows": 60, "db": "garden",
        "stmt": "select bed from plants where height < 600 order by bed",
    });
    let (status, answer, _) =
        server.send("POST", "/api/v1/queries", &[], bare.to_string().as_bytes());
    assert_eq!((status, &answer["data"]["new"]), (200, &json!(1)), "{answer}");
    drop(server);
    (folder, db)
}

#[test]
fn the_fastest_and_the_slowest_run_of_a_statement_have_profiles() {
    let (_folder, db) = history();
    let server = Server::start(&db, &[]);
    let query = server.envelope("/api/v1/queries/bare-1")["data"].clone();
    let path = format!("/statements/{}", query["fingerprint"].as_str().unwrap());
    let body = page(&server, &path);
    let (_, section) = body.split_once("Fastest and slowest run with a profile").unwrap();
    let (section, _) = section.split_once("</section>").unwrap();
    assert!(section.contains("Time, slowest") && !section.contains("bare-1"), "{section}");
}

#[test]
fn two_runs_are_compared_in_the_order_of_their_starts() {
    let (_folder, db) = history();
    let server = Server::start(&db, &["--time-zone", "UTC"]);
    let body = page(&server, "/compare?run=8-a&run=0-a");
    let earlier = body.find("<code>0-a</code>").unwrap();
    assert!(earlier < body.find("<code>8-a</code>").unwrap(), "{body}");
    for expected in [
        "<del>- ", "height &lt; 0", "<ins>+ ", "height &lt; 8", "Time, earlier", "Rows, later",
        "The plans differ", "All runs of this statement",
    ] {
        assert!(body.contains(expected), "{expected}: {body}");
    }
    let body = page(&server, "/compare?run=0-a&run=bare-1");
    for expected in ["+1.20 s ×3.00", "garden"] {
        assert!(body.contains(expected), "{expected}: {body}");
    }
    // Equal values of fields that do not always show are not repeated.
    assert!(!body.contains("Statement type"), "{body}");
    assert!(page(&server, "/compare?run=0-a&run=0-a").contains("Both are the same run."));
}

#[test]
fn runs_are_picked_in_lists_and_named_by_ids() {
    let (_folder, db) = history();
    let server = Server::start(&db, &["--time-zone", "UTC"]);
    let fingerprint = server.envelope("/api/v1/queries/0-a")["data"]["fingerprint"].clone();
    let statement = format!("/statements/{}", fingerprint.as_str().unwrap());
    for path in ["/", &statement] {
        let body = page(&server, path);
        assert_eq!(body.matches("<form class=\"compare\" id=\"compare\"").count(), 1, "{body}");
        assert_eq!(
            body.matches("name=\"run\" value=\"bare-1\" form=\"compare\"").count(),
            1,
            "{body}"
        );
    }
    let body = page(&server, "/query_profile/0-a");
    let (_, form) = body.split_once("action=\"/compare\"").unwrap();
    assert!(form.contains("type=\"hidden\" name=\"run\" value=\"0-a\""), "{form}");
    // Blanks and quotes do not matter, and neither does the rest of an id of which six characters are known.
    assert!(page(&server, "/compare?run=%200-a&run=%22bare-1%22").contains("<del>- "));
    assert!(page(&server, "/compare?run=0-a&run=bare-1").contains("<del>- "));
    for (path, expected) in [
        ("/compare", "Tick two runs in a list"),
        ("/compare?run=0-a", "One run is chosen"),
        ("/compare?run=0-a&run=7-a&run=8-a", "More than two runs are chosen"),
    ] {
        let body = page(&server, path);
        assert!(body.contains(expected), "{expected}: {body}");
    }
    assert!(page(&server, "/compare?run=0-a").contains("name=\"run\" value=\"0-a\""));
    for (path, status, expected) in [
        ("/compare?run=0-a&run=nothing-1", 404, "no query ID starts with nothing-1"),
        ("/compare?run=0-a&run=%3Cb%3E-1-a-a", 404, "&lt;b&gt;-1-a-a"),
        ("/compare?run=0-a&run=%27%27", 400, "there is no text to find"),
    ] {
        let answer = send(&server, "GET", path, &[], "");
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.body.contains(expected), "{path}: {}", answer.body);
    }
}

#[test]
fn the_nearest_run_with_a_profile_is_offered() {
    let (_folder, db) = history();
    let server = Server::start(&db, &["--time-zone", "UTC"]);
    let body = page(&server, "/query_profile/bare-1");
    for expected in [
        "The nearest run of the statement with a profile is <a href=\"/query_profile/7-a\">",
        "(1 min later)",
        "/compare?run=7%2Da&amp;run=bare%2D1",
        // The runs before and after it had different plans.
        "The plan changed in between",
        "<a href=\"/query_profile/3-a\">the run before</a>",
    ] {
        assert!(body.contains(expected), "{expected}: {body}");
    }
    assert!(!page(&server, "/query_profile/0-a").contains("The nearest run"), "{body}");
    let body = page(&server, "/compare?run=bare-1&run=8-a");
    assert!(body.contains("/compare?run=7%2Da&amp;run=8%2Da"), "{body}");
    // The only comparison that is offered with the nearest run itself is none.
    let body = page(&server, "/compare?run=bare-1&run=7-a");
    assert!(!body.contains("Compare <code>7-a</code> with <code>7-a</code>"), "{body}");
    let diff =
        annals().args(["diff", "bare-1", "8-a", "--time-zone", "UTC"]).db(&db).output().unwrap();
    let printed = stdout(&diff);
    let nearest = "the run nearest to bare-1 with a profile is 7-a, started 2024-01-02 11:07:00\n";
    assert!(printed.contains(nearest), "{printed}");
}

#[test]
fn runs_of_others_are_unknown() {
    let (_folder, db) = history();
    add_user(&db, "carol", "user");
    let server = Server::start(&db, &[]);
    let carol = [("authorization", "Basic Y2Fyb2w6cGFzcy13b3JkLW9mLWNhcm9s")];
    let of_others = send(&server, "GET", "/compare?run=1-a&run=0-a", &carol, "");
    let unknown = send(&server, "GET", "/compare?run=1-a&run=0-b", &carol, "");
    assert_eq!((of_others.status, unknown.status), (404, 404));
    assert_eq!(of_others.body.replace("0-a", "0-b"), unknown.body);
    assert_eq!(send(&server, "GET", "/compare?run=1-a&run=1-a", &carol, "").status, 200);
}

#[test]
fn diff_prints_what_differs() {
    let (_folder, db) = history();
    let diff = |arguments: &[&str], zone: &str| {
        let mut diff = annals();
        let diff = diff.arg("diff").args(arguments).args(["--time-zone", zone]).db(&db);
        stdout(&diff.output().unwrap())
    };
    let printed = diff(&["0-a", "2-a"], "Asia/Shanghai");
    // Doris writes times of its own zone, which is the one of the import.
    let row = printed.lines().find(|line| line.starts_with("started_at\t")).unwrap();
    assert!(row.contains("2024-01-02 19:00:00"), "{printed}");
    assert!(!printed.contains("started_ms") && !printed.contains("+0us"), "{printed}");
    let lines: Vec<&str> = printed.lines().filter(|line| line.starts_with(['-', '+'])).collect();
    let literals = |sign: &str, literal: &str| {
        lines.iter().filter(|line| line.starts_with(sign) && line.contains(literal)).count()
    };
    assert_eq!((literals("- ", "height < 0"), literals("+ ", "height < 2")), (1, 1), "{printed}");
    assert!(printed.contains("nodes took the same time for the same rows"), "{printed}");
    // The run that started first is before, in whichever order the two are named.
    assert_eq!(diff(&["2-a", "0-a"], "Asia/Shanghai"), printed);
    let printed = diff(&["0-a", "7-a"], "UTC");
    assert!(printed.contains("SORT (1, only before)"), "{printed}");
}
