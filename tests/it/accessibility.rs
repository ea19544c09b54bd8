//! No page has what axe-core calls a serious or critical obstacle, at two widths, light and dark. These tests need `chromium`, its
//! `chromedriver`, and axe-core, which comes with a package of Python:
//!
//! ```sh
//! python3 -m venv target/clients
//! target/clients/bin/pip install --no-deps --ignore-requires-python --requirement tests/clients/requirements.txt
//! cargo test --test it accessibility:: -- --include-ignored
//! ```
//!
//! `ANNALS_TEST_PYTHON` names another Python that has the package.

use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::browser::{push, runs_with_profiles, union_of, with_users};
use crate::clients::python;
use crate::support::browser::Browser;
use crate::support::incident::PROFILED;
use crate::support::{
    Server, audit_records, data, import, profile_of, profile_with_finding, stderr, stdout,
    wait_for_plans,
};

/// The package whose `axe.min.js` the tests run.
const PACKAGE: &str = "axe_playwright_python";

/// Returns axe-core. Panics with what to install if it is missing.
fn axe() -> String {
    let find = format!(
        "import importlib.util; print(importlib.util.find_spec({PACKAGE:?}).submodule_search_locations[0])"
    );
    let python = python();
    let install = "axe-core is missing: install tests/clients/requirements.txt, as the head of tests/it/accessibility.rs says";
    let found = Command::new(&python).args(["-c", &find]).output();
    let found = found.unwrap_or_else(|error| panic!("{}: {error}; {install}", python.display()));
    assert!(found.status.success(), "{install}: {}", stderr(&found));
    let file = format!("{}/axe.min.js", stdout(&found).trim());
    std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}; {install}"))
}

/// The rules of axe that look at colours.
const COLOUR_RULES: [&str; 2] = ["color-contrast", "link-in-text-block"];

/// Runs the rules of axe that are named, or every rule if none is, but none of the level AAA. Calls back with the impact and the text of each violation. axe takes the
/// texts of a node that the edge of its scrolling picture cuts as invisible, so such a node may have another label than it seems.
const CHECK: &str = "
    const isCut = (node) => {
        const box = node.closest('.plan-picture')?.getBoundingClientRect();
        const at = node.getBoundingClientRect();
        return box && (at.left < box.left || at.right > box.right || at.top < box.top || at.bottom > box.bottom);
    };
    const done = arguments[arguments.length - 1];
    const named = NAMED;
    const strictest = new Set(axe.getRules(['wcag2aaa']).map((rule) => rule.ruleId));
    const isRun = (id) => !strictest.has(id) && (named.length === 0 || named.includes(id));
    const rules = {};
    for (const rule of axe.getRules()) rules[rule.ruleId] = { enabled: isRun(rule.ruleId) };
    axe.run(document, { rules, resultTypes: ['violations'], elementRef: true }).then(
        ({ violations }) => done(violations.flatMap((rule) => rule.nodes.filter((node) =>
            rule.id !== 'label-content-name-mismatch' || !isCut(node.element)).map((node) =>
            [rule.impact, `${rule.id}: ${node.html.slice(0, 300)}: ${node.failureSummary}`]))),
        (error) => done([['critical', String(error)]]));";

/// Returns [`CHECK`] for some rules, or for all if none is named.
fn check(rules: &[&str]) -> String {
    CHECK.replace("NAMED", &json!(rules).to_string())
}

/// Returns what axe finds on a page at both widths and in both schemes: the serious and critical obstacles. The schemes differ
/// only in colours.
fn obstacles(browser: &Browser, axe: &str, url: &str) -> Vec<String> {
    browser.open(url);
    browser.run(axe);
    let mut obstacles = Vec::new();
    for width in [1280, 390] {
        let metrics =
            json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600 });
        browser.devtools("Emulation.setDeviceMetricsOverride", metrics);
        for (scheme, rules) in [("light", &[][..]), ("dark", &COLOUR_RULES)] {
            let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
            browser.devtools("Emulation.setEmulatedMedia", json!({ "features": features }));
            let found = browser.run_async(&check(rules));
            let found = found.as_array().unwrap_or_else(|| panic!("{url}: {found}"));
            for one in found.iter().filter(|one| one[0] == "serious" || one[0] == "critical") {
                obstacles.push(format!("{url} at {width}, {scheme}: {}", one[1].as_str().unwrap()));
            }
        }
    }
    obstacles
}

