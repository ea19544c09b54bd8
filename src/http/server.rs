//! The connections: accepted within bounds of number and time, with TLS or without.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, ready};
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tower::Layer;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use warp::Reply;
use warp::filters::BoxedFilter;

use super::{AppState, fast_path};
use crate::http::middleware::InFlight;
use crate::http::raw_head::RawHeads;
use crate::http::response_cache::made;

/// Connections that are open at the same time; one beyond that is closed at once.
const MAX_CONNECTIONS: usize = 4096;
/// How long a client may take for the head of a request, and be idle before the next.
const HEAD_WITHIN: Duration = Duration::from_secs(30);
/// How long a client may take to agree on TLS.
const AGREED_WITHIN: Duration = Duration::from_secs(10);
/// From one failure to accept to the next try: most are short of something.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// A certificate and its key, read anew when told so.
#[derive(Debug)]
pub(crate) struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    current: watch::Sender<Arc<ServerConfig>>,
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum TlsError {
    #[error("{} holds no certificate in PEM form that can be read: {}", .0.display(), .1)]
    Certificate(PathBuf, rustls::pki_types::pem::Error),
    #[error("{} holds no certificate in PEM form", .0.display())]
    NoCertificate(PathBuf),
    #[error("{} holds no private key in PEM form that can be read: {}", .0.display(), .1)]
    Key(PathBuf, rustls::pki_types::pem::Error),
    #[error("the certificate and its key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
}

impl Tls {
    /// Reads a certificate, with those that vouch for it, and its key, both in PEM form.
    pub(crate) fn read(certificate: PathBuf, key: PathBuf) -> Result<Tls, TlsError> {
        let (current, _) = watch::channel(config(&certificate, &key)?);
        Ok(Tls { certificate, key, current })
    }

    /// Reads both again, for the connections that come from now on. If they cannot be used, those from
    /// before stay.
    pub(crate) fn read_again(&self) -> Result<(), TlsError> {
        self.current.send_replace(config(&self.certificate, &self.key)?);
        Ok(())
    }
}

fn config(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let unreadable = |error| TlsError::Certificate(certificate.to_path_buf(), error);
    let chain = CertificateDer::pem_file_iter(certificate).map_err(unreadable)?;
    let chain = chain.collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate(certificate.to_path_buf()));
    }
    let secret = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| TlsError::Key(key.to_path_buf(), error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, secret)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Serves routes of a history until `stop` comes, then lets the answers in flight finish, for as long as `grace`.
/// Each request clones the routes, which is cheap as they are boxed.
pub(crate) async fn serve<R>(
    history: Arc<AppState>,
    routes: BoxedFilter<(R,)>,
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    stop: impl Future<Output = ()>,
    grace: Duration,
) where
    R: Reply + Send + 'static,
{
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot accept");
                tokio::time::sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        let Ok(permit) = connections.clone().try_acquire_owned() else {
            continue;
        };
        // Answers are written whole: waiting for more to send would only delay them.
        let _ = stream.set_nodelay(true);
        let (routes, watcher) = (routes.clone(), graceful.watcher());
        let history = history.clone();
        let config = tls.as_ref().map(|tls| tls.current.borrow().clone());
        tokio::spawn(async move {
            let _permit = permit;
            history.metrics().connections.inc();
            match config {
                None => talk(stream, routes, watcher, history.clone()).await,
                Some(config) => {
                    let agreed = TlsAcceptor::from(config).accept(stream);
                    if let Ok(Ok(stream)) = tokio::time::timeout(AGREED_WITHIN, agreed).await {
                        talk(stream, routes, watcher, history.clone()).await;
                    }
                }
            }
            history.metrics().connections.dec();
        });
    }
    drop(listener);
    if tokio::time::timeout(grace, graceful.shutdown()).await.is_err() {
        tracing::warn!("some answers took longer than {} s and were ended", grace.as_secs());
    }
}

/// Answers the requests of one connection.
async fn talk<R>(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    routes: BoxedFilter<(R,)>,
    watcher: Watcher,
    history: Arc<AppState>,
) where
    R: Reply + Send + 'static,
{
    let answering = CompressionLayer::new().quality(CompressionLevel::Fastest);
    let answering = answering.layer(warp::service(routes));
    let service = service_fn(move |request: Request<Incoming>| {
        let in_flight = InFlight::of(&request);
        let kept = history.response_cache().kept(&history, &request);
        if let Some(mut answer) = kept.or_else(|| fast_path::profile(&history, &request)) {
            in_flight.answered(&mut answer, history.metrics());
            return Either::Left(ready(Ok(answer.map(made))));
        }
        // Boxed: the state of all routes is large, and hyper moves what it is given.
        let (history, answering) = (history.clone(), answering.clone());
        Either::Right(Box::pin(async move {
            let answer = history.response_cache().answer(&history, answering, request);
            in_flight.answered_by(answer, history.metrics()).await
        }))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .serve_connection(TokioIo::new(RawHeads::new(stream)), service);
    // An error is the client's: it went away, or spoke no HTTP.
    let _ = watcher.watch(connection).await;
}
