//! A headless Chromium, driven over WebDriver by its `chromedriver`. The protocol is JSON over HTTP, which the
//! tests speak anyway; the client libraries for it would double what the tests build.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long something may take to show itself: other tests run beside.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs before any script of a page: counts what the policy refused, and what failed.
const WATCHED: &str = "window.refusals = []; window.dialogs = 0;
    for (const name of ['alert', 'confirm', 'prompt']) window[name] = () => { window.dialogs += 1; };
    document.addEventListener('securitypolicyviolation',
        (event) => window.refusals.push(event.violatedDirective + ' ' + event.blockedURI));
    addEventListener('error', (event) => window.refusals.push('error ' + event.message));";

/// A browser, ended when dropped.
pub struct Browser {
    driver: Child,
    session: String,
    _profile: TempDir,
}

impl Browser {
    /// Starts a browser with a profile of its own.
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
            "goog:chromeOptions": { "args": arguments },
        } } });
        let driver_url = format!("http://127.0.0.1:{port}/session");
        let begun = send(&driver_url, "POST", Some(&wanted));
        let session = begun["sessionId"].as_str().unwrap();
        let session = format!("{driver_url}/{session}");
        let browser = Browser { driver, session, _profile: profile };
        browser.devtools("Page.addScriptToEvaluateOnNewDocument", json!({ "source": WATCHED }));
        browser
    }

    /// What the protocol of the browser's own developer tools gives for a command.
    pub fn devtools(&self, command: &str, parameters: Value) -> Value {
        let body = json!({ "cmd": command, "params": parameters });
        send(&format!("{}/goog/cdp/execute", self.session), "POST", Some(&body))
    }

    /// Opens an address, and waits until it is loaded.
    pub fn open(&self, url: &str) {
        send(&format!("{}/url", self.session), "POST", Some(&json!({ "url": url })));
    }

    /// Goes on as a person does who waits for the page behind a click.
    pub fn address(&self) -> String {
        let url = send(&format!("{}/url", self.session), "GET", None);
        url.as_str().unwrap().to_string()
    }

    /// What a script in the page returns.
    pub fn run(&self, script: &str) -> Value {
        let body = json!({ "script": script, "args": [] });
        send(&format!("{}/execute/sync", self.session), "POST", Some(&body))
    }

    /// Waits until an expression in the page is true.
    pub fn until(&self, expression: &str) {
        let began = Instant::now();
        while self.run(&format!("return Boolean({expression})")) != json!(true) {
            let text = self.text();
            assert!(
                began.elapsed() < PATIENCE,
                "never: {expression} at {}\n{text}",
                self.address()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What the page says to who looks at it.
    pub fn text(&self) -> String {
        self.run("return document.body.innerText").as_str().unwrap_or_default().to_string()
    }

    fn find(&self, selector: &str) -> String {
        let wanted = json!({ "using": "css selector", "value": selector });
        let found = send(&format!("{}/element", self.session), "POST", Some(&wanted));
        let id = found.as_object().and_then(|found| found.values().next()?.as_str());
        id.unwrap_or_else(|| panic!("no {selector} at {}: {found}", self.address())).to_string()
    }

    /// Clicks on what a selector finds first.
    pub fn click(&self, selector: &str) {
        let element = self.find(selector);
        let path = format!("{}/element/{element}/click", self.session);
        send(&path, "POST", Some(&json!({})));
    }

    /// Types into a field, in place of what is there.
    pub fn type_into(&self, selector: &str, text: &str) {
        let element = self.find(selector);
        let path = format!("{}/element/{element}", self.session);
        send(&format!("{path}/clear"), "POST", Some(&json!({})));
        send(&format!("{path}/value"), "POST", Some(&json!({ "text": text })));
    }

    /// Drags the pointer within what a selector finds, from one share of its width to another.
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

    /// Asserts that the policy of the page refused nothing, that no script of a stranger ran, and that none of
    /// annals' own failed.
    pub fn is_unharmed(&self) {
        assert_eq!(self.run("return [window.refusals, window.dialogs]"), json!([[], 0]));
    }

    /// Takes a picture of the whole page, as a screen of some width shows it, light or dark.
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
        // What arrives with a colour has it no more.
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
        let agent: ureq::Agent =
            ureq::Agent::config_builder().http_status_as_error(false).build().into();
        // Ends the browser; the driver alone would leave it behind.
        let _ = agent.delete(&self.session).call();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// Sends a command of WebDriver, and gives the value it is answered with.
fn send(url: &str, method: &str, body: Option<&Value>) -> Value {
    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let request = ureq::http::Request::builder().method(method).uri(url);
    let request = request.header("content-type", "application/json");
    let sent = body.map_or(Vec::new(), |body| serde_json::to_vec(body).unwrap());
    let mut answer = agent.run(request.body(sent).unwrap()).unwrap();
    let text = answer.body_mut().with_config().limit(1 << 28).read_to_string().unwrap();
    let answered: Value = serde_json::from_str(&text).unwrap();
    assert!(answer.status().is_success(), "{url}: {}", answered["value"]["message"]);
    answered["value"].clone()
}