/// Fills a history with what makes every part of the pages show. Returns it with the paths of the pages.
fn every_page(server: &Server) -> Vec<String> {
    let union = profile_of("union-240", &[("Total", "2sec")], &union_of(240));
    for (id, profile) in
        [("union-240", union), (PROFILED, profile_with_finding("shop.orders(orders)"))]
    {
        let path = format!("/api/v1/queries/{id}/profile");
        let (status, answer, _) = server.send("PUT", &path, &[], profile.as_bytes());
        assert_eq!(status, 200, "{answer}");
    }
    let fingerprint = runs_with_profiles(server);
    wait_for_plans(server);
    push(
        server,
        &json!({
            "query_id": "failed-1", "time": "2024-08-06 10:00:00", "user": "alice", "db": "shop", "state": "ERR",
            "error_code": 1105, "error_message": "out of memory", "query_time": 400_000, "stmt": "select 1",
        }),
    );
    let load = server.envelope("/api/v1/queries?type=load&limit=1");
    let load = load["data"][0]["query_id"].as_str().unwrap().to_string();
    let all = "from=2020-01-01";
    vec![
        "/".to_string(),
        "/?from=2024-01-02T11:00&to=2024-01-02T12:00".to_string(),
        format!(
            "/?{all}&user=alice&user=bob&not_state=ERR&order=cpu_time_ms&is_failed=false&words=select"
        ),
        "/?user=nobody".to_string(),
        "/?from=soon&to=T25:00".to_string(),
        "/query_profile/union-240".to_string(),
        "/query_profile/union-240?nodes=all&node=17".to_string(),
        "/query_profile/union-240?nodes=all&zoom=fit".to_string(),
        "/query_profile/union-240?show=tree".to_string(),
        "/query_profile/union-240?show=flame".to_string(),
        "/query_profile/union-240?show=text".to_string(),
        "/query_profile/run-2".to_string(),
        format!("/query_profile/{PROFILED}"),
        "/query_profile/failed-1".to_string(),
        format!("/query_profile/{load}"),
        format!("/statements?{all}"),
        "/statements?to=soon".to_string(),
        format!("/statements/{fingerprint}"),
        format!("/statements/{fingerprint}?from=2h"),
        "/regressions?from=2024-08-06".to_string(),
        format!("/findings?{all}"),
        format!("/plans?{all}&several=true"),
        format!("/plans?{all}"),
        format!("/usage?{all}"),
        "/usage?from=2024-08-06+09:00&to=2024-08-06+11:00".to_string(),
        "/usage/failed-1".to_string(),
        "/compare".to_string(),
        "/compare?run=run-1&run=run-2".to_string(),
        "/compare?run=failed-1&run=run-2".to_string(),
        "/find".to_string(),
        "/find?q=run".to_string(),
        "/find?q=select".to_string(),
        "/find?q=nothing+has+this+name".to_string(),
        "/status".to_string(),
        "/query_profile/1-2".to_string(),
        "/statements?order=worst".to_string(),
        "/nowhere".to_string(),
    ]
}

#[test]
#[ignore = "needs chromium, and Python with axe-playwright-python"]
fn axe_finds_no_serious_obstacle_on_any_page() {
    let axe = axe();
    let folder = TempDir::new().unwrap();
    let (db, log) = (folder.path().join("a.db"), folder.path().join("fe.audit.log"));
    std::fs::write(&log, audit_records(0..300)).unwrap();
    assert!(import(&db, &[&data(""), &log]).status.success());
    let server = Server::start(&db, &["--time-zone", "UTC"]);
    let browser = Browser::start();
    let pages = every_page(&server);
    let mut found: Vec<String> = Vec::new();
    for path in &pages {
        found.extend(obstacles(&browser, &axe, &format!("{}{path}", server.url)));
    }
    drop(server);
    with_users(&db);
    let server = Server::start(&db, &[]);
    found.extend(obstacles(&browser, &axe, &format!("{}/login", server.url)));
    browser.type_into("input[name=name]", "alice");
    browser.type_into("input[name=password]", "wrong-password");
    browser.click("form.login button");
    browser.until("document.querySelector('[role=alert]')");
    let rejected = browser.address();
    browser.run(&axe);
    let on_rejected = browser.run_async(&check(&[]));
    let is_clear = |one: &Value| one[0] != "serious" && one[0] != "critical";
    assert!(on_rejected.as_array().unwrap().iter().all(is_clear), "{rejected}: {on_rejected}");
    assert!(found.is_empty(), "{} obstacles:\n{}", found.len(), found.join("\n"));
}
