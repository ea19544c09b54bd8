//! The HTTP server: connections within limits of number and time, with TLS or without.

use std::net::{IpAddr, SocketAddr};
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
use tokio::net::{TcpListener, TcpStream};
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
use crate::http::response_cache::whole;

/// The most open connections. One more is closed at once.
const MAX_CONNECTIONS: usize = 4096;
/// How long a client may take for the head of a request, and be idle before the next.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a client may take to agree on TLS.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// The pause after a failed accept: the process mostly lacks a resource.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// The address of the client of a request, among the request's extensions.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClientAddress(pub IpAddr);

/// A certificate and its key, which can be replaced while connections are open.
#[derive(Debug)]
pub(crate) struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    current: watch::Sender<Arc<ServerConfig>>,
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("{} cannot be read as a certificate in PEM form: {}", .0.display(), .1)]
    Certificate(PathBuf, rustls::pki_types::pem::Error),
    #[error("{} holds no certificate in PEM form", .0.display())]
    NoCertificate(PathBuf),
    #[error("{} cannot be read as a private key in PEM form: {}", .0.display(), .1)]
    Key(PathBuf, rustls::pki_types::pem::Error),
    #[error("the certificate and its key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
}

impl Tls {
    /// Reads a certificate with its chain, and its key, both in PEM form. Errors if they cannot be read, or do not
    /// belong together.
    pub(crate) fn load(certificate: PathBuf, key: PathBuf) -> Result<Tls, TlsError> {
        let (current, _) = watch::channel(config(&certificate, &key)?);
        Ok(Tls { certificate, key, current })
    }

    /// Reads both files again, for new connections. Errors as [`Tls::load`] does, and keeps the certificate from before.
    pub(crate) fn reload(&self) -> Result<(), TlsError> {
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

/// Serves `routes` until `stop` is ready, and then waits up to `grace` for the responses in flight. Every request clones
/// the routes, which is cheap because they are boxed.
pub(crate) async fn serve<R>(
    state: Arc<AppState>,
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
        let (stream, address) = tokio::select! {
            accepted = accept(&listener) => accepted,
            () = &mut stop => break,
        };
        let Ok(permit) = connections.clone().try_acquire_owned() else {
            continue;
        };
        // Responses are written whole, so that waiting for more to send would only delay them.
        let _ = stream.set_nodelay(true);
        let (state, routes, watcher) = (state.clone(), routes.clone(), graceful.watcher());
        let client = ClientAddress(address.ip());
        let config = tls.as_ref().map(|tls| tls.current.borrow().clone());
        tokio::spawn(async move {
            let _permit = permit;
            state.metrics().connections.inc();
            match config {
                None => serve_connection(stream, client, routes, watcher, state.clone()).await,
                Some(config) => {
                    let handshake = TlsAcceptor::from(config).accept(stream);
                    if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await
                    {
                        serve_connection(stream, client, routes, watcher, state.clone()).await;
                    }
                }
            }
            state.metrics().connections.dec();
        });
    }
    drop(listener);
    if tokio::time::timeout(grace, graceful.shutdown()).await.is_err() {
        tracing::warn!(grace_ms = grace.as_millis() as u64, "responses in flight were cut off");
    }
}

/// Returns the next connection.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    let mut has_failed = false;
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                if !has_failed {
                    let error = &error as &dyn std::error::Error;
                    let retry_in_ms = ACCEPT_RETRY.as_millis() as u64;
                    tracing::warn!(error, retry_in_ms, "cannot accept a connection");
                }
                has_failed = true;
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

/// Answers the requests of one connection, until the client closes it or `watcher` asks it to end.
async fn serve_connection<R>(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    client: ClientAddress,
    routes: BoxedFilter<(R,)>,
    watcher: Watcher,
    state: Arc<AppState>,
) where
    R: Reply + Send + 'static,
{
    let compression = CompressionLayer::new().quality(CompressionLevel::Fastest);
    let routes = compression.layer(warp::service(routes));
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(client);
        let in_flight = InFlight::new(&request);
        let cached = state.response_cache().get(&state, &request);
        if let Some(mut answer) = cached.or_else(|| fast_path::profile(&state, &request)) {
            in_flight.finish(&mut answer, state.metrics());
            return Either::Left(ready(Ok(answer.map(whole))));
        }
        // Boxed, because the state of all routes is large, and hyper moves what it is given.
        let (state, routes) = (state.clone(), routes.clone());
        Either::Right(Box::pin(async move {
            let response = state.response_cache().respond(&state, routes, request);
            in_flight.run(response, state.metrics()).await
        }))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(RawHeads::new(stream)), service);
    // An error is the client's: the client went away, or sent something other than HTTP.
    let _ = watcher.watch(connection).await;
}
