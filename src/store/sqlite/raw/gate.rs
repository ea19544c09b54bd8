//! Holds long reads back until the write-ahead log has begun anew.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// What long reads pass before they begin. It opens by itself, so no read waits for ever.
#[derive(Debug, Default)]
pub(in crate::store::sqlite) struct Gate {
    closed_until: Mutex<Option<Instant>>,
    opened: Notify,
}

impl Gate {
    /// Lets no read begin for a time. Reads that run go on.
    pub(in crate::store::sqlite) fn close(&self, time: Duration) {
        *self.closed_until.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Instant::now() + time);
    }

    /// Lets reads begin.
    pub(in crate::store::sqlite) fn open(&self) {
        self.closed_until.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.opened.notify_waiters();
    }

    /// Returns once a read may begin.
    pub(super) async fn pass(&self) {
        loop {
            let mut opened = std::pin::pin!(self.opened.notified());
            // From here on, the gate does not open without notice.
            opened.as_mut().enable();
            let closed_until = *self.closed_until.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(until) = closed_until.filter(|until| Instant::now() < *until) else { return };
            let _ = tokio::time::timeout_at(until, opened).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn reads_wait_until_the_gate_opens_or_its_time_is_up() {
        let gate = Gate::default();
        assert!(gate.pass().now_or_never().is_some());
        gate.close(Duration::from_secs(5));
        let mut waits = std::pin::pin!(gate.pass());
        assert!(waits.as_mut().now_or_never().is_none());
        gate.open();
        waits.await;
        gate.close(Duration::from_millis(20));
        let began = Instant::now();
        gate.pass().await;
        assert!(began.elapsed() >= Duration::from_millis(20));
    }
}
