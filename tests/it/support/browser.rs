//! A headless Chromium, driven over WebDriver by its `chromedriver`. The protocol is JSON over HTTP, which the
//! tests use anyway; a client library would double the build of the tests.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::agent;

/// How long [`Browser::until`] waits: other tests run at the same time.
const UNTIL_TIMEOUT: Duration = Duration::from_secs(20);

/// Runs before any script of a page: records violations of the policy, errors of scripts, and dialogs.
const RECORD_FAILURES: &str = "window.failures = []; window.dialogs = 0;
    for (const name of ['alert', 'confirm', 'prompt']) window[name] = () => { window.dialogs += 1; };
    document.addEventListener('securitypolicyviolation',
        (event) => window.failures.push(event.violatedDirective + ' ' + event.blockedURI));
    addEventListener('error', (event) => window.failures.push('error ' + event.message));";

/// A browser with its driver; dropping it ends both.
pub struct Browser {
    driver: Child,
    session: String,
    _profile: TempDir,
}

impl Browser {
    /// Starts a browser with an empty profile.
    pub fn start() -> Browser {
        let profile = TempDir::new().unwrap();
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver is installed");
        let mut output = BufReader::new(driver.stdout.take().unwrap());
        let port = loop {
            let mut line = String::new();
            assert_ne!(output.read_line(&mut line).unwrap(), 0, "chromedriver ended");
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                break port.trim().trim_end_matches('.').to_string();
            }
        };
        std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
        let mut arguments: Vec<String> = [
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--disable-dev-shm-usage", "--hide-scrollbars", "--window-size=1280,1000",
        ]
        .map(str::to_string)
        .to_vec();
        arguments.push(format!("--user-data-dir={}", profile.path().display()));
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "acceptInsecureCerts": true,
            // A check of a large page takes a second, and far longer on a machine that does much else.
            "timeouts": { "script": 120_000 },
            "goog:chromeOptions": { "args": arguments },
        } } });
        let driver_url = format!("http://127.0.0.1:{port}/session");
        let begun = send(&driver_url, "POST", Some(&wanted));
        let session = begun["sessionId"].as_str().unwrap();
        let session = format!("{driver_url}/{session}");
        let browser = Browser { driver, session, _profile: profile };
        browser.devtools(
            "Page.addScriptToEvaluateOnNewDocument",
            json!({ "source": RECORD_FAILURES }),
        );
        browser
    }

    /// Returns the result of a command of the Chrome DevTools protocol.
    pub fn devtools(&self, command: &str, parameters: Value) -> Value {
        let body = json!({ "cmd": command, "params": parameters });
        send(&format!("{}/goog/cdp/execute", self.session), "POST", Some(&body))
    }

    /// Opens a URL, and waits until the page is loaded.
    pub fn open(&self, url: &str) {
        send(&format!("{}/url", self.session), "POST", Some(&json!({ "url": url })));
    }

    /// Returns the URL of the current page.
    pub fn address(&self) -> String {
        let url = send(&format!("{}/url", self.session), "GET", None);
        url.as_str().unwrap().to_string()
    }

    /// Returns what a script returns that runs in the page.
    pub fn run(&self, script: &str) -> Value {
        self.try_run(script).unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// Returns what a script calls its last argument with.
    pub fn run_async(&self, script: &str) -> Value {
        let body = json!({ "script": script, "args": [] });
        try_send(&format!("{}/execute/async", self.session), "POST", Some(&body))
            .unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    fn try_run(&self, script: &str) -> Result<Value, String> {
        let body = json!({ "script": script, "args": [] });
        try_send(&format!("{}/execute/sync", self.session), "POST", Some(&body))
    }

    /// Waits until the page is loaded and an expression in it is true.
    pub fn until(&self, expression: &str) {
        let began = Instant::now();
        let script = format!("return document.readyState === 'complete' && Boolean({expression})");
        // A script that runs while the browser goes to another page fails, and says nothing about that page.
        while self.try_run(&script) != Ok(json!(true)) {
            assert!(
                began.elapsed() < UNTIL_TIMEOUT,
                "never: {expression} at {}: {:?}\n{}",
                self.address(),
                self.try_run(&script),
                self.text()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Returns the visible text of the page.
    pub fn text(&self) -> String {
        self.run("return document.body.innerText").as_str().unwrap_or_default().to_string()
    }

    fn find(&self, selector: &str) -> String {
        let wanted = json!({ "using": "css selector", "value": selector });
        let found = send(&format!("{}/element", self.session), "POST", Some(&wanted));
        let id = found.as_object().and_then(|found| found.values().next()?.as_str());
        id.unwrap_or_else(|| panic!("no {selector} at {}: {found}", self.address())).to_string()
    }

    /// Clicks the first element that matches a selector.
    pub fn click(&self, selector: &str) {
        let element = self.find(selector);
        let path = format!("{}/element/{element}/click", self.session);
        send(&path, "POST", Some(&json!({})));
    }

    /// Replaces the text of a field.
    pub fn type_into(&self, selector: &str, text: &str) {
        let element = self.find(selector);
        let path = format!("{}/element/{element}", self.session);
        send(&format!("{path}/clear"), "POST", Some(&json!({})));
        send(&format!("{path}/value"), "POST", Some(&json!({ "text": text })));
    }

    /// Drags the pointer over an element, from one share of its width to another.
    pub fn drag(&self, selector: &str, from: f64, to: f64) {
        let script = format!(
            "const box = document.querySelector({selector:?}); box.scrollIntoView({{block: 'center'}});
             const at = box.getBoundingClientRect(); return [at.left, at.top + at.height / 2, at.width]"
        );
        let at = self.run(&script);
        let number = |place: usize| at[place].as_f64().unwrap();
        let x = |share: f64| (number(0) + number(2) * share).round();
        let move_to = |share: f64| {
            json!({
                "type": "pointerMove", "duration": 100, "x": x(share), "y": number(1).round(),
            })
        };
        let actions = json!({ "actions": [{
            "type": "pointer", "id": "mouse", "parameters": { "pointerType": "mouse" },
            "actions": [
                move_to(from), { "type": "pointerDown", "button": 0 }, move_to((from + to) / 2.0),
                move_to(to), { "type": "pointerUp", "button": 0 },
            ],
        }] });
        send(&format!("{}/actions", self.session), "POST", Some(&actions));
    }

    /// Asserts that nothing violated the policy of the page, that no injected script ran, and that no script failed.
    pub fn assert_unharmed(&self) {
        assert_eq!(self.run("return [window.failures, window.dialogs]"), json!([[], 0]));
    }

    /// Writes a screenshot of the complete page at a width, light or dark. Asserts that the page is not wider.
    pub fn picture(&self, file: &Path, width: u32, scheme: &str) {
        let metrics = |height: i64| {
            json!({
                "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600,
            })
        };
        self.devtools("Emulation.setDeviceMetricsOverride", metrics(900));
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": features }));
        let height = self.run("return document.documentElement.scrollHeight").as_i64().unwrap();
        self.devtools("Emulation.setDeviceMetricsOverride", metrics(height.clamp(600, 2400)));
        // Rows that arrived have lost their highlight by then.
        std::thread::sleep(Duration::from_millis(150));
        let picture = send(&format!("{}/screenshot", self.session), "GET", None);
        std::fs::write(file, BASE64_STANDARD.decode(picture.as_str().unwrap()).unwrap()).unwrap();
        let wide = self.run("return document.documentElement.scrollWidth").as_u64().unwrap();
        assert!(wide <= width.into(), "{} is {wide} wide", file.display());
        self.devtools("Emulation.clearDeviceMetricsOverride", json!({}));
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let agent = agent();
        // Ends the browser: killing only the driver would leave the browser running.
        let _ = agent.delete(&self.session).call();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// Sends a WebDriver command, and returns the value of the response.
fn send(url: &str, method: &str, body: Option<&Value>) -> Value {
    try_send(url, method, body).unwrap_or_else(|error| panic!("{url}: {error}"))
}

/// Returns the value that the driver answers, or the error that it names.
fn try_send(url: &str, method: &str, body: Option<&Value>) -> Result<Value, String> {
    let agent = agent();
    let request = ureq::http::Request::builder().method(method).uri(url);
    let request = request.header("content-type", "application/json");
    let sent = body.map_or(Vec::new(), |body| serde_json::to_vec(body).unwrap());
    let mut answer = agent.run(request.body(sent).unwrap()).unwrap();
    let text = answer.body_mut().with_config().limit(1 << 28).read_to_string().unwrap();
    let answered: Value = serde_json::from_str(&text).unwrap();
    if answer.status().is_success() {
        Ok(answered["value"].clone())
    } else {
        Err(answered["value"]["message"].to_string())
    }
}
