//! The open connections: how many there may be, in all and by client, and which one is closed for a new one.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use prometheus_client::metrics::gauge::Gauge;
use rustix::process::{Resource, getrlimit};
use tokio::sync::Notify;

use super::client::Client;
use super::lock;

/// The most open connections, where the system allows enough open files. Each takes some 20 KB.
const MAX_CONNECTIONS: u64 = 4096;
/// Open files that connections leave to the rest of annals. The history takes some 45 with all its connections and
/// temporary files, the runtime and the log take 8, and each followed log and polled frontend takes one for a moment.
const RESERVED_FILES: u64 = 80;
/// Connections beyond the bound, which serve health checks and reject the rest with 503.
const MAX_SURPLUS: u64 = 16;
/// The least number of connections, however few files the system allows.
const MIN_CONNECTIONS: u64 = 4;

/// All open connections.
#[derive(Debug)]
pub(super) struct Connections {
    /// The most connections without surplus ones.
    max: usize,
    /// The most connections of one client.
    max_each: usize,
    max_surplus: usize,
    began: Instant,
    open: Mutex<Open>,
    /// Counts the open connections for the metrics.
    gauge: Gauge,
}

#[derive(Debug, Default)]
struct Open {
    last_id: u64,
    by_id: foldhash::HashMap<u64, Entry>,
    by_client: foldhash::HashMap<Client, usize>,
    regular: usize,
}

#[derive(Debug)]
struct Entry {
    client: Client,
    is_surplus: bool,
    activity: Arc<Activity>,
}

/// What a connection does.
#[derive(Debug)]
pub(super) struct Activity {
    began: Instant,
    /// When bytes came or went last, in milliseconds since `began`.
    moved_ms: AtomicU64,
    /// Whether a request waits for its answer.
    is_answering: AtomicBool,
    /// Whether there was a request.
    has_asked: AtomicBool,
    closing: Notify,
}

/// An open connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Connection {
    connections: Arc<Connections>,
    id: u64,
    pub(super) client: Client,
    /// Whether the connection is one too many.
    pub(super) is_surplus: bool,
    pub(super) activity: Arc<Activity>,
}

impl Connections {
    /// Returns a count for as many connections as the limit of open files allows.
    pub(super) fn new(gauge: Gauge) -> Arc<Connections> {
        let files = getrlimit(Resource::Nofile).current.map_or(u64::MAX, u64::from);
        Connections::of_files(files, gauge)
    }

    fn of_files(files: u64, gauge: Gauge) -> Arc<Connections> {
        let all = files.saturating_sub(RESERVED_FILES);
        let surplus = (all / 8).clamp(2, MAX_SURPLUS);
        let max = all.saturating_sub(surplus).clamp(MIN_CONNECTIONS, MAX_CONNECTIONS);
        let size = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        Arc::new(Connections {
            max: size(max),
            max_each: size(max / 2),
            max_surplus: size(surplus),
            began: Instant::now(),
            open: Mutex::default(),
            gauge,
        })
    }

    /// Returns the most connections without surplus ones.
    pub(super) fn max(&self) -> usize {
        self.max
    }

    /// Counts a new connection. Closes the idlest one if there are too many: of this client if the client has its
    /// part, else of all. If none is idle, the new one is a surplus connection, or `None` if there are too many of
    /// these.
    pub(super) fn open(self: &Arc<Connections>, client: Client) -> Option<Connection> {
        let mut open = lock(&self.open);
        let of_client = open.by_client.get(&client).copied().unwrap_or(0);
        let has_room = if of_client >= self.max_each {
            open.close_idlest(|entry| !entry.is_surplus && entry.client == client)
        } else if open.regular >= self.max {
            open.close_idlest(|entry| !entry.is_surplus)
        } else {
            true
        };
        let is_surplus = !has_room;
        if is_surplus && open.by_id.len() - open.regular >= self.max_surplus {
            open.close_idlest(|entry| entry.is_surplus).then_some(())?;
        }
        let activity = Arc::new(Activity::new(self.began));
        open.last_id += 1;
        let id = open.last_id;
        open.add(id, Entry { client, is_surplus, activity: activity.clone() });
        self.gauge.inc();
        Some(Connection { connections: self.clone(), id, client, is_surplus, activity })
    }

    /// Closes the idlest connection, because the process lacks a resource.
    pub(super) fn close_idlest(&self) {
        lock(&self.open).close_idlest(|_| true);
    }
}

impl Open {
    fn add(&mut self, id: u64, entry: Entry) {
        if !entry.is_surplus {
            self.regular += 1;
            *self.by_client.entry(entry.client).or_default() += 1;
        }
        self.by_id.insert(id, entry);
    }

