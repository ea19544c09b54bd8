//! What the sender of a request may do.

use crate::domain::account::{Account, Role};
use crate::domain::token::Token;

/// The user or the program that sent a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Principal {
    /// `None` if annals has no users. The name of a token is behind `token:`, which no name of a user has.
    pub name: Option<String>,
    /// The user whose queries the principal may see; `None` if the principal may see those of all users.
    pub restricted_to: Option<String>,
    /// The clusters whose queries alone the principal may see and push; `None` for all queries.
    pub clusters: Option<Vec<String>>,
    pub may_push: bool,
    pub log_out: LogOut,
}

/// How a principal logs out in a browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LogOut {
    /// By the form that ends a session of annals.
    Form,
    /// At an address of the proxy that logged the user in; nowhere if annals knows none.
    AtProxy(Option<String>),
}

impl Principal {
    /// The sender of every request while annals has no users.
    pub(super) const ANYBODY: Principal = Principal {
        name: None,
        restricted_to: None,
        clusters: None,
        may_push: true,
        log_out: LogOut::Form,
    };

    pub(super) fn of(account: &Account) -> Principal {
        Principal {
            name: Some(account.name.clone()),
            restricted_to: (!account.role.sees_all()).then(|| account.name.clone()),
            clusters: account.clusters.clone(),
            may_push: account.role.may_push(),
            log_out: LogOut::Form,
        }
    }

    pub(super) fn of_token(token: &Token) -> Principal {
        let user = token.user.as_ref().unwrap_or(&token.name);
        Principal {
            name: Some(format!("token:{}", token.name)),
            restricted_to: (!token.role.sees_all()).then(|| user.clone()),
            clusters: token.clusters.clone(),
            may_push: token.role.may_push(),
            log_out: LogOut::Form,
        }
    }

    /// Returns the same for a user whom a proxy logged in, who only reads: a browser that has a session of the proxy pushes
    /// for any page that asks it to.
    pub(super) fn through_proxy(self, log_out_url: Option<&str>) -> Principal {
        let log_out = LogOut::AtProxy(log_out_url.map(str::to_string));
        Principal { may_push: false, log_out, ..self }
    }

    /// Returns a user without an account whom a proxy logged in.
    pub(super) fn without_account(name: &str, role: Role) -> Principal {
        Principal::of(&Account::of_proxy(name.to_string(), role))
    }
}
