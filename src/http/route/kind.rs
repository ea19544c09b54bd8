//! What requests to a route need, and how much of it they get.

use std::time::Duration;

/// How a route works, which decides its bounds. A route that declares nothing is [`RouteKind::Read`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum RouteKind {
    /// Says that annals runs. Needs neither the history nor a free place.
    Probe,
    /// Reads some queries or a profile.
    Read,
    /// Reads many queries, for seconds.
    Report,
    /// Takes a body, which comes as fast as the client sends it.
    Push,
    /// Begins a stream of events, which has a bound of its own.
    Stream,
}

impl RouteKind {
    /// Returns the longest time from the head of a request to the head of its answer.
    pub(in crate::http) fn time_limit(self) -> Duration {
        Duration::from_secs(match self {
            RouteKind::Probe => 10,
            // A list takes milliseconds. This leaves room for a busy machine, and for the wait for a lock.
            RouteKind::Read | RouteKind::Stream => 30,
            // A report over millions of queries takes seconds, and waits for the reports before it.
            RouteKind::Report => 60,
            // A body may take ten minutes, its storing half a minute.
            RouteKind::Push => 660,
        })
    }
}
