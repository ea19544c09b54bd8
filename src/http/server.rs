//! The HTTP server: connections within limits of number and time, with TLS or without.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{self, ready};
use http_body_util::Either;
use hyper::Request;
use hyper::body::{Body, Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tower::{Layer, Service};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use warp::Reply;
use warp::filters::BoxedFilter;
use warp::http::Response;
use warp::http::header::{CONNECTION, HeaderValue};

use super::admission::{Held, Outcome, too_slow, within};
use super::answer::Answer;
use super::client::Client;
use super::connections::{Connection, Connections};
use super::error::ApiError;
use super::request_target::check_target;
use super::route::RouteKind;
use super::timed_stream::TimedStream;
use super::tls::Tls;
use super::{AppState, fast_path, kind};
use crate::http::middleware::InFlight;
use crate::http::raw_head::RawHeads;
use crate::http::response_cache::{Out, RouteBody, whole};

/// How long a client may take for the head of a request, and be idle before the next.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// The same on a connection that is one too many: a health check sends its request at once.
const SURPLUS_HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a client may take none of its answer. A slow line moves bytes at least once a second.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a client may take to agree on TLS.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// The pause after a failed accept: the process mostly lacks a resource.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// A warning about connections is logged at most this often.
const WARN_INTERVAL: Duration = Duration::from_secs(60);

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
    let connections = Connections::new(state.metrics().connections.clone());
    let mut warnings = Warnings::default();
    let graceful = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let (stream, address) = tokio::select! {
            accepted = accept(&listener, &connections, &mut warnings) => accepted,
            () = &mut stop => break,
        };
        let connection = connections.open(Client::of(address.ip()));
        if connection.as_ref().is_none_or(|connection| connection.is_surplus) {
            warnings.too_many(connections.max());
        }
        let Some(connection) = connection else { continue };
        // Responses are written whole, so that waiting for more to send would only delay them.
        let _ = stream.set_nodelay(true);
        let (state, routes, watcher) = (state.clone(), routes.clone(), graceful.watcher());
        let tls = tls.clone();
        tokio::spawn(async move {
            let served =
                serve_stream((stream, address.ip()), tls, &connection, routes, watcher, state);
            tokio::select! {
                () = served => {}
                () = connection.activity.closed() => {}
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(grace, graceful.shutdown()).await.is_err() {
        tracing::warn!(grace_ms = grace.as_millis() as u64, "responses in flight were cut off");
    }
}

/// Warnings about connections, which a client could otherwise have written without end.
#[derive(Default)]
struct Warnings {
    last: Option<Instant>,
}

impl Warnings {
    fn is_due(&mut self) -> bool {
        let is_due = self.last.is_none_or(|last| last.elapsed() >= WARN_INTERVAL);
        if is_due {
            self.last = Some(Instant::now());
        }
        is_due
    }

    fn too_many(&mut self, max: usize) {
        if self.is_due() {
            tracing::warn!(max, "all connections are in use; requests of others get 503");
        }
    }

    fn cannot_accept(&mut self, error: &std::io::Error) {
        if self.is_due() {
            let error = error as &dyn std::error::Error;
            tracing::warn!(error, "cannot accept a connection; idle ones are closed");
        }
    }
}

/// Returns the next connection. Closes idle ones while there is no room for it.
async fn accept(
    listener: &TcpListener,
    connections: &Connections,
    warnings: &mut Warnings,
) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                warnings.cannot_accept(&error);
                connections.close_idlest();
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

/// Answers the requests that come over a socket, with TLS or without.
async fn serve_stream<R>(
    (stream, sender): (TcpStream, IpAddr),
    tls: Option<Arc<Tls>>,
    connection: &Connection,
    routes: BoxedFilter<(R,)>,
    watcher: Watcher,
    state: Arc<AppState>,
) where
    R: Reply + Send + 'static,
{
    let Some(tls) = tls else {
        return serve_connection((stream, sender), connection, routes, watcher, state).await;
    };
    let handshake = TlsAcceptor::from(tls.current()).accept(stream);
    if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await {
        serve_connection((stream, sender), connection, routes, watcher, state).await;
    }
}

/// Answers the requests of one connection from an address, until the client closes it or `watcher` asks it to end.
async fn serve_connection<R>(
    (stream, sender): (impl AsyncRead + AsyncWrite + Send + Unpin + 'static, IpAddr),
    connection: &Connection,
    routes: BoxedFilter<(R,)>,
    watcher: Watcher,
    state: Arc<AppState>,
) where
    R: Reply + Send + 'static,
{
    let activity = connection.activity.clone();
    let stream = TimedStream::new(stream, activity.clone(), WRITE_TIMEOUT);
    let compression = CompressionLayer::new().quality(CompressionLevel::Fastest);
    let routes = compression.layer(warp::service(routes));
    let (client, is_surplus) = (connection.client, connection.is_surplus);
    let service = service_fn(move |mut request: Request<Incoming>| {
        let answering = activity.answering();
        // Whoever finds the user of a request finds the user whom a proxy names, or none.
        if let Some(proxy_login) = state.authenticator().proxy_login()
            && let Some(user) = proxy_login.user_of(sender, request.headers())
        {
            request.extensions_mut().insert(user);
        }
        let in_flight = InFlight::new(&request);
        if let Some(mut answer) = at_once(&state, &request, client, is_surplus) {
            in_flight.finish(&mut answer, state.metrics());
            return future::Either::Left(ready(Ok(answer.map(whole))));
        }
        // Boxed, because the state of all routes is large, and hyper moves what it is given.
        let (state, routes) = (state.clone(), routes.clone());
        future::Either::Right(Box::pin(async move {
            let _answering = answering;
            let response = respond(&state, routes, client, request);
            in_flight.run(response, state.metrics()).await
        }))
    });
    let head_timeout = if is_surplus { SURPLUS_HEAD_TIMEOUT } else { HEAD_TIMEOUT };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        // It panics at some times of the system clock; the middleware adds the header.
        .auto_date_header(false)
        .serve_connection(TokioIo::new(RawHeads::new(stream)), service);
    // An error is the client's: the client went away, or sent something other than HTTP.
    let _ = watcher.watch(connection).await;
}

/// Returns the answer to a request that waits for nothing: an error, a kept list, or a profile. `None` if the routes
/// have to answer.
fn at_once(
    state: &AppState,
    request: &Request<Incoming>,
    client: Client,
    is_surplus: bool,
) -> Option<Answer> {
    if let Err(error) = check_target(request) {
        return Some(last_answer(error));
    }
    if is_surplus && kind(request.method(), request.uri().path()) != RouteKind::Probe {
        let sentence =
            "all connections of annals are in use, or all of this address; try again later";
        return Some(last_answer(ApiError::Busy(sentence.to_string())));
    }
    let cached = state.response_cache().get(state, request);
    cached.or_else(|| fast_path::profile(state, request, client))
}

/// Returns the answer to an error that ends its connection.
fn last_answer(error: ApiError) -> Answer {
    let mut answer = error.into_answer();
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}

/// Responds by the routes, within the bounds of the request's kind. A panic becomes an answer with status 500.
async fn respond<S, B>(
    state: &AppState,
    routes: S,
    client: Client,
    mut request: Request<Incoming>,
) -> Result<Out<Held<RouteBody<B>>>, Infallible>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    B: Body<Data = Bytes>,
{
    let kind = kind(request.method(), request.uri().path());
    let admitted = match state.admission().admit(kind, client) {
        Ok(admitted) => admitted,
        Err(error) => return Ok(error.into_answer().map(whole)),
    };
    request.extensions_mut().insert(client);
    let response = within(kind.time_limit(), async {
        state.response_cache().respond(state, routes, request).await
    });
    Ok(match response.await {
        Outcome::Answer(Ok(response)) => admitted.hold(response).map(Either::Right),
        Outcome::Answer(Err(never)) => match never {},
        Outcome::TooSlow => too_slow(kind).map(whole),
        Outcome::Panicked => ApiError::Internal("a task panicked".into()).into_answer().map(whole),
    })
}