    fn remove(&mut self, id: u64) -> Option<Entry> {
        let entry = self.by_id.remove(&id)?;
        if !entry.is_surplus {
            self.regular = self.regular.saturating_sub(1);
            if let Some(count) = self.by_client.get_mut(&entry.client) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    self.by_client.remove(&entry.client);
                }
            }
        }
        Some(entry)
    }

    /// Closes the connection that is idle for longest; connections without any request so far come first. Returns
    /// whether one was idle.
    fn close_idlest(&mut self, may_close: impl Fn(&Entry) -> bool) -> bool {
        let idle = self.by_id.iter().filter(|(_, entry)| may_close(entry));
        let idle = idle.filter_map(|(id, entry)| Some((entry.activity.idle_since()?, *id)));
        let Some(entry) = idle.min().and_then(|(_, id)| self.remove(id)) else { return false };
        // Kept for a task that does not wait for it yet.
        entry.activity.closing.notify_one();
        true
    }
}

impl Activity {
    pub(super) fn new(began: Instant) -> Activity {
        let activity = Activity {
            began,
            moved_ms: AtomicU64::new(0),
            is_answering: AtomicBool::new(false),
            has_asked: AtomicBool::new(false),
            closing: Notify::new(),
        };
        activity.moved();
        activity
    }

    /// Notes that bytes came or went.
    pub(super) fn moved(&self) {
        let ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved_ms.store(ms, Relaxed);
    }

    /// Notes that a request waits for its answer, until what this returns is dropped.
    pub(super) fn answering(self: &Arc<Activity>) -> Answering {
        self.has_asked.store(true, Relaxed);
        self.is_answering.store(true, Relaxed);
        Answering(self.clone())
    }

    /// Waits until the connection is to be closed.
    pub(super) async fn closed(&self) {
        self.closing.notified().await;
    }

    /// Returns the rank among idle connections, the idlest first, or `None` if a request waits for its answer.
    fn idle_since(&self) -> Option<(bool, u64)> {
        let is_idle = !self.is_answering.load(Relaxed);
        is_idle.then(|| (self.has_asked.load(Relaxed), self.moved_ms.load(Relaxed)))
    }
}

/// A request that waits for its answer, until it is dropped.
#[derive(Debug)]
pub(super) struct Answering(Arc<Activity>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.is_answering.store(false, Relaxed);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        lock(&self.connections.open).remove(self.id);
        self.connections.gauge.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(last: u8) -> Client {
        Client::of([10, 0, 0, last].into())
    }

    /// Returns whether a connection was asked to close.
    fn is_closed(connection: &Connection) -> bool {
        use futures_util::FutureExt;
        connection.activity.closed().now_or_never().is_some()
    }

    #[test]
    fn the_bound_follows_the_limit_of_open_files() {
        for (files, max, surplus) in
            [(0, 4, 2), (104, 21, 3), (1024, 928, 16), (4096, 4000, 16), (u64::MAX, 4096, 16)]
        {
            let connections = Connections::of_files(files, Gauge::default());
            assert_eq!((connections.max, connections.max_surplus), (max, surplus), "{files}");
        }
    }

    #[test]
    fn the_idlest_connection_of_a_greedy_client_is_closed_for_its_next() {
        let connections = Connections::of_files(104, Gauge::default());
        let reader = connections.open(client(1)).unwrap();
        drop(reader.activity.answering());
        let greedy: Vec<_> = (0..30).map(|_| connections.open(client(2)).unwrap()).collect();
        assert!(greedy.iter().all(|connection| !connection.is_surplus));
        assert_eq!(greedy.iter().filter(|connection| is_closed(connection)).count(), 20);
        assert!(!is_closed(&reader));
        assert_eq!(connections.gauge.get(), 31);
        drop(greedy);
        assert_eq!(connections.gauge.get(), 1);
        drop(reader);
        let open = lock(&connections.open);
        assert_eq!((open.by_id.len(), open.by_client.len(), open.regular), (0, 0, 0));
    }

    #[test]
    fn if_all_are_busy_a_new_one_is_surplus() {
        let connections = Connections::of_files(104, Gauge::default());
        let busy: Vec<_> =
            (0..21).map(|number| connections.open(client(number)).unwrap()).collect();
        let mut answering: Vec<_> = busy.iter().map(|one| one.activity.answering()).collect();
        let surplus: Vec<_> = (0..3).map(|_| connections.open(client(99)).unwrap()).collect();
        assert!(surplus.iter().all(|connection| connection.is_surplus));
        // One more takes the place of the idlest surplus connection.
        assert!(connections.open(client(98)).unwrap().is_surplus);
        assert_eq!(surplus.iter().filter(|connection| is_closed(connection)).count(), 1);
        let _checks: Vec<_> = surplus.iter().map(|one| one.activity.answering()).collect();
        let last = connections.open(client(97)).unwrap();
        let _checked = last.activity.answering();
        assert!(connections.open(client(96)).is_none());
        answering.pop();
        assert!(!connections.open(client(95)).unwrap().is_surplus);
    }
}
