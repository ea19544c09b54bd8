//! What all routes share, and the way from a request to a [`View`]. The fields are private: a route reaches the store
//! by the view of its caller and by nothing else.

use std::sync::Arc;

use warp::host::Authority;

use super::admission::Admission;
use super::auth::{Authenticator, Claim, Principal, ProxyUser};
use super::client::Client;
use super::compute::ComputeQueue;
use super::error::ApiError;
use super::metrics::Metrics;
use super::response_cache::ResponseCache;
use super::same_site::check_host;
use super::view::View;
use crate::ingest::Pipeline;
use crate::store::{Fault, OpenError, Store};

/// What all routes share.
#[derive(Debug)]
pub(crate) struct AppState {
    store: Store,
    pipeline: Arc<Pipeline>,
    authenticator: Authenticator,
    scheme: &'static str,
    is_open: bool,
    metrics: Metrics,
    admission: Admission,
    response_cache: ResponseCache,
    compute: ComputeQueue,
}

/// How a client says who it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Credentials<'a> {
    pub(super) claim: Claim<'a>,
    /// The id of a session on Doris' paths.
    pub(super) session: Option<&'a str>,
    /// The path of the request; empty where the answer to wrong credentials does not depend on it.
    pub(super) path: &'a str,
    pub(super) client: Client,
}

/// How a browser says who it is, kept to ask again later.
#[derive(Debug, Clone)]
pub(crate) struct BrowserCredentials {
    /// The id of the session that replaces the header.
    pub(crate) session: Option<String>,
    /// The `Authorization` header.
    pub(crate) authorization: Option<String>,
    /// The user whom a trusted proxy names, who replaces both.
    pub(crate) proxied: Option<ProxyUser>,
    pub(crate) client: Client,
}

impl BrowserCredentials {
    fn claim(&self) -> Claim<'_> {
        Claim { authorization: self.authorization.as_deref(), proxied: self.proxied.as_ref() }
    }

    /// Returns the id of the session, unless a proxy names the user.
    fn session(&self) -> Option<&str> {
        self.session.as_deref().filter(|_| self.proxied.is_none())
    }
}

impl Credentials<'_> {
    /// Returns the error for a client that nobody knows. Doris' page logs in when it reads these words.
    pub(super) fn error(&self, error: ApiError) -> ApiError {
        match error {
            ApiError::Unauthorized(_)
                if self.claim.authorization.is_none() && self.path.starts_with("/rest/v1/") =>
            {
                ApiError::Unauthorized("Cookie is invalid".to_string())
            }
            error => error,
        }
    }
}

impl AppState {
    /// Returns the state of a server. `scheme` is `http` or `https`. With `is_open`, a server without users answers
    /// under any host name. Errors if the file of the store cannot be watched.
    pub(crate) fn new(
        store: Store,
        pipeline: Arc<Pipeline>,
        authenticator: Authenticator,
        scheme: &'static str,
        is_open: bool,
    ) -> Result<AppState, OpenError> {
        let response_cache = ResponseCache::new(store.watch()?);
        let metrics = Metrics::default();
        let admission = Admission::new(metrics.in_progress.clone());
        let compute = ComputeQueue::new();
        Ok(AppState {
            store,
            pipeline,
            authenticator,
            scheme,
            is_open,
            metrics,
            admission,
            response_cache,
            compute,
        })
    }

    pub(crate) fn authenticator(&self) -> &Authenticator {
        &self.authenticator
    }

    /// Returns why nothing can be written to the history.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.store.fault()
    }

    pub(crate) fn scheme(&self) -> &'static str {
        self.scheme
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    pub(super) fn admission(&self) -> &Admission {
        &self.admission
    }

    pub(super) fn response_cache(&self) -> &ResponseCache {
        &self.response_cache
    }

    /// Returns what the client may see of the history. Errors if the host name or the credentials are wrong.
    pub(super) async fn view(
        &self,
        credentials: Credentials<'_>,
        host: Option<Authority>,
    ) -> Result<View, ApiError> {
        let principal = self.principal(credentials, host.as_ref()).await?;
        Ok(self.view_of(principal, credentials.client))
    }

    /// Returns what a browser may see of the history. A browser sends the id of its session in place of the header.
    pub(crate) async fn view_of_browser(
        &self,
        browser: &BrowserCredentials,
        host: Option<Authority>,
    ) -> Result<View, ApiError> {
        if let Some(id) = browser.session()
            && let Some(principal) = self.authenticator.principal_in_session(id).await?
        {
            return Ok(self.view_of(principal, browser.client));
        }
        let (claim, client) = (browser.claim(), browser.client);
        let credentials = Credentials { claim, session: None, path: "", client };
        self.view(credentials, host).await
    }

    /// Returns whether a browser may still see what `view` shows: its session has not ended, and its account has not
    /// changed. Answers no if that cannot be found out. No password is verified again.
    pub(crate) async fn is_current(&self, browser: &BrowserCredentials, view: &View) -> bool {
        if let Some(id) = browser.session()
            && let Ok(Some(principal)) = self.authenticator.principal_in_session(id).await
        {
            return view.is_of(&principal);
        }
        let principal = self.authenticator.verified_principal(browser.claim()).await;
        principal.is_ok_and(|principal| principal.is_some_and(|principal| view.is_of(&principal)))
    }

    /// Returns whether a read of one query waits for nothing.
    pub(super) fn reads_in_place(&self) -> bool {
        self.store.reads_in_place()
    }

    /// Returns what the client may see of the history, or `None` if the host name is wrong, or if the credentials cannot
    /// be checked without waiting.
    pub(super) fn known_view(
        &self,
        claim: Claim<'_>,
        host: Option<&Authority>,
        client: Client,
    ) -> Option<View> {
        self.check_host(host).ok()?;
        let principal = self.authenticator.known_principal(claim)?;
        Some(self.view_of(principal, client))
    }

    fn view_of(&self, principal: Principal, client: Client) -> View {
        let (store, pipeline) = (self.store.clone(), self.pipeline.clone());
        View::new(store, self.scheme, pipeline, self.compute.clone(), principal, client)
    }

    /// Errors if annals does not answer under this host name.
    pub(crate) fn check_host(&self, host: Option<&Authority>) -> Result<(), ApiError> {
        if self.authenticator.is_enabled() || self.is_open { Ok(()) } else { check_host(host) }
    }

    /// Returns who sent a request. Errors if the host name or the credentials are wrong.
    pub(super) async fn principal(
        &self,
        credentials: Credentials<'_>,
        host: Option<&Authority>,
    ) -> Result<Principal, ApiError> {
        self.check_host(host)?;
        if let (true, Some(id)) = (credentials.claim.is_empty(), credentials.session)
            && let Some(principal) = self.authenticator.principal_in_session(id).await?
        {
            return Ok(principal);
        }
        self.authenticator
            .principal(credentials.claim, credentials.client)
            .await
            .map_err(|error| credentials.error(error))
    }
}
