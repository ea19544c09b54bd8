//! The annals that all clients use, while it is started and killed again and again.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::ledger::Ledger;
use crate::support::annals;
use crate::support::fake_frontend::{Frontend, PASSWORD};

/// A history with its sources, from its first start until all that was written is found.
pub struct Scene {
    pub folder: TempDir,
    pub ledger: Ledger,
    pub frontend: Frontend,
    /// The process and the URL of the annals that listens.
    url: Arc<Mutex<Option<(u32, String)>>>,
    /// Set when the sources write no more.
    pub is_over: AtomicBool,
    /// Held by a process that reads the history beside annals. A loss of power ends it, too.
    pub beside: Mutex<()>,
    pub power_fails: AtomicBool,
    /// Whether the disk fails, so that requests may fail.
    pub disk_fails: bool,
    /// What must not happen, and did.
    failures: Mutex<Vec<String>>,
}

impl Scene {
    pub fn new(disk_fails: bool) -> Scene {
        let folder = tempfile::Builder::new().prefix("annals-campaign-").tempdir().unwrap();
        let frontend = Frontend::start();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("password"), PASSWORD).unwrap();
        std::fs::create_dir(path("backups")).unwrap();
        let config = format!(
            "follow = ['{}']\n[[frontend]]\nurl = 'http://root@{}'\npassword_file = '{}'\n\
             poll_interval_seconds = 1\n[retention]\nkeep_queries = '2d'\nkeep_profiles = '1d'\n",
            path("fe.audit.log").display(),
            frontend.address,
            path("password").display()
        );
        std::fs::write(path("annals.toml"), config).unwrap();
        Scene {
            folder,
            ledger: Ledger::default(),
            frontend,
            url: Arc::default(),
            is_over: AtomicBool::new(false),
            beside: Mutex::new(()),
            power_fails: AtomicBool::new(false),
            disk_fails,
            failures: Mutex::default(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn db(&self) -> PathBuf {
        self.path("a.db")
    }

    /// Returns the prefix of the paths of all files that annals may write beside the history, too.
    pub fn files(&self) -> PathBuf {
        self.path("")
    }

    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    /// Notes something that must not happen.
    pub fn fails(&self, what: String) {
        self.failures.lock().unwrap().push(what);
    }

    pub fn failure(&self) -> Option<String> {
        self.failures.lock().unwrap().first().cloned()
    }

    /// Returns the URL of annals, or None while none listens.
    pub fn url(&self) -> Option<String> {
        self.url.lock().unwrap().as_ref().map(|(_, url)| url.clone())
    }

    fn log(&self) -> File {
        OpenOptions::new().append(true).create(true).open(self.path("annals.stderr")).unwrap()
    }

    /// Returns a command of annals, whose messages go to one file.
    pub fn annals(&self, command: &str) -> Command {
        let mut annals = annals();
        annals.arg(command).arg("--db").arg(self.db()).stdin(Stdio::null());
        annals.stdout(Stdio::null()).stderr(self.log());
        annals
    }

    /// Starts annals with some variables, and returns at once.
    pub fn serve(&self, variables: &[(String, String)]) -> Child {
        let mut command = self.annals("serve");
        command.args(["--listen", "127.0.0.1:0", "--time-zone", "UTC", "--config"]);
        command.arg(self.path("annals.toml")).stdout(Stdio::piped());
        let mut process = command.envs(variables.iter().cloned()).spawn().unwrap();
        let (id, output) = (process.id(), process.stdout.take().unwrap());
        let url = self.url.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Some((_, rest)) = line.split_once("listens on ") {
                    let listens = rest.split(' ').next().unwrap().to_string();
                    *url.lock().unwrap() = Some((id, listens));
                }
            }
            url.lock().unwrap().take_if(|(of, _)| *of == id);
        });
        process
    }

    /// Waits until annals listens. Errors if it ends, or does not listen within a minute.
    pub fn wait_until_it_listens(&self, process: &mut Child) -> Result<(), String> {
        let began = Instant::now();
        while self.url().is_none() {
            if let Some(status) = process.try_wait().unwrap() {
                return Err(format!("annals ended with {status}"));
            }
            if began.elapsed() > Duration::from_secs(60) {
                return Err("annals does not listen after a minute".to_string());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Runs `annals check`. Errors with what it prints unless the history is sound.
    pub fn check(&self, db: &std::path::Path) -> Result<(), String> {
        let output = annals().arg("check").arg("--db").arg(db).output().unwrap();
        if output.status.success() {
            return Ok(());
        }
        let (printed, errors) = (crate::support::stdout(&output), crate::support::stderr(&output));
        Err(format!("annals check {}: {}\n{printed}{errors}", db.display(), output.status))
    }

    /// Ends what reads the history beside annals, as a loss of power does, and removes what all processes share in
    /// memory.
    pub fn end_what_runs_beside(&self) {
        self.power_fails.store(true, Ordering::SeqCst);
        let ended = self.beside.lock().unwrap();
        let _ = std::fs::remove_file(self.path("a.db-shm"));
        drop(ended);
        self.power_fails.store(false, Ordering::SeqCst);
    }

    /// Returns the first panic in the messages of annals.
    pub fn panic(&self) -> Option<String> {
        let log = std::fs::read(self.path("annals.stderr")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let at = log.lines().position(|line| line.contains("panicked"))?;
        Some(log.lines().skip(at).take(3).collect::<Vec<_>>().join("\n"))
    }
}

/// Sends SIGTERM.
pub fn terminate(process: &Child) {
    let id = rustix::process::Pid::from_child(process);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
}

/// Waits for a process to end. Returns None if it still runs after this time.
pub fn wait(process: &mut Child, longest: Duration) -> Option<std::process::ExitStatus> {
    let began = Instant::now();
    loop {
        let status = process.try_wait().unwrap();
        if status.is_some() || began.elapsed() > longest {
            return status;
        }
        std::thread::sleep(Duration::from_micros(500));
    }
}
