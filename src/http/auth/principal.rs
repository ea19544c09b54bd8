//! What the sender of a request may do.

use crate::domain::account::{Account, Role};

/// The user who sent a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Principal {
    /// `None` if annals has no users.
    pub name: Option<String>,
    /// The user whose queries the principal may see; `None` if the principal may see those of all users.
    pub restricted_to: Option<String>,
    /// The clusters whose queries alone the principal may see and push; `None` for all queries.
    pub clusters: Option<Vec<String>>,
    pub may_push: bool,
}

impl Principal {
    /// The sender of every request while annals has no users.
    pub(super) const ANYBODY: Principal =
        Principal { name: None, restricted_to: None, clusters: None, may_push: true };

    pub(super) fn of(account: &Account) -> Principal {
        Principal {
            name: Some(account.name.clone()),
            restricted_to: (account.role != Role::Admin).then(|| account.name.clone()),
            clusters: account.clusters.clone(),
            may_push: account.role.may_push(),
        }
    }
}
