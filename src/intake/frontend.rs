//! Collects from a live frontend, again and again.

use std::sync::Arc;
use std::time::Duration;

use super::Intake;
use crate::store::Store;
use crate::time::Zone;

/// A frontend, and how it is asked.
#[derive(Debug, Clone)]
pub struct Frontend {
    /// Where it is, without a user: `http://fe1:8030`.
    pub url: reqwest::Url,
    /// Who asks.
    pub user: String,
    /// Their password.
    pub password: String,
    /// The zone of the times it writes.
    pub zone: Zone,
    /// How long after one look at its list the next is taken.
    pub every: Duration,
}

/// Collects from a frontend, for ever.
pub async fn collect(intake: Arc<Intake>, store: Store, frontend: Frontend) {
    let _ = (intake, store, frontend);
    std::future::pending().await
}
