//! Panics are faults of annals. One ends its own request, is counted, and is logged where it happened.

use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

static COUNT: AtomicU64 = AtomicU64::new(0);

/// Counts and logs the panics of this process from now on. The log has no message of a panic, because the message may quote a statement.
pub(crate) fn log_without_payload() {
    std::panic::set_hook(Box::new(|panic: &PanicHookInfo<'_>| {
        COUNT.fetch_add(1, Relaxed);
        let at = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(at, "a fault in annals ended a task; please report this line");
    }));
}

/// Returns how many panics there were.
pub(super) fn count() -> u64 {
    COUNT.load(Relaxed)
}
