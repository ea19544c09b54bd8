//! Verifies passwords on threads of its own: each takes tens of milliseconds of a core and 19 MiB, by design.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;

use crate::domain::account::Account;
use crate::http::client::Client;
use crate::http::lock;
use crate::http::shares::{Full, Share, Shares};

/// Passwords that are verified at the same time.
const THREADS: usize = 2;
/// Passwords that wait or are verified. The last waits about a second.
const MAX_WAITING: usize = 64;
/// The part of one client: others wait a tenth of a second for them.
const MAX_WAITING_EACH: usize = 8;

pub(super) struct Verifier {
    jobs: Sender<Job>,
    waiting: Arc<Shares>,
}

/// A password to verify.
struct Job {
    account: Account,
    password: String,
    is_right: oneshot::Sender<bool>,
    _share: Share,
}

impl Verifier {
    /// Starts the threads, which end when this is dropped. Errors if the system has none.
    pub(super) fn start() -> std::io::Result<Verifier> {
        let (jobs, receiver) = channel();
        let receiver = Arc::new(Mutex::new(receiver));
        for _ in 0..THREADS {
            let receiver = receiver.clone();
            let thread = std::thread::Builder::new().name("password".to_string());
            thread.spawn(move || work(&receiver))?;
        }
        Ok(Verifier { jobs, waiting: Shares::new(MAX_WAITING, MAX_WAITING_EACH) })
    }

    /// Returns whether this is the password of the account. Errors if too many wait.
    pub(super) async fn is_right(
        &self,
        account: Account,
        password: String,
        client: Client,
    ) -> Result<bool, Full> {
        let share = self.waiting.take(client)?;
        let (is_right, answer) = oneshot::channel();
        // Without a thread, which would be a fault of annals, no password is right.
        let _ = self.jobs.send(Job { account, password, is_right, _share: share });
        Ok(answer.await.unwrap_or(false))
    }
}

fn work(jobs: &Mutex<Receiver<Job>>) {
    loop {
        let next = lock(jobs).recv();
        let Ok(job) = next else { return };
        // A client that left needs no answer.
        if !job.is_right.is_closed() {
            let is_right = job.account.has_password(&job.password);
            let _ = job.is_right.send(is_right);
        }
    }
}
